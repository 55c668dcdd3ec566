"""Public suffix list: top-level domains and registrable domains, offline.

From the ICANN section of the Public Suffix List in the package `publicsuffixlist`. The
package's own parser encodes all rules, of which a run uses few, and is 20 times as slow; here
the rules of a top-level domain are read when a name in it is first looked up, and an A-label
is decoded then. A test compares the two.

The list's private section (hosting and dynamic DNS providers) is left out: it would make
every customer of a provider a registrable domain.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Final, NamedTuple

__all__ = ["is_public", "registrable"]

#: In the list or in wide use, but not in the public DNS: RFC 6761 §6, RFC 6762 §3,
#: RFC 7686 §2, RFC 9476 §2, and `internal`, which ICANN reserves for private use.
_SPECIAL_USE: Final = frozenset(
    {"alt", "example", "internal", "invalid", "local", "localhost", "onion", "test"}
)
#: The only special-use domain below a public TLD (RFC 8375), delegated to a black hole.
_HOME: Final = "home.arpa"

_MARKS: Final = (b"// ===BEGIN ICANN DOMAINS===", b"// ===END ICANN DOMAINS===")
_COMMENT: Final = "//"

#: Most top-level domains whose rules are kept: all of them, fewer than 1,500.
_MAX_TLDS: Final = 2048


class _Rules(NamedTuple):
    """The rules of a top-level domain, in Unicode and lower case.

    `suffixes` are the plain ones, `wildcards` and `exceptions` without their marks; `nodes`
    are all suffixes of the rules, so that a walk down from the TLD can stop early.
    """

    is_listed: bool
    suffixes: frozenset[str]
    wildcards: frozenset[str]
    exceptions: frozenset[str]
    nodes: frozenset[str]


@cache
def _section() -> bytes:
    """Return the ICANN section of the list: a rule or a comment a line."""
    from pathlib import Path  # noqa: PLC0415 - as below

    from publicsuffixlist import PSLFILE  # noqa: PLC0415 - loaded on first need

    text = Path(PSLFILE).read_bytes()
    return text[text.index(_MARKS[0]) : text.index(_MARKS[1])]


@lru_cache(maxsize=_MAX_TLDS)
def _rules(tld: str) -> _Rules:
    """Return the rules that end in a label: a check of one address needs only a few."""
    octets = tld.encode(errors="replace")
    parts = _section().split(b".%b\n" % octets)[:-1]
    heads = [part.rpartition(b"\n")[2].decode() for part in parts]
    rules = [f"{head}.{tld}" for head in heads if not head.startswith(_COMMENT)]
    nodes = set[str]()
    for rule in rules:
        parent = rule.partition(".")[2]
        while parent and parent not in nodes:
            nodes.add(parent)
            parent = parent.partition(".")[2]
    is_line = b"\n%b\n" % octets in _section() and tld != "" and not tld.startswith(_COMMENT)
    return _Rules(
        is_listed=tld not in _SPECIAL_USE and (is_line or bool(rules)),
        suffixes=frozenset(rule for rule in rules if rule[0] not in "!*"),
        wildcards=frozenset(rule[2:] for rule in rules if rule[0] == "*"),
        exceptions=frozenset(rule[1:] for rule in rules if rule[0] == "!"),
        nodes=frozenset(nodes),
    )


@lru_cache(maxsize=1024)
def _decoded(label: str) -> str:
    """Return an A-label in Unicode, as in the list; any other or broken label unchanged."""
    if label[:4] != "xn--":
        return label
    try:
        return label[4:].encode("ascii").decode("punycode")
    except (UnicodeError, OverflowError):
        return label


def is_public(name: str) -> bool:
    """Whether the name lies below a top-level domain of the public DNS.

    `name` is in lower case, with A-labels, without final dot. Special-use names (`local`,
    `test`, `home.arpa`, ...) do not, although some are in the list.
    """
    tld = name[name.rfind(".") + 1 :]
    if tld == "arpa":
        return not f".{name}".endswith(f".{_HOME}")
    return _rules(_decoded(tld)).is_listed


def registrable(name: str) -> str | None:
    """Return the registrable domain of a name: the public suffix and one label.

    None if the name is itself a public suffix, or has empty or escaped labels. An unknown
    top-level domain counts as a public suffix, by the list's default rule `*`.
    """
    if "\\" in name:
        return None
    if "xn--" not in name:
        start = _start(name)
        return None if start < 0 else name[start:]
    text = ".".join(_decoded(label) for label in name.split("."))
    start = _start(text)
    # The same number of labels, with other lengths.
    return None if start < 0 else ".".join(name.split(".")[text.count(".", 0, start) :])


def _start(name: str) -> int:
    """Return where the registrable domain begins in a Unicode name, or -1 without one."""
    dot = public = name.rfind(".")  # the dots before the labels checked so far, and the suffix
    parent = name[dot + 1 :]
    _, suffixes, wildcards, exceptions, nodes = _rules(parent)
    while dot > 0 and parent in nodes:
        above = dot
        dot = name.rfind(".", 0, dot)
        rest = name[dot + 1 :]
        if rest in exceptions:  # the parent of an exception is the suffix
            public = above
            break
        # The parent of a wildcard cannot be registered itself.
        if rest in suffixes or rest in wildcards or parent in wildcards:
            public = dot
        parent = rest
    if public <= 0:
        return -1
    start = name.rfind(".", 0, public) + 1
    return -1 if start == public else start
