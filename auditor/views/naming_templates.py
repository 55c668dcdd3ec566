"""Finds the pattern that the PTR names of a network follow, such as `h-{3}-{4}.cust.example.net`.

    names = NamingTemplates()
    names.add_names((V4, 0xC63364), "example.net", [7, 8], [b"h-100-7.example.net", ...])
    for naming in names.templates(): naming.template, naming.kept, naming.named

`{1}` to `{4}` are the octets of the address, `{4:03}` with leading zeros, `{4:x}` and `{4:02x}` in
hex. Of IPv6 `{nibbles}` are all 32 digits, `{groups}` the eight groups in full, `{iid}` the last
four of them, `{address}` the address as it is written; each with what stands between, such as
`{groups:-}`, and `{nibbles:.:reversed}` backwards.

What varies in a /24 is the last octet, so a pattern is the text before and after it. All names
of the /24 in one domain decide on it, since in a single name `10` may be any octet; which octet
another number is, all /24s of that domain decide. Memory is bounded.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.encoded_address import says_mail
from auditor.views.naming_encodings import encodings, placed, spelled
from auditor.views.prefixes import CELL_BITS, WIDTH, Prefix, prefixes_of
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.views.naming_encodings import Encoding
    from auditor.views.prefixes import Network

__all__ = ["NamingTemplate", "NamingTemplates"]

#: Names that must follow a pattern: three may be similar by chance.
_MIN_KEPT: Final = 4
#: Names of a network that are not a coincidence, and count as generic if they are half of all.
_MIN_GENERIC: Final = 16
#: Names that are searched for patterns; all are compared with the patterns found.
_SAMPLES: Final = 8
#: Patterns that are compared with all names: those that most samples suggest.
_TRIED: Final = 6
#: Patterns of one domain in a /24: two pools side by side, and what is left.
_MAX_PATTERNS: Final = 4
#: Names that follow no pattern, kept for a /24 and domain, and in all.
_MAX_OTHERS: Final = 16
_MAX_GROUPS: Final = 1 << 16
_MAX_NAME_OCTETS: Final = 255


class _Pattern(NamedTuple):
    """Names of one network: the text before and after the encoded end of the address.

    `template`: of another network, that it was made of.
    """

    before: bytes
    after: bytes
    encoding: Encoding
    template: str = ""


class NamingTemplate(NamedTuple):
    """A pattern of PTR names.

    `kept` names of `domain` follow it, of `named` in the same `networks` (each pattern counted);
    `generic` of `kept` have no PTR_GENERIC in their records, but are generic by their neighbours.
    `others` are (address, name) of some that follow no pattern.
    """

    template: str
    domain: str
    kept: int
    named: int
    generic: int
    networks: tuple[Prefix, ...]
    others: tuple[tuple[int, int, str], ...]


class _Group:
    """The names of one domain in one network."""

    __slots__ = ("kept", "named", "others", "patterns", "unmarked", "unmarked_others")

    def __init__(self) -> None:
        self.named = 0
        self.patterns: list[_Pattern] = []
        #: By pattern: names that follow it, and those without PTR_GENERIC.
        self.kept: list[int] = []
        self.unmarked: list[int] = []
        #: Names that follow none so far, by offset, and those without PTR_GENERIC.
        self.others: dict[int, bytes] = {}
        self.unmarked_others: set[int] = set()

    def adopt(self, pattern: _Pattern) -> int:
        """Add a pattern without names so far; return its index."""
        self.patterns.append(pattern)
        self.kept.append(0)
        self.unmarked.append(0)
        return len(self.patterns) - 1


class NamingTemplates:
    """Gathers PTR names by network and domain, in any order, and finds their patterns."""

    def __init__(self, limit: int = _MAX_GROUPS) -> None:
        self._groups: dict[tuple[Network, str], _Group] = {}
        self._limit = limit
        #: By IP version and domain: templates found last, to be tried in other networks first.
        self._known: dict[tuple[int, str], list[tuple[str, Encoding]]] = {}
        #: Names that are not examined since there are too many networks and domains.
        self.beyond = 0

    def add_names(
        self,
        network: Network,
        domain: str,
        offsets: Sequence[int],
        names: Sequence[bytes],
        *,
        generic: bool = False,
    ) -> None:
        """Take the first PTR name of some addresses of a network, by their offsets into it.

        `domain` is that of the names (see `owner`); `generic`: whether their records have
        PTR_GENERIC. Names escaped in JSON, and longer ones than the DNS has, follow no pattern.
        """
        group = self._groups.get((network, domain))
        if group is None:
            if len(self._groups) >= self._limit:
                self.beyond += len(names)
                return
            group = self._groups[network, domain] = _Group()
        group.named += len(names)
        if self._all_keep(group, network, domain, offsets, names, generic=generic):
            return
        left = list(zip(offsets, names, strict=True))
        for index in range(len(group.patterns)):
            left = self._keep(group, index, network, left, generic=generic)
        while len(left) + len(group.others) >= _MIN_KEPT and len(group.patterns) < _MAX_PATTERNS:
            waiting = list(group.others.items())
            found = self._best(network, domain, left + waiting)
            if found is None:
                break
            index = group.adopt(found)
            left = self._keep(group, index, network, left, generic=generic)
            group.others = dict(self._keep(group, index, network, waiting, generic=True))
            unmarked = group.unmarked_others.difference(group.others)
            group.unmarked[index] += len(unmarked)
            group.unmarked_others -= unmarked
        for offset, name in left[: _MAX_OTHERS - len(group.others)]:
            if offset not in group.others:
                group.others[offset] = name
                if not generic:
                    group.unmarked_others.add(offset)

    def _all_keep(
        self,
        group: _Group,
        network: Network,
        domain: str,
        offsets: Sequence[int],
        names: Sequence[bytes],
        *,
        generic: bool,
    ) -> bool:
        """Count names if all of them follow one pattern, as in most pools.

        The pattern is one of the group or of another network of the domain.
        """
        if network[0] != V4:
            return False
        text = b"\n".join(names)
        followed = (
            at for at, pattern in enumerate(group.patterns) if _follow(pattern, offsets, text)
        )
        index = next(followed, None)
        if index is None:
            if group.others or len(names) < _MIN_KEPT or len(group.patterns) >= _MAX_PATTERNS:
                return False
            for template, encoding in self._known.get((V4, domain), ()):
                before, after = placed(template, network)
                pattern = _Pattern(before, after, encoding, template)
                if _follow(pattern, offsets, text):
                    index = group.adopt(pattern)
                    break
            else:
                return False
        group.kept[index] += len(names)
        group.unmarked[index] += 0 if generic else len(names)
        return True

    def _best(
        self, network: Network, domain: str, pairs: list[tuple[int, bytes]]
    ) -> _Pattern | None:
        """Return a pattern that names follow: one of other networks, or a new one."""
        known = self._known.setdefault((network[0], domain), [])
        some = pairs[:: max(len(pairs) // _SAMPLES, 1)][:_SAMPLES]
        for template, encoding in known:
            before, after = placed(template, network)
            pattern = _Pattern(before, after, encoding, template)
            if 2 * len(_misfits(network, pattern, some)) <= len(some) and (
                len(pairs) - len(_misfits(network, pattern, pairs)) >= _MIN_KEPT
            ):
                return pattern
        found = _best(network, pairs)
        if found is not None:
            encoding = found.encoding
            known[:0] = [(each, encoding) for each in _spelled(network, found)[:1]]
            del known[_MAX_PATTERNS:]
        return found

    @staticmethod
    def _keep(
        group: _Group,
        index: int,
        network: Network,
        pairs: list[tuple[int, bytes]],
        *,
        generic: bool,
    ) -> list[tuple[int, bytes]]:
        """Count the names that follow a pattern; return the others."""
        left = _misfits(network, group.patterns[index], pairs)
        kept = len(pairs) - len(left)
        group.kept[index] += kept
        group.unmarked[index] += 0 if generic else kept
        return left

    def templates(self) -> list[NamingTemplate]:
        """Return the templates that most names follow, those with the most names first."""
        choices: dict[tuple[str, str], int] = Counter()
        spellings: dict[tuple[Network, str, int], list[str]] = {}
        for (network, domain), group in self._groups.items():
            for index, pattern in enumerate(group.patterns):
                if group.kept[index] < min(_MIN_GENERIC, max(_MIN_KEPT, group.named // 2)):
                    continue  # by chance
                found = _spelled(network, pattern)
                spellings[network, domain, index] = found
                for template in found:
                    choices[domain, template] += 1
        gathered: dict[tuple[str, str], list[tuple[Network, int]]] = defaultdict(list)
        for (network, domain, index), found in spellings.items():
            # Of equal ones the first, which is the likelier by itself.
            template = max(found, key=lambda text: choices[domain, text])
            gathered[domain, template].append((network, index))
        rows = [self._row(*key, places) for key, places in gathered.items()]
        return sorted(rows, key=lambda row: (-row.kept, row.domain, row.template))

    def _row(
        self, domain: str, template: str, places: Iterable[tuple[Network, int]]
    ) -> NamingTemplate:
        kept = named = generic = 0
        # Mail servers are numbered, too, and are not generic.
        is_generic = not says_mail(template)
        others: list[tuple[int, int, str]] = []
        networks: dict[Network, None] = {}
        for network, index in sorted(places):
            group = self._groups[network, domain]
            kept += group.kept[index]
            if is_generic and group.kept[index] >= max(_MIN_GENERIC, group.named // 2):
                generic += group.unmarked[index]
            if network in networks:
                continue
            networks[network] = None
            named += group.named
            version, number = network
            first = number << (WIDTH[version] - CELL_BITS[version])
            others += [
                (version, first + offset, name.decode("ascii", "replace"))
                for offset, name in sorted(group.others.items())[: _MAX_OTHERS - len(others)]
            ]
        return NamingTemplate(
            template, domain, kept, named, generic, prefixes_of(networks), tuple(others)
        )


def _spelled(network: Network, pattern: _Pattern) -> list[str]:
    """Return the templates that a pattern may follow, the likeliest first."""
    if pattern.template:
        return [pattern.template]
    return spelled(network, pattern.before, pattern.after, pattern.encoding)


def _follow(pattern: _Pattern, offsets: Sequence[int], names: bytes) -> bool:
    """Tell whether all names, joined by line feeds, follow a pattern."""
    before, after, encoding, _ = pattern
    if not (names.startswith(before) and names.endswith(after)):
        return False
    table = encoding.table
    between = b"%b\n%b" % (after, before)
    return names == b"%b%b%b" % (before, between.join([table[offset] for offset in offsets]), after)


def _misfits(
    network: Network, pattern: _Pattern, pairs: list[tuple[int, bytes]]
) -> list[tuple[int, bytes]]:
    """Return the pairs of offset and name that do not follow a pattern."""
    before, after, encoding, _ = pattern
    if table := encoding.table:
        return [pair for pair in pairs if pair[1] != before + table[pair[0]] + after]
    text_of = encoding.text
    return [pair for pair in pairs if pair[1] != before + text_of(network, pair[0]) + after]


def _best(network: Network, pairs: list[tuple[int, bytes]]) -> _Pattern | None:
    """Return the pattern that the most names follow, if some do."""
    votes: Counter[_Pattern] = Counter()
    # Numbers of three digits are found in fewer places by chance.
    order = sorted(pairs, key=lambda pair: -pair[0])
    step = max(len(order) // _SAMPLES, 1)
    for offset, name in order[::step][:_SAMPLES]:
        if len(name) <= _MAX_NAME_OCTETS and b"\\" not in name:
            votes.update(_suggested(network, offset, name).keys())
    best, most = None, _MIN_KEPT - 1
    for pattern, _ in votes.most_common(_TRIED):
        kept = len(pairs) - len(_misfits(network, pattern, pairs))
        if kept > most:
            best, most = pattern, kept
        if kept == len(pairs):
            break
    return best


def _suggested(network: Network, offset: int, name: bytes) -> dict[_Pattern, None]:
    """Return the patterns that a name may follow, the likeliest first."""
    found: dict[_Pattern, None] = {}
    for encoding in encodings(network[0]):
        text = encoding.text(network, offset)
        at = name.find(text)
        while at >= 0:
            found[_Pattern(name[:at], name[at + len(text) :], encoding)] = None
            at = name.find(text, at + 1)
    return found
