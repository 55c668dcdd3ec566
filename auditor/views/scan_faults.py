"""The faults that whole prefixes have, from the output that a scan has just written.

For the end of a scan. Faster than a summary, since it looks for nothing else, and the lines are
known to be records.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from auditor.views.prefixes import PrefixFaults, split_address
from auditor.views.reader.results import Results

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.views.prefixes import FaultPrefixes

__all__ = ["scan_faults"]

_HEAD: Final = '{"target":"'
_IP: Final = b'","kind":"ip","verdict":"'
_FINDINGS: Final = b'"findings":['
_PTR: Final = b'],"ptr":'
_GRADED: Final = re.compile(rb'"code":"[A-Z0-9_]+","severity":"[a-z]+"')
_FAULT: Final = re.compile(rb'"code":"([A-Z0-9_]+)","severity":"(error|warning)"')
#: The text after the code and severity of a finding, and the text before another finding.
_SUBJECT: Final = b',"subject":'
_CODE: Final = b'"code":"'
#: Addresses that wait to be added to their networks.
_MAX_PENDING: Final = 1 << 13
_OCTET_OF: Final = {b"%d" % octet: octet for octet in range(256)}

#: By all of the addresses but their last part: the last parts, by what is found.
_Pending = dict[bytes, dict[bytes, list[bytes]]]


def scan_faults(path: Path | str) -> list[FaultPrefixes]:
    """Return the faults of an output, with their prefixes. Raises InputError if it is gone."""
    faults = PrefixFaults()
    pending: _Pending = {}
    count = 0
    for chunk in Results([path]).chunks():
        for line in chunk:
            head, is_address, rest = line.partition(_IP)
            if not is_address:
                continue
            front, _, last = head.rpartition(b"." if b"." in head else b":")
            found = rest.partition(_FINDINGS)[2].partition(_PTR)[0]
            code, _, more = found.partition(_SUBJECT)
            # Most have one finding or none, of which code and severity are enough.
            key = b",".join(_GRADED.findall(found)) if _CODE in more else code
            group = pending.get(front)
            if group is None:
                group = pending[front] = {}
            lasts = group.get(key)
            if lasts is None:
                lasts = group[key] = []
            lasts.append(last)
        count += len(chunk)
        if count >= _MAX_PENDING:
            _place(faults, pending)
            count = 0
    _place(faults, pending)
    return faults.collapsed()


def _place(faults: PrefixFaults, pending: _Pending) -> None:
    for front, groups in pending.items():
        start = front.decode("ascii", "replace").removeprefix(_HEAD)
        place = split_address(f"{start}.0") if ":" not in start else None
        for findings, lasts in groups.items():
            found = _FAULT.findall(findings)
            codes = tuple(sorted({code.decode() for code, _ in found}))
            for code, severity in found:
                faults.severities.setdefault(code.decode(), severity.decode())
            if place is not None:
                faults.add_addresses(place[0], codes, bytes(map(_OCTET_OF.__getitem__, lasts)))
                continue
            separator = "." if "." in start else ":"
            for last in lasts:
                each = split_address(f"{start}{separator}{last.decode('ascii', 'replace')}")
                if each is not None:
                    faults.add_addresses(each[0], codes, (each[1],))
    pending.clear()
