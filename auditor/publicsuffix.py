"""Public suffix list: top-level domains and registrable domains, offline.

From the ICANN section of the public suffix list, as the package `publicsuffixlist` carries
it. Its own parser takes 10 times as long, mostly to encode rules that no name of a run
touches, and answers 20 times as slowly; here the rules are read as they stand, on first
need, and an A-label is decoded when one is looked up. A test holds both to one answer.

Who runs a name is asked of the registries' rules only: the list's private section (hosting
and dynamic DNS providers) would make every customer of a provider a domain of its own.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Final, NamedTuple

__all__ = ["is_public", "registrable"]

#: In the list or in wide use, but not to be found in the public DNS: RFC 6761 §6, RFC 6762
#: §3, RFC 7686 §2, RFC 9476 §2, and `internal`, which ICANN keeps for private use.
_SPECIAL_USE: Final = frozenset(
    {"alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
#: The one special-use domain below a public TLD (RFC 8375); its delegation leads nowhere.
_HOME: Final = "home.arpa"

_MARKS: Final = (b"// ===BEGIN ICANN DOMAINS===", b"// ===END ICANN DOMAINS===")


class _Rules(NamedTuple):
    """The rules, in Unicode and lower case.

    `suffixes` are the plain ones, `wildcards` and `exceptions` without their marks; `nodes`
    are all names that a rule ends in, so a walk from the TLD down knows when to stop.
    """

    tlds: frozenset[str]
    suffixes: frozenset[str]
    wildcards: frozenset[str]
    exceptions: frozenset[str]
    nodes: frozenset[str]


@cache
def _rules() -> _Rules:
    from pathlib import Path  # noqa: PLC0415 - as below

    from publicsuffixlist import PSLFILE  # noqa: PLC0415 - loaded on first need

    text = Path(PSLFILE).read_bytes()
    # By patterns: whoever checks one address should not wait for loops over all lines.
    section = text[text.index(_MARKS[0]) : text.index(_MARKS[1])].decode()
    text_of_rules = re.sub(r"(?m)^//.*", "", section)
    lines = {*text_of_rules.split("\n")} - {""}
    marked = {line for line in lines if line[0] in "!*"}
    parents = set(re.findall(r"\.(.+)", text_of_rules))
    nodes = set[str]()
    while parents:
        nodes |= parents
        parents = {line.partition(".")[2] for line in parents} - nodes - {""}
    tlds = {rule for rule in nodes if "." not in rule} | {
        *re.findall(r"(?m)^[^.\n]+$", text_of_rules)
    }
    return _Rules(
        frozenset(tlds - _SPECIAL_USE),
        frozenset(lines - marked),
        frozenset(rule[2:] for rule in marked if rule[0] == "*"),
        frozenset(rule[1:] for rule in marked if rule[0] == "!"),
        frozenset(nodes),
    )


@lru_cache(maxsize=1024)
def _decoded(label: str) -> str:
    """Return an A-label as the list writes it, any other label (or a broken one) as it is."""
    if label[:4] != "xn--":
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label


def is_public(name: str) -> bool:
    """Whether the name lies below a top-level domain of the public DNS.

    `name` as everywhere: lower case, A-labels, no final dot. The special-use names
    (`local`, `test`, `home.arpa`, ...) do not, although some are in the list.
    """
    tld = name[name.rfind(".") + 1 :]
    if tld == "arpa":
        return not f".{name}".endswith(f".{_HOME}")
    tlds = _rules().tlds
    return tld in tlds or (tld[:4] == "xn--" and _decoded(tld) in tlds)


def registrable(name: str) -> str | None:
    """Return the domain that a registry gave out for the name: the public suffix and a label.

    None if the name is itself a public suffix, or has empty or escaped labels. An unknown
    top-level domain counts as a public suffix, as the list's rule `*` has it.
    """
    if "\\" in name:
        return None
    if "xn--" not in name:
        start = _start(name)
        return None if start < 0 else name[start:]
    text = ".".join(_decoded(label) for label in name.split("."))
    start = _start(text)
    # The same number of labels, which have other lengths.
    return None if start < 0 else ".".join(name.split(".")[text.count(".", 0, start) :])


def _start(name: str) -> int:
    """Return where the registrable domain begins in a Unicode name, or -1 without one."""
    _, suffixes, wildcards, exceptions, nodes = _rules()
    dot = public = name.rfind(".")  # the dots before what was looked at, and before the suffix
    parent = name[dot + 1 :]
    while dot > 0 and parent in nodes:
        above = dot
        dot = name.rfind(".", 0, dot)
        rest = name[dot + 1 :]
        if rest in exceptions:  # the parent of an exception is the suffix
            public = above
            break
        # What a wildcard stands under is itself no one's to register.
        if rest in suffixes or rest in wildcards or parent in wildcards:
            public = dot
        parent = rest
    if public <= 0:
        return -1
    start = name.rfind(".", 0, public) + 1
    return -1 if start == public else start
