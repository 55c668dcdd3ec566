"""Detects generic PTR names: made by pattern for an address, not given to a mail server.

Receivers distrust them: whole blocks of dial-up and cable customers are named by pattern,
and mail straight from them is mostly not wanted. Three signs are looked for: the name encodes
the address; a word in it says `dynamic` and the like; it is a placeholder (`no-rdns`). Mail
services number their hosts by the end of the address, so a part of the address beside a word
for mail is no sign. A name may be anything in the DNS, up to 255 octets, so every test
is bounded, and an ordinary name passes after a few searches for a short string.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from auditor.findings.encoded_address import TO_DOTS, encodes_address, perhaps_encodes, says_mail
from auditor.publicsuffix import registrable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

__all__ = ["cut", "generic_words", "is_generic", "perhaps_generic", "wordy"]

# The words are in strings: a list with one word a line (SIM905) would be hard to read.

#: These say by themselves that the address is handed out, or is a customer's line.
_STRONG_WORDS: Final = frozenset(
    "adsl adslpool broadband catv cgn cgnat cpe dhcp dial dialin dialup"  # noqa: SIM905
    " docsis dsl dslam dslpool dyn dynamic dynamicip"
    " dynip dynpool fttb fttc ftth fttx gpon gprs hdsl hsd isdn modem natpool ppp"
    " pppoe ppppool pptp residential resnet sdsl shdsl umts unallocated unassigned"
    " unused vdsl wimax xdsl".split()
)
#: These are in names of mail servers as well (`customer-mail`, `mail.home.example.net`).
_WEAK_WORDS: Final = frozenset(
    "abo bband cable client clients cust customer customers"  # noqa: SIM905
    " fiber fibre guest home hotspot lte mobile pool pools res subs subscriber"
    " subscribers user users wifi wireless wlan".split()
)
#: A zone of dial-up lines if it is a label of its own; else a place, or somebody's name.
_DIALUP_ZONE: Final = r"dip[0-9]*"
_WORDS: Final = _STRONG_WORDS | _WEAK_WORDS
#: Words run together: `dslgw`, `modemcable`, `dynhost`; with one letter more, `poold`.
_GLUED: Final = (
    r"(?:(?:[ahirsvx]|sh)?dsl[a-d]?|dial(?:up|in)?|dyn(?:amic)?|dhcp|pppo?e?|catv|docsis|modem"
    r"|ftt[bchx]|pool[a-d]?|access|bras|cable|client|cpe|customer|cust|gw|home|host|ip|line|nas|nat"
    r"|node|port|res|static|subscriber|user|wifi)+"
)
#: Parts that make words run together count as a strong word, or as a weak one.
_GLUED_STRONG: Final = re.compile(r"dsl|dial|dyn|dhcp|ppp|catv|docsis|modem|ftt")
#: What a name without any of these has no such word, and no zone of dial-up lines.
_GLUED_ANY: Final = re.compile(rf"{_GLUED_STRONG.pattern}|pool|dip")

_DIGIT: Final = re.compile(r"[0-9]")

#: First labels of placeholders, for addresses without a name of their own.
_PLACEHOLDER: Final = re.compile(
    r"^(?:hosted[-_]?by"
    r"|(?:no|without|missing)[-_]?(?:r(?:ev(?:erse)?)?[-_]?dns|rev(?:erse)?|ptr|dns|(?:host)?name)"
    r"(?:[-_]?(?:configured|defined|entry|found|record|set|yet))*"
    r"|(?:r(?:ev(?:erse)?)?[-_]?dns|reverse|ptr|dns|(?:host)?name)(?:[-_]?(?:entry|is|record))*"
    r"[-_]?(?:not[-_]?|un)(?:assigned|available|configured|defined|found|set|specified)"
    r"|(?:not[-_]?|un)(?:assigned|allocated|configured|defined|known|named|registered|set|specified)"
    r"|not[-_]?(?:in[-_]?use|used)"
    r"|(?:please|change|set)[-_](?:me|(?:set|change|your|the|a|my)[-_](?:[a-z]+[-_])*"
    r"(?:r?dns|reverse|ptr|(?:host)?name))"
    r"|(?:default|placeholder)[-_](?:rdns|reverse|ptr)|placeholder)[-_]?[0-9]*$",
    re.MULTILINE,
)

#: Parts without which a placeholder may be a domain's own name.
_OF_REVERSE: Final = r"dns|ptr|rev"

#: The first two letters of every placeholder.
_PLACEHOLDER_STARTS: Final = frozenset("ho no wi mi re rd pt dn na un pl ch se de".split())  # noqa: SIM905


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


def cut(names: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return the first labels of some names, and what follows each of them."""
    rest = names[0].partition(".")[2]
    # Of a block there is one rest as a rule: then the labels are what is left between it.
    heads = ("\n".join(names) + "\n").split(f".{rest}\n")
    if len(heads) == len(names) + 1 and "." not in "".join(heads):
        return heads[:-1], [rest] * len(names)
    firsts, _, rests = zip(*[name.partition(".") for name in names], strict=True)
    return firsts, rests


