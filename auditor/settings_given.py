"""The arguments that `Settings` accepts, for type checkers: values of their types, or text."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of keywords
from pathlib import Path  # noqa: TC003 - the same
from typing import TypeAlias, TypedDict

from auditor.settings_values import Route, Server

__all__ = ["GivenSettings"]

_Texts: TypeAlias = str | list[str] | tuple[str, ...]
_Servers: TypeAlias = str | Server | list[str | Server] | tuple[str | Server, ...]


class GivenSettings(TypedDict, total=False):
    """The keywords of `Settings` and `Settings.load`; a test holds them to its fields."""

    servers: _Servers
    zones: str | Path | None
    engine: str
    concurrency: int | str | None
    qps: float | str | None
    server_qps: float | str | None
    server_check: bool | str
    timeout: float | str
    tries: int | str
    cache_size: int | str
    route: str | list[str] | tuple[str | Route, ...]
    direct: bool | str
    own: _Texts
    transfer_from: _Servers
    tsig_file: str | Path | None
    authority: str | None
    authority_port: int | str
    helo: str | None
    mail_from: _Texts
    spf: bool | str
    trace: bool | str
    fail_on: str
    max_unknown: float | str | None
    select: _Texts
    ignore: _Texts
    severities: Mapping[str, str] | list[str] | tuple[str, ...]
    receivers: _Texts
    receivers_file: str | Path | None
    max_targets: int | str
    deadline: float | str | None
    quiet: bool | str
    log_format: str
    metrics: str | Path | None
    workers: int | str
    scheduler: str | None
