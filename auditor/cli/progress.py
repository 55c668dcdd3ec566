"""The progress line: on a terminal, on stderr, while a scan goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from auditor.run.progress import Snapshot

__all__ = ["Progress", "describe"]

_UPDATES_PER_SECOND: Final = 5


class Progress:
    """Shows rate, what is under way, counts of verdicts, and an ETA when the size is known.

    `snapshot` returns the state of the scan. With `shown` false it does nothing.
    """

    def __init__(self, snapshot: Callable[[], Snapshot], *, shown: bool) -> None:
        self._snapshot = snapshot
        self._shown = shown
        self._live: Any = None

    def __enter__(self) -> None:
        if not self._shown:
            return
        # A library that a run without a terminal never needs.
        from rich.console import Console  # noqa: PLC0415 - see above
        from rich.live import Live  # noqa: PLC0415
        from rich.text import Text  # noqa: PLC0415

        self._live = Live(
            console=Console(stderr=True),
            get_renderable=lambda: Text(self._line(), no_wrap=True, overflow="ellipsis"),
            refresh_per_second=_UPDATES_PER_SECOND,
            transient=True,
        )
        self._live.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def _line(self) -> str:
        now = self._snapshot()
        return describe(
            now.tally.records,
            now.targets,
            now.under_way,
            dict(now.tally.verdicts),
            now.seconds,
            before=now.before,
            server_limits=now.server_limits,
        )


def describe(
    done: int,
    total: int | None,
    under_way: int,
    verdicts: dict[str, int],
    seconds: float,
    *,
    before: int = 0,
    server_limits: Mapping[str, Mapping[str, int | str]] | None = None,
) -> str:
    """Return the progress line.

    `total` is None when the input has no known end; `before` is how many were done
    already when the scan began; `server_limits` are the limits found of servers.
    """
    rate = (done - before) / seconds if seconds > 0 else 0.0
    parts = [f"{done:,}" + (f"/{total:,}" if total is not None else "")]
    if total:
        parts[0] += f" {done / total:.0%}"
    parts.append(f"{rate:,.0f}/s")
    parts.append(f"{under_way:,} under way")
    parts += [f"{count:,} {verdict}" for verdict, count in sorted(verdicts.items())]
    if total is not None and rate > 0:
        parts.append(f"ETA {_duration((total - done) / rate)}")
    parts += [_limits(server, limits) for server, limits in (server_limits or {}).items()]
    return " · ".join(parts)


def _limits(server: str, bounds: Mapping[str, int | str]) -> str:
    words = {"at_a_time": "at a time", "a_second": "a second"}
    limits = [f"{bounds[kind]:,} {text}" for kind, text in words.items() if kind in bounds]
    return f"{server} limited to {', '.join(limits)}"


def _duration(seconds: float) -> str:
    minutes, second = divmod(round(max(seconds, 0)), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