def perhaps_generic(
    names: Sequence[str], heads: Sequence[str], addresses: Sequence[str]
) -> list[bool]:
    """Return for each name whether `is_generic` may be true of it; False is certain.

    For a block of names at once, with their first labels; what follows these must not be `wordy`.
    """
    found = perhaps_encodes(names, addresses)
    text = "\n".join(heads)
    if not _says_nothing(text) or _PLACEHOLDER.search(text):
        found = [
            perhaps or not _has_no_word(head) or _PLACEHOLDER.match(head) is not None
            for perhaps, head in zip(found, heads, strict=True)
        ]
    return found


def wordy(parts: Collection[str]) -> set[str]:
    """Return those parts of names in which there may be a word; of all others it is certain."""
    if _says_nothing("\n".join(parts)):
        return set()
    return {part for part in parts if not _has_no_word(part)}


def _says_nothing(text: str) -> bool:
    """Whether no word at all is in a part of a name, or in several with line ends in between."""
    return _WORDS.isdisjoint(text.translate(TO_DOTS).split(".")) and not _GLUED_ANY.search(text)


#: Neighbours share the most of their names.
_has_no_word: Final = lru_cache(maxsize=8192)(_says_nothing)


def generic_words(name: str) -> str | None:
    """Return what in the name says dynamic, dial-up or customer line, or None.

    Only whole words left of the registrable domain count, cut at whatever is no letter, and
    some that are run together (`dslgw`): neither the domain's own name nor a word in a word.
    Words that mail servers have in their names too (`customer`, `home`, `pool`) count only where
    nothing says mail and the host is numbered or the word is a zone of its own
    (`gw.customer.example.net`). A placeholder counts as the whole of the first label, and one
    about reverse names as a domain, too (`no-reverse-dns-configured.com`).
    """
    head, _, parent = name.partition(".")
    placeholder = _PLACEHOLDER.match(head) if head[:2] in _PLACEHOLDER_STARTS else None
    if placeholder is None and _has_no_word(parent) and _has_no_word(head):
        return None
    domain = registrable(name)
    if domain is None or (domain == name and not (placeholder and re.search(_OF_REVERSE, head))):
        return None
    return head if placeholder is not None else _customer_word(name, name[: -len(domain) - 1])


def _customer_word(name: str, host: str) -> str | None:
    """Return the word in a host's part of a name that says customer line, or None."""
    labels = host.split(".")
    is_for_mail = says_mail(name)
    for label in labels[1:]:
        if re.fullmatch(_DIALUP_ZONE, label) and not is_for_mail:
            return label
    words_of = [
        label.translate(TO_DOTS).split(".")
        for label in labels
        if label[:4] != "xn--"  # what is inside is code
    ]
    words = [word for label in words_of for word in label]
    for word in words:
        if word in _STRONG_WORDS or (_GLUED_STRONG.search(word) and re.fullmatch(_GLUED, word)):
            return word
    # Filters of mail have a customer's zone for what goes in.
    if is_for_mail or ["in"] in words_of:
        return None
    numbered = _DIGIT.search(host) is not None
    candidates = words if numbered else [word for label in words_of[1:] for word in label]
    return next(
        (
            word
            for word in candidates
            if word in _WEAK_WORDS or ("pool" in word and re.fullmatch(_GLUED, word))
        ),
        None,
    )
