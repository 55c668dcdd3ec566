"""Detects PTR names that contain the address, in whole or in part.

Mail services number their hosts by the end of the address, so beside a word for mail only the
whole address counts. Every test is bounded, and an ordinary name passes after a few searches for
a short string.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TO_DOTS", "encodes_address", "perhaps_encodes", "says_mail"]

_NUMBERS: Final = re.compile(r"[0-9]+")
_HEX_RUNS: Final = re.compile(r"[0-9a-f]+")
#: What may stand between the parts of one encoded address; "" is between zero-padded octets.
_SEPARATORS: Final = frozenset({"", "-", ".", "_", "x"})
_UNSEPARATED: Final = str.maketrans("", "", "-._x")
_HEX_DIGITS: Final = frozenset("0123456789abcdef")

_HEX_OF: Final = {str(octet): f"{octet:x}" for octet in range(256)}
_MAX_OCTET: Final = 255
_OCTET_DIGITS: Final = 3
_PADDED_DIGITS: Final = frozenset({6, 9, 12})  # two, three or four zero-padded octets
#: Fewer digits could be a serial number: 7 of 1.2.3.4 written without separators, 3 of
#: `host-100-7` (whereas `mx-1-2` is just the second host of the first rack), 5 of a network.
_MIN_JOINED_DIGITS: Final = 7
_MIN_TAIL_DIGITS: Final = 3
_MIN_NETWORK_DIGITS: Final = 5

#: Four hex digits at most one separator apart: no shorter encoding of an IPv6 address counts.
_V6_CANDIDATE: Final = re.compile(r"[0-9a-f](?:[-._x]?[0-9a-f]){3}|--")
_GROUP_DIGITS: Final = 4
_GROUPS: Final = 8
#: Of the last groups, zeros left out: four groups, or two with five digits.
_MIN_V6_GROUPS: Final = 4
_MIN_V6_DIGITS: Final = 5

_MAIL: Final = frozenset(
    "antispam bounce bounces bulk edm email exchange filter filters imap inbound"  # noqa: SIM905
    " m mail mailer mailers mailgw mailhost mailhub mailout mails mda mta mtaout mx mxout"
    " newsletter newsletters out outbound outgoing pmta post postfix relay relays"
    " sender smarthost smtp smtpout spam spamfilter vmta webmail zimbra".split()
)
#: Everything but letters becomes a dot. As a string, it translates three times as fast as a dict.
TO_DOTS: Final = "".join(chr(code) if chr(code).isalpha() else "." for code in range(128))


def encodes_address(name: str, address: str) -> bool:
    """Whether the name contains the address, or enough of it to identify it.

    IPv4: the four octets as numbers, in any order, one after the other with anything but
    digits in between. Where nothing in the name says mail also a part, or the octets run
    together: zero-padded to three digits each, or seven digits at least; of the last three or
    two octets the order or its reverse, one separator (`-`, `.`, `_`, `x`) apart or none, and
    of two only from three digits on; the first three octets in the same way, beside a serial
    number; in hex, all four octets in order or backwards, with separators or without.
    IPv6, in hex: all eight groups; where nothing says mail also the last ones, zeros apart
    four of them or five digits: as nibbles in order or backwards, with separators or without,
    or as numbers; the compressed form with a separator for the colon.
    """
    if ":" in address:
        return _encodes_v6(name, address)
    octets = address.split(".")
    first, second, third, fourth = octets
    if third in name and (fourth in name or second in name):
        if first in name and second in name and _holds_plainly(name, octets):
            return True
        runs = _NUMBERS.findall(name)
        values = [int(run) if len(run) <= _OCTET_DIGITS else -1 for run in runs]
        wanted = [int(octet) for octet in octets]
        # A number of more digits may be octets that run together.
        if -1 in values or (
            len(values) > 1
            and wanted[2] in values
            and (wanted[3] in values or (wanted[1] in values and wanted[0] in values))
        ):
            if _holds_whole(values, wanted):
                return True
            if _holds_less(name, runs, octets, wanted) and not says_mail(name):
                return True
    return _encodes_hex(name, octets)


def _encodes_hex(name: str, octets: list[str]) -> bool:
    """Whether all four octets are in the name in hex, with nothing beside that says mail."""
    codes = [_HEX_OF[octet] for octet in octets]
    return (
        codes[3] in name
        and codes[2] in name
        and codes[1] in name
        and codes[0] in name
        and _holds_hex(name, codes)
        and not says_mail(name)
    )


def _holds_whole(values: list[int], wanted: list[int]) -> bool:
    """Whether four numbers in a row are the octets, in any order."""
    ordered = sorted(wanted)
    return any(sorted(values[at : at + 4]) == ordered for at in range(len(values) - 3))


def _holds_less(name: str, runs: list[str], octets: list[str], wanted: list[int]) -> bool:
    """Whether the octets are there joined, or a part of them is."""
    values, widths, tight = _numbers(name)
    return (
        _holds_whole(values, wanted)
        or _holds_part(values, widths, tight, wanted)
        or _holds_joined(runs, octets)
    )


def _holds_part(values: list[int], widths: list[int], tight: list[bool], wanted: list[int]) -> bool:
    """Whether the last two or three octets are there, or the first three and a serial number."""
    backwards = wanted[::-1]
    for size in (3, 2):
        tails = (wanted[-size:], backwards[:size])
        for at in range(len(values) - size + 1):
            if (
                values[at : at + size] in tails
                and all(tight[at + 1 : at + size])
                and sum(widths[at : at + size]) >= _MIN_TAIL_DIGITS
            ):
                return True
    networks = (wanted[:3], backwards[1:])
    for at in range(len(values) - 2):
        end = at + 3
        if (
            values[at:end] in networks
            and all(tight[at + 1 : end])
            and sum(widths[at:end]) >= _MIN_NETWORK_DIGITS
            and len(values) > len(wanted) - 1
            # With an octet behind it, it is the whole address of a neighbour.
            and not (end < len(values) and tight[end] and 0 <= values[end] <= _MAX_OCTET)
        ):
            return True
    return False


def _holds_joined(runs: list[str], octets: list[str]) -> bool:
    """Whether the octets are there without anything in between, and not zero-padded."""
    joined = "".join(octets)
    return len(joined) >= _MIN_JOINED_DIGITS and not {joined, "".join(octets[::-1])}.isdisjoint(
        runs
    )


def _holds_plainly(name: str, octets: list[str]) -> bool:
    """Whether the octets are there as most providers write them: found early, and found fast."""
    for order in (octets, octets[::-1]):
        for separator in "-.":
            text = separator.join(order)
            at = name.find(text)
            end = at + len(text)
            if at >= 0 and not name[at - 1 : at].isdigit() and not name[end : end + 1].isdigit():
                return True
    return False


def _numbers(name: str) -> tuple[list[int], list[int], list[bool]]:
    """Return the numbers in a name that can be octets: value, digits written, neighbourhood.

    The last says whether the number before is one separator away or none. What is too long
    to be an octet is cut into zero-padded ones where that works, else it is -1.
    """
    values: list[int] = []
    widths: list[int] = []
    tight: list[bool] = []
    end = 0
    for match in _NUMBERS.finditer(name):
        digits = match[0]
        size = _OCTET_DIGITS if len(digits) in _PADDED_DIGITS else len(digits)
        parts = [digits[at : at + size] for at in range(0, len(digits), size)]
        values += [int(part) if size <= _OCTET_DIGITS else -1 for part in parts]
        widths += [size] * len(parts)
        tight.append(name[end : match.start()] in _SEPARATORS)
        tight += [True] * (len(parts) - 1)
        end = match.end()
    return values, widths, tight


def _holds_hex(name: str, codes: list[str]) -> bool:
    """Whether all four octets, given in hex, are in the name."""
    padded = [code.zfill(2) for code in codes]
    compact = name.translate(_UNSEPARATED)
    if "".join(padded) in compact or "".join(padded[::-1]) in compact:
        return True
    runs, tight = _hex_runs(name)
    plain = [run.lstrip("0") or "0" for run in runs]
    return any(
        plain[at : at + 4] in (codes, codes[::-1]) and all(tight[at + 1 : at + 4])
        for at in range(len(plain) - 3)
    )


def _hex_runs(name: str) -> tuple[list[str], list[bool]]:
    """Return the runs of hex digits, and of each whether the one before is a separator away."""
    runs, tight = [], []
    end = 0
    for match in _HEX_RUNS.finditer(name):
        runs.append(match[0])
        tight.append(match.start() - end == 1 and name[end] in _SEPARATORS)
        end = match.end()
    return runs, tight


def _encodes_v6(name: str, address: str) -> bool:
    if not _V6_CANDIDATE.search(name):
        return False
    last = address.rpartition(":")[2]
    compact = name.translate(_UNSEPARATED)
    # Whatever the form, the last group is in it.
    if last not in compact and last[::-1] not in compact:
        return False
    if "::" in address and _holds_compressed(name, address):
        return True
    groups = _groups(address)
    runs, tight = _hex_runs(name)
    fewest = next((n for n in range(2, _GROUPS + 1) if _is_sign(groups[-n:])), _GROUPS)
    nibbles = "".join([group.zfill(_GROUP_DIGITS) for group in groups])
    backwards = nibbles[::-1]
    # An address ends where its run of digits does; a longer run is a neighbour's name.
    ends = (
        nibbles[-_GROUP_DIGITS * fewest :],
        *[backwards[: _GROUP_DIGITS * count] for count in range(fewest, _GROUPS + 1)],
    )
    whole = (nibbles, backwards)
    part = False
    tail = ""
    for at, run in enumerate(runs):
        tail = tail + run if tight[at] else run
        count = _trailing_groups(runs, tight, at, groups)
        if count == _GROUPS or tail.endswith(whole):
            return True
        part = part or tail.endswith(ends) or (count > 1 and _is_sign(groups[-count:]))
    return part and not says_mail(name)


def _is_sign(groups: list[str]) -> bool:
    """Whether the last groups of an address tell it from others: zeros do not."""
    digits = [len(group) for group in groups if group != "0"]
    return len(digits) >= _MIN_V6_GROUPS or (len(digits) > 1 and sum(digits) >= _MIN_V6_DIGITS)


def _groups(address: str) -> list[str]:
    """Return the eight groups of a canonical IPv6 address, without leading zeros."""
    head, gap, tail = address.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    missing = _GROUPS - len(left) - len(right) if gap else 0
    return left + ["0"] * missing + right


def _trailing_groups(runs: list[str], tight: list[bool], at: int, groups: list[str]) -> int:
    """Return how many runs up to the one at `at` are the last groups, each as a number."""
    count = 0
    while count < _GROUPS and at >= 0:
        run = runs[at]
        if len(run) > _GROUP_DIGITS or (run.lstrip("0") or "0") != groups[-1 - count]:
            break
        count += 1
        if not tight[at]:
            break
        at -= 1
    return count


def _holds_compressed(name: str, address: str) -> bool:
    """Whether the address as written is in the name, with a separator for each colon."""
    for separator in "-_x":
        text = address.replace(":", separator)
        at = name.find(text)
        if at >= 0 and name[at + len(text) : at + len(text) + 1] not in _HEX_DIGITS:
            return True
    return False


def says_mail(name: str) -> bool:
    """Whether a name, or its domain, says that it is for mail."""
    return (
        "mail" in name or "smtp" in name or not _MAIL.isdisjoint(name.translate(TO_DOTS).split("."))
    )


def perhaps_encodes(names: Sequence[str], addresses: Sequence[str]) -> list[bool]:
    """Return for each name whether `encodes_address` may be true of it; False is certain."""
    network, _, _ = addresses[0].rpartition(".")
    leading, _, third = network.rpartition(".")
    second = leading.rpartition(".")[2]
    # All in the same network as a rule, and then what is left between it is the last octets.
    lasts = ("\n" + "\n".join(addresses)).split(f"\n{network}.")[1:]
    if network and ":" not in network and len(lasts) == len(addresses):
        coded = _HEX_OF[third]
        return [
            (third in name and (last in name or second in name))
            or (coded in name and _HEX_OF[last] in name)
            for name, last in zip(names, lasts, strict=True)
        ]
    return [_perhaps_encodes(*pair) for pair in zip(names, addresses, strict=True)]


def _perhaps_encodes(name: str, address: str) -> bool:
    """Whether `encodes_address` may be true; False is certain."""
    if ":" in address:
        return _V6_CANDIDATE.search(name) is not None
    return encodes_address(name, address)
