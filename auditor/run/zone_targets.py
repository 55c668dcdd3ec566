"""Zones as targets: every address with a PTR record in a reverse zone, or in a forward zone.

`zone:NAME` is read from the zone files of the run, or transferred (AXFR). If no server transfers
an IPv4 reverse zone, all of its addresses are targets instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar, cast

from auditor.errors import AuditorError, TransferError, UsageError, WireError
from auditor.quoting import quoted
from auditor.run.event_loop import run_loop
from auditor.targets.item import ZONE_TARGET, SpanEntry, invalid
from auditor.targets.spans import Span
from auditor.targets.target import Target
from auditor.wire.addresses import V4, V6, format_address, number_of
from auditor.wire.codes import AAAA, PTR, A
from auditor.wire.names import normalise
from auditor.wire.reverse import classless_address, is_reverse, reverse_prefix

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from auditor.resolve.zones.zone import Zone
    from auditor.settings import Settings
    from auditor.targets.item import Entry
    from auditor.targets.target import Origin

__all__ = ["FoundZone", "ZoneTargets", "addresses_of", "read_zones"]

_log = logging.getLogger("auditor")

T = TypeVar("T")

#: The largest IPv4 zone whose addresses are looked up one by one: a /16.
_SHORTEST_PREFIX: Final = 16
_BITS: Final = {V4: 32, V6: 128}


class ZoneTargets:
    """The addresses of the zones that targets name; each zone is read once.

    May be called in any thread, and blocks it while a zone is transferred.
    """

    def __init__(self, settings: Settings) -> None:
        #: Each zone with its serial number, and where it is from.
        self.sources: list[str] = []
        self._settings = settings
        self._found: dict[str, _Content] = {}

    def __call__(self, text: str, origin: Origin) -> Iterator[Entry]:
        """Yield the targets of a zone, `zone:NAME`, or an invalid one if it cannot be read.

        Raises ZoneFileError.
        """
        content = self._content(text)
        if isinstance(content, AuditorError):
            yield invalid(text, origin, str(content))
        elif isinstance(content, Span):
            yield SpanEntry(content, origin)
        else:
            zone, addresses = content
            for address, names in addresses:
                yield _target(address, names, zone, origin)

    def refuse_unread(self, texts: Iterable[str]) -> None:
        """Raise UsageError or TransferError for the first `zone:NAME` that cannot be read."""
        for text in texts:
            content = self._content(text)
            if isinstance(content, AuditorError):
                raise content

    def _content(self, text: str) -> _Content:
        name = text.removeprefix(ZONE_TARGET)
        if name not in self._found:
            try:
                self._found[name] = self._read(name)
            except (UsageError, TransferError) as error:
                self._found[name] = error
        return self._found[name]

    def _read(self, name: str) -> _Content:
        """Return the addresses in a zone, or the prefix that replaces it."""
        settings = self._settings
        try:
            ((zone, source),) = _run_anywhere(read_zones([name], settings, settings.zones))
        except TransferError as error:
            span = _span_in_place_of(name)
            if span is None:
                raise
            prefix = f"{format_address(V4, span.first)}/{33 - span.size.bit_length()}"
            _log.warning("%s; each address of %s is looked up instead", error, prefix)
            self.sources.append(f"{name} as {prefix}")
            return span
        self.sources.append(f"{zone.origin} {zone.serial} {source}")
        return zone.origin, addresses_of(zone)


#: The origin of a zone, and the addresses in it, sorted, with the names that each has there; or
#: the addresses that stand in for it; or why there are none.
_Content: TypeAlias = "tuple[str, list[tuple[str, list[str]]]] | Span | UsageError | TransferError"


def _run_anywhere(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, on a thread of its own where a loop is running already."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return run_loop(main)
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - for few programs

    with ThreadPoolExecutor(1) as executor:
        return executor.submit(run_loop, main).result()


class FoundZone(NamedTuple):
    """A zone, and where it is from: `file`, or a server."""

    zone: Zone
    source: str


async def read_zones(
    names: Sequence[str], settings: Settings, files: Path | None
) -> list[FoundZone]:
    """Return zones by their names: from zone files, or else transferred.

    Raises UsageError for a zone that is not found, TransferError, ZoneFileError.
    """
    loaded = await _loaded(files)
    return [await _find(name, loaded, settings) for name in names]


async def _loaded(files: Path | None) -> Mapping[str, Zone]:
    """Return the zones of zone files, by origin."""
    if files is None:
        return {}
    from auditor.resolve.zones.engine import ZoneFileEngine  # noqa: PLC0415 - for few runs

    engine = ZoneFileEngine(files)
    await engine.start()
    return engine.zones


async def _find(text: str, loaded: Mapping[str, Zone], settings: Settings) -> FoundZone:
    try:
        name = normalise(text)
    except WireError:
        raise UsageError(f"{quoted(text)}: expected the name of a zone") from None
    if name in loaded:
        return FoundZone(loaded[name], "file")
    if not settings.transfer_from:
        raise UsageError(
            f"{quoted(text)}: no zone of that name is loaded; load zone files with --zones DIR, "
            "or transfer it with --transfer-from ADDR"
        )
    from auditor.resolve.transfer import transfer_zones  # noqa: PLC0415 - for few runs

    (zone,) = await transfer_zones([name], settings.transfer_from, settings.tsig_file)
    return FoundZone(zone.zone(), zone.server)


def _span_in_place_of(text: str) -> Span | None:
    """Return the addresses of an IPv4 reverse zone, None for any other, and for one too large."""
    prefix = reverse_prefix(normalise(text))
    if prefix is None or prefix.version != V4 or prefix.length < _SHORTEST_PREFIX:
        return None
    return Span(V4, prefix.first, prefix.first + (1 << 32 - prefix.length) - 1)


def addresses_of(zone: Zone) -> list[tuple[str, list[str]]]:
    """Return the addresses in a zone, sorted, with their PTR names or the names that have them."""
    names: defaultdict[str, list[str]] = defaultdict(list)
    for address, name in _ptr_names(zone) if is_reverse(zone.origin) else _forward_names(zone):
        names[address].append(name)
    return [
        (address, sorted(set(names[address])))
        for address in sorted(names, key=lambda text: (":" in text, number_of(text)))
    ]


def _ptr_names(zone: Zone) -> Iterator[tuple[str, str]]:
    for owner, _, _, records in zone.record_sets({PTR}):
        address = _address_of(owner)
        if address:
            for name in records:
                yield address, cast("str", name)


def _forward_names(zone: Zone) -> Iterator[tuple[str, str]]:
    for owner, _, _, records in zone.record_sets({A, AAAA}):
        if not owner.startswith("*."):
            for address in records:
                yield cast("str", address), owner


def _address_of(owner: str) -> str:
    """Return the address of a reverse name, "" if it is not that of an address."""
    prefix = reverse_prefix(owner)
    if prefix is None:
        return classless_address(owner) or ""
    if prefix.length != _BITS[prefix.version]:
        return ""
    return format_address(prefix.version, prefix.first)


def _target(address: str, names: Sequence[str], zone: str, origin: Origin) -> Target:
    """Return an address as a target, with the names that the zone gives it.

    It has the label `zone`, and its only name as the label `expected`; several as `names`.
    """
    expected = names[0] if len(names) == 1 else ""
    label = {"expected": expected} if expected else {"names": " ".join(names)}
    labels = {**origin.labels, "zone": zone, **label}
    of_address = origin._replace(labels=labels, expected=expected)
    return Target(address, "ip", V6 if ":" in address else V4, of_address)
