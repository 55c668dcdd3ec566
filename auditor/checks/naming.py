"""What a PTR name looks like: a name given to a mail server, or one made up for a number.

Receivers distrust the second kind: whole blocks of dial-up and cable customers are named
by pattern, and mail straight from them is mostly not wanted. Two signs of a pattern are
looked for here: the name encodes the address, or says `dynamic` and the like. Text in,
judgement out; a name may be anything that is in the DNS, up to 255 octets, so every test
is bounded, and the common name is let go after a few searches for a short string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from auditor.suffixes import registrable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["cut", "encodes_address", "generic_words", "is_generic", "perhaps_generic"]

_NUMBERS: Final = re.compile(r"[0-9]+")
_HEX_RUNS: Final = re.compile(r"[0-9a-f]+")
#: What may stand between the parts of one encoded address; "" is between zero-padded octets.
_SEPARATORS: Final = frozenset({"", "-", ".", "_", "x"})
_UNSEPARATED: Final = str.maketrans("", "", "-._x")
_HEX_DIGITS: Final = frozenset("0123456789abcdef")

_HEX_OF: Final = {str(octet): f"{octet:x}" for octet in range(256)}
_OCTET_DIGITS: Final = 3
_PADDED: Final = frozenset({6, 9, 12})  # digits of two, three or four zero-padded octets
#: Fewer digits could be a serial number: 7 of 1.2.3.4 written without separators, 3 of
#: `host-100-7` (whereas `mx-1-2` is just the second host of the first rack).
_FEWEST_JOINED: Final = 7
_FEWEST_TAIL: Final = 3

#: Four hex digits at most one separator apart: no shorter encoding of an IPv6 address counts.
_V6_CANDIDATE: Final = re.compile(r"[0-9a-f](?:[-._x]?[0-9a-f]){3}|--")
_GROUP_DIGITS: Final = 4
_GROUPS: Final = 8
_V6_TAIL_DIGITS: Final = 5
_V6_TAIL_GROUPS: Final = 4

# The words stand in strings: one to a line (SIM905) nobody would read them.

#: These say by themselves that the address is handed out, or is a customer's line.
_STRONG: Final = frozenset(
    "adsl adslpool broadband catv cgn cgnat cpe dhcp dial dialin dialup"  # noqa: SIM905
    " dip dsl dslam dslpool dyn dynamic dynamicip dynip dynpool fttb"
    " fttc ftth fttx gpon gprs hdsl hsd isdn modem natpool ppp pppoe"
    " ppppool pptp residential sdsl shdsl umts unallocated unassigned"
    " unused vdsl wimax xdsl".split()
)
#: These are in names of mail servers as well (`customer-mail`, `mail.home.example.net`).
_WEAK: Final = frozenset(
    "abo bband cable client clients cust customer customers fiber fibre"  # noqa: SIM905
    " guest home hotspot lte mobile pool pools res subs subscriber"
    " subscribers user users wifi wireless wlan".split()
)
_MAIL: Final = frozenset(
    "bounce bounces email exchange imap mail mailer mailers mailgw"  # noqa: SIM905
    " mailhost mailhub mailout mails mda mta mtaout mx mxout newsletter"
    " out outbound outgoing pop post postfix relay relays sender"
    " smarthost smtp smtpout spamfilter webmail zimbra".split()
)
_WORDS: Final = _STRONG | _WEAK
#: Everything but letters becomes a dot. As a string, it translates three times as fast as a dict.
_TO_DOTS: Final = "".join(chr(code) if chr(code).isalpha() else "." for code in range(128))


def is_generic(name: str, address: str) -> str | None:
    """Return why the name looks made up for the address, or None if it does not.

    `name` is canonical (lower case, escapes), `address` canonical text of either family.
    A name such as `static-198-51-100-7` counts too: a receiver's pattern sees the numbers,
    and cannot tell whether the word is true.
    """
    if encodes_address(name, address):
        return "it encodes the address"
    word = generic_words(name)
    return f"it says {word!r}" if word else None


def cut(names: Sequence[str]) -> tuple[list[str], set[str]]:
    """Return the first labels of some names, and all that stands behind any of them."""
    rest = names[0].partition(".")[2]
    # Of a block there is one rest as a rule: then the labels are what is left between it.
    heads = ("\n".join(names) + "\n").split(f".{rest}\n")
    if len(heads) == len(names) + 1 and "." not in "".join(heads):
        return heads[:-1], {rest}
    parts = [name.partition(".") for name in names]
    return [head for head, _, _ in parts], {rest for _, _, rest in parts}


def perhaps_generic(
    names: Sequence[str], heads: Sequence[str], rests: set[str], addresses: Sequence[str]
) -> list[bool]:
    """Return of each name whether `is_generic` might say so of its address: no is certain.

    For a block of names at once; `heads` and `rests` are what `cut` makes of them.
    """
    network, _, _ = addresses[0].rpartition(".")
    third = network.rpartition(".")[2]
    # All in the same network as a rule, and then what is left between it is the last octets.
    lasts = ("\n" + "\n".join(addresses)).split(f"\n{network}.")[1:]
    if network and ":" not in network and len(lasts) == len(addresses):
        coded = _HEX_OF[third]
        found = [
            (third in name and last in name) or (coded in name and _HEX_OF[last] in name)
            for name, last in zip(names, lasts, strict=True)
        ]
    else:
        found = [_perhaps_encodes(*pair) for pair in zip(names, addresses, strict=True)]
    wordy = {rest for rest in rests if not _has_no_word(rest)}
    if wordy:
        found = [
            one or name.partition(".")[2] in wordy for one, name in zip(found, names, strict=True)
        ]
    if not _WORDS.isdisjoint(".".join(heads).translate(_TO_DOTS).split(".")):
        found = [one or not _has_no_word(head) for one, head in zip(found, heads, strict=True)]
    return found


def _perhaps_encodes(name: str, address: str) -> bool:
    """Whether `encodes_address` might say so; no is certain."""
    if ":" in address:
        return _V6_CANDIDATE.search(name) is not None
    return encodes_address(name, address)


def encodes_address(name: str, address: str) -> bool:
    """Whether the name holds the address, or enough of its end to be told by it.

    IPv4, in decimal: the octets in order or backwards with anything but digits in between;
    in any other order with one of `-`, `.`, `_`, `x`; joined, if zero-padded to three
    digits each or of seven digits at least; of the last three or two octets only the order
    or its reverse, one separator apart, and of two only from three digits on. In hex: all
    four octets in order or backwards, with separators or without.
    IPv6, in hex: the last 32 bits or more, as nibbles in order or backwards, with separators
    or without; the last groups without their leading zeros, four of them or five digits;
    the compressed form with a separator for the colon.
    """
    if ":" in address:
        return _encodes_v6(name, address)
    octets = address.split(".")
    _, _, third, fourth = octets
    if third in name and fourth in name and _holds_decimals(name, octets):
        return True
    return _HEX_OF[fourth] in name and _HEX_OF[third] in name and _holds_hex(name, octets)


def _holds_decimals(name: str, octets: list[str]) -> bool:
    """Whether all four octets, or the last of them, are in the name in decimal."""
    if _holds_plainly(name, octets):
        return True
    values, widths, tight = _numbers(name)
    wanted = [int(octet) for octet in octets]
    backwards = wanted[::-1]
    ordered = sorted(wanted)
    for at in range(len(values) - 3):
        window = values[at : at + 4]
        if window in (wanted, backwards):
            return True
        if all(tight[at + 1 : at + 4]) and sorted(window) == ordered:
            return True
    for size in (3, 2):
        tails = (wanted[-size:], backwards[:size])
        for at in range(len(values) - size + 1):
            if (
                values[at : at + size] in tails
                and all(tight[at + 1 : at + size])
                and sum(widths[at : at + size]) >= _FEWEST_TAIL
            ):
                return True
    joined = "".join(octets)
    return len(joined) >= _FEWEST_JOINED and not {joined, "".join(octets[::-1])}.isdisjoint(
        _NUMBERS.findall(name)
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
        size = _OCTET_DIGITS if len(digits) in _PADDED else len(digits)
        parts = [digits[at : at + size] for at in range(0, len(digits), size)]
        values += [int(part) if size <= _OCTET_DIGITS else -1 for part in parts]
        widths += [size] * len(parts)
        tight.append(name[end : match.start()] in _SEPARATORS)
        tight += [True] * (len(parts) - 1)
        end = match.end()
    return values, widths, tight


def _holds_hex(name: str, octets: list[str]) -> bool:
    """Whether all four octets are in the name in hex."""
    codes = [_HEX_OF[octet] for octet in octets]
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
    groups = _groups(address)
    nibbles = "".join([group.zfill(_GROUP_DIGITS) for group in groups])
    backwards = nibbles[::-1]
    ends = (nibbles[-8:], *[backwards[:digits] for digits in range(8, 33, 4)])
    runs, tight = _hex_runs(name)
    tail = ""
    for at, run in enumerate(runs):
        # An address ends where its run of digits does: what goes on is a neighbour's name.
        tail = tail + run if tight[at] else run
        if tail.endswith(ends) or _ends_in_groups(runs, tight, at, groups):
            return True
    return "::" in address and _holds_compressed(name, address)


def _groups(address: str) -> list[str]:
    """Return the eight groups of a canonical IPv6 address, without leading zeros."""
    head, gap, tail = address.partition("::")
    left = head.split(":") if head else []
    right = tail.split(":") if tail else []
    missing = _GROUPS - len(left) - len(right) if gap else 0
    return left + ["0"] * missing + right


def _ends_in_groups(runs: list[str], tight: list[bool], at: int, groups: list[str]) -> bool:
    """Whether the runs up to the one at `at` are the last groups, each as a number."""
    digits = count = 0
    while count < _GROUPS and at >= 0:
        run = runs[at]
        if len(run) > _GROUP_DIGITS or (run.lstrip("0") or "0") != groups[-1 - count]:
            break
        count += 1
        digits += len(run)
        if not tight[at]:
            break
        at -= 1
    return count >= _V6_TAIL_GROUPS or (count > 1 and digits >= _V6_TAIL_DIGITS)


def _holds_compressed(name: str, address: str) -> bool:
    """Whether the address as written is in the name, with a separator for each colon."""
    for separator in "-_x":
        text = address.replace(":", separator)
        at = name.find(text)
        if at >= 0 and name[at + len(text) : at + len(text) + 1] not in _HEX_DIGITS:
            return True
    return False


@lru_cache(maxsize=8192)
def _has_no_word(part: str) -> bool:
    """Whether no word at all is in a part of a name: neighbours share the most of theirs."""
    return _WORDS.isdisjoint(part.translate(_TO_DOTS).split("."))


def generic_words(name: str) -> str | None:
    """Return the word in the name that says dynamic, dial-up or customer line, or None.

    Only whole words left of the registrable domain count, cut at whatever is no letter:
    neither the domain's own name nor a word in a word. Words that mail servers have in
    their names too (`customer`, `home`, `pool`) count only where none for mail stands beside
    them and the host is numbered or the word is a zone of its own (`gw.customer.example.net`).
    """
    head, _, parent = name.partition(".")
    if _has_no_word(parent) and (head not in _WORDS if head.isalpha() else _has_no_word(head)):
        return None
    domain = registrable(name)
    if domain is None or domain == name:
        return None
    host = name[: -len(domain) - 1]
    labels = [
        label.translate(_TO_DOTS).split(".")
        for label in host.split(".")
        if label[:4] != "xn--"  # what stands in there is code
    ]
    words = [word for label in labels for word in label]
    for word in words:
        if word in _STRONG:
            return word
    if not _MAIL.isdisjoint(words):
        return None
    candidates = (
        words if _NUMBERS.search(host) else [word for label in labels[1:] for word in label]
    )
    return next((word for word in candidates if word in _WEAK), None)
