"""The zones that a plan starts from: their contents, and which of them are own zones."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.errors import UsageError, WireError, ZoneFileError
from auditor.quoting import quoted
from auditor.resolve.answer import Answer, alias_of
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.resolve.zones.files import master_files
from auditor.resolve.zones.reader import read_zone
from auditor.resolve.zones.zone import CUT
from auditor.wire.codes import AAAA, REFUSED, SOA, A
from auditor.wire.names import mail_address, normalise, parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from auditor.resolve.answer import Question, Soa
    from auditor.resolve.transfer import Transferred
    from auditor.resolve.zones.reader import MasterFile
    from auditor.resolve.zones.rrsets import RRset
    from auditor.resolve.zones.zone import Zone

__all__ = ["ZoneData", "ZoneSource", "read_zone_data", "rrset_at"]

_MAX_NAMED: Final = 3  # zones that a message names
_ADDRESS_TYPES: Final = frozenset({A, AAAA})


class ZoneSource(NamedTuple):
    """A zone and the master file that it comes from."""

    file: MasterFile
    zone: Zone


class ZoneData:
    """Zones by origin, with the files that they come from; `own`: the origins of own zones."""

    def __init__(self, sources: Mapping[str, ZoneSource], own: Iterable[str]) -> None:
        self.sources = sources
        self.own = frozenset(own)
        self.zones = {origin: source.zone for origin, source in sources.items()}
        self._engine = ZoneFileEngine.loaded(self.zones)

    def zone_of(self, name: str) -> Zone | None:
        """Return the loaded zone with the longest origin that the name is in."""
        while name not in self.zones:
            if name == ".":
                return None
            name = parent_of(name)
        return self.zones[name]

    def own_zone_of(self, name: str) -> Zone | None:
        """Return the own zone that holds a name; None if it is in a zone of others."""
        zone = self.zone_of(name)
        if zone is None or zone.origin not in self.own or zone.find(name) is CUT:
            return None
        return zone

    def contact_of(self, zone: Zone) -> str:
        """Return the mail address in a zone's SOA record."""
        _, (soa,) = zone.nodes[zone.origin][SOA]
        return mail_address(cast("Soa", soa).rname)

    def answer(self, question: Question) -> Answer:
        """Answer from the files; REFUSED if they do not hold the complete answer."""
        answer = self._engine.answer(question)
        return answer._replace(status=REFUSED) if alias_of(answer) else answer

    @cached_property
    def _own_names(self) -> Mapping[str, Sequence[str]]:
        """The names in own zones by the addresses that they have, without pools."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for origin in sorted(self.own):
            for name, node in self.zones[origin].nodes.items():
                for rdtype in _ADDRESS_TYPES & node.keys():
                    for address in node[rdtype][1]:
                        found[cast("str", address)].append(name)
        return found

    def names_of(self, address: str) -> Sequence[str]:
        """Return the own names that have an address, without those of `$GENERATE`."""
        return self._own_names.get(address, ())


def rrset_at(zone: Zone, name: str, rdtype: int) -> RRset | None:
    """Return the record set at exactly this name, not one from a wildcard."""
    return zone.nodes.get(name, {}).get(rdtype)


def read_zone_data(
    own: Sequence[str],
    zones: Path | None,
    transferred: Callable[[Sequence[str]], Sequence[Transferred]] | None = None,
) -> ZoneData:
    """Load zones: all of `zones`, and the files among `own`, whose other texts are names of zones.

    `transferred` returns zones by name from a server, if they are in no file. Raises UsageError
    for an unknown zone, ZoneFileError.
    """
    sources = {} if zones is None else _read(zones)
    owned = set()
    lacking = []
    for text in own:
        name = _name(text)
        path = Path(text)
        if name in sources:
            owned.add(name)
        elif path.exists():
            for origin, source in _read(path).items():
                if origin in sources:
                    _refuse_copy(sources[origin].file, source.file, origin)
                sources[origin] = source
                owned.add(origin)
        elif name and transferred is not None:
            lacking.append(name)
        else:
            known = ", ".join(sorted(sources)[:_MAX_NAMED])
            hint = f"; loaded: {known}" if known else "; --zones DIR has the zones"
            raise UsageError(
                f"--own {quoted(text)}: neither a zone that is loaded nor a file{hint}"
            )
    for zone in transferred(lacking) if transferred is not None and lacking else ():
        file = zone.master_file()
        sources[zone.origin] = ZoneSource(file, read_zone(file))
        owned.add(zone.origin)
    return ZoneData(sources, owned)


def _name(text: str) -> str:
    try:
        return normalise(text)
    except WireError:
        return ""


def _read(path: Path) -> dict[str, ZoneSource]:
    found: dict[str, ZoneSource] = {}
    for file in master_files(path):
        zone = read_zone(file)
        if zone.origin in found:
            _refuse_copy(found[zone.origin].file, file, zone.origin)
        found[zone.origin] = ZoneSource(file, zone)
    return found


def _refuse_copy(first: MasterFile, second: MasterFile, origin: str) -> None:
    """Raise ZoneFileError if two files hold one zone."""
    if not Path(first.label).samefile(second.label):
        raise ZoneFileError(
            f"{second.label}: the zone {origin} again, after {first.label}; "
            "expected one file a zone"
        )
