"""Makes the page: one file of HTML without external resources.

Its policy allows its own script and style, by their digests, and nothing that leaves the
page. Data from DNS or an input file reaches the markup through the template's escaping, and the
script through base64; the script puts text into the page as text only.
"""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from auditor.findings.receivers import select_receivers
from auditor.views.reader.results import Results
from auditor.views.report.compare import gather
from auditor.views.report.encode import encode, page_data
from auditor.views.report.headline import counted, headline, news, reason, tiles, used
from auditor.views.report.maps import blocks
from auditor.views.report.ranking import no_longer_found, ranked
from auditor.views.report.rows import shown
from auditor.views.report.senders import sender_section
from auditor.views.report.zones import zone_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.views.report.aggregate import AggregateLimits

__all__ = ["ResultSource", "asset", "make_page", "origin"]

_FOLDER: Final = files("auditor.views.report") / "page"
#: The script, in this order in one function.
_SCRIPTS: Final = (
    "hilbert.js",
    "data.js",
    "table.js",
    "tables.js",
    "colours.js",
    "grid.js",
    "map.js",
    "readout.js",
    "main.js",
)
_STYLES: Final = ("page.css", "narrow.css", "print.css")
_FINISHED: Final = "finished"
#: Findings that are listed; the others are folded away.
_MAX_LISTED_FINDINGS: Final = 10


class ResultSource(NamedTuple):
    """The origin of results: the name, when they were made, and how the run ended if not well."""

    name: str
    when: str = ""
    unfinished: str = ""


def origin(names: Sequence[str]) -> ResultSource:
    """Return the origin of results: of a single one by its manifest, if there is one."""
    name = shown("standard input" if names[0] == "-" else Path(names[0]).name or names[0])
    if len(names) > 1:
        return ResultSource(f"{name} and {len(names) - 1} more")
    path = Path(names[0])
    beside = path / "manifest.json" if path.is_dir() else path.with_name(f"{path.name}.run.json")
    try:
        manifest = orjson.loads(beside.read_bytes())
        started, ended = (_time(manifest[key]) for key in ("started", "ended"))
        how = str(manifest["how"])
    except (OSError, ValueError, KeyError, TypeError):
        # Results do without a manifest, and so does their report.
        return ResultSource(name)
    ended = ended[len("2026-11-23 ") :] if started[:10] == ended[:10] else ended
    return ResultSource(name, f"{started} to {ended} UTC", "" if how == _FINISHED else shown(how))


def make_page(
    results: Sequence[str],
    previous: Sequence[str] = (),
    *,
    version: str,
    limits: AggregateLimits | None = None,
    receivers_file: Path | None = None,
    senders: Path | None = None,
) -> bytes:
    """Return the page of results, compared with earlier ones; the same page each time.

    `receivers_file`: rules of receivers over the built-in ones. `senders`: lines of `auditor
    senders --json`. Raises UsageError and InputError
    for results that cannot be read.
    """
    old = Results(previous) if previous else None
    chosen = select_receivers((), receivers_file)
    gathered, changes = gather(Results(results), old, limits, chosen)
    compared = changes is not None
    maps, others = blocks(gathered)
    findings = ranked(gathered, compared=compared)
    data = page_data(gathered, maps, others=others, compared=compared)
    script, style = _script(), "".join(map(asset, _STYLES))
    return _render(
        {
            "origin": origin(results),
            "previous": origin(previous) if previous else None,
            "version": version,
            "headline": headline(gathered),
            "reason": reason(gathered, findings),
            "news": news(changes),
            "tiles": tiles(gathered, compared=compared),
            "total": gathered.now.records,
            "findings": findings,
            "foremost": _MAX_LISTED_FINDINGS,
            "gone": no_longer_found(gathered),
            "receivers": [row for row in gathered.receivers.rows() if row.total],
            "addresses": gathered.receivers.addresses,
            "senders": sender_section(senders) if senders else None,
            "zones": zone_findings(results),
            "kinds": gathered.now.kinds,
            "maps": maps,
            "other_blocks": others,
            "complete": gathered.complete,
            "rows": len(gathered.rows),
            "lengths": gathered.lengths,
            "spf": bool(gathered.spf),
            "domains": bool(gathered.domains),
            "labels": bool(gathered.labels),
            "naming": bool(data["naming"]),
            "used": used(gathered),
            "prefixes": bool(gathered.prefixes),
            "data": encode(data),
            "script": script,
            "style": style,
            "script_digest": _digest(script),
            "style_digest": _digest(style),
        }
    )


def _render(values: dict[str, Any]) -> bytes:
    from jinja2 import Environment, FunctionLoader, StrictUndefined  # noqa: PLC0415 - not for a scan
    from markupsafe import Markup  # noqa: PLC0415 - as above

    environment = Environment(
        loader=FunctionLoader(asset),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(counted=counted)
    own = {name: Markup(values[name]) for name in ("script", "style")}  # noqa: S704 - our own files
    page = environment.get_template("page.html").render({**values, **own})
    return page.encode()


def _time(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M")


@cache
def asset(name: str) -> str:
    """Return a file of `page/`."""
    return (_FOLDER / name).read_text("utf-8")


@cache
def _script() -> str:
    parts = "\n".join(asset(name) for name in _SCRIPTS)
    return f'"use strict";\n(() => {{\n{parts}}})();\n'


def _digest(text: str) -> str:
    """Return the source expression of a text in a Content-Security-Policy (CSP 3 §2.3.1)."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
