"""The settings of a run, and the table of options: each is declared once, as a field of `Settings`.

A field says how its value is read, what is allowed, and its help text. The key in a file, the
`AUDITOR_*` variable, the command-line flag, the validation, and what `auditor config` and the
manifest show all follow from it. To add an option, add a field here.

An invalid value raises `UsageError` with one line that names the setting, its value and what was
expected.
"""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - of fields
from dataclasses import dataclass
from pathlib import Path  # noqa: TC003 - the same
from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.settings_option import Group, Option, declared_options, option
from auditor.settings_sources import DeclaredSettings
from auditor.settings_values import (
    AUTHORITY_MODES,
    Route,
    Server,
    parse_authority,
    parse_bool,
    parse_codes,
    parse_duration,
    parse_float,
    parse_int,
    parse_key_path,
    parse_path,
    parse_percent,
    parse_routes,
    parse_server_list,
    parse_severities,
    parse_text,
    parse_texts,
    parse_worker_count,
    parse_zone_names,
)

if TYPE_CHECKING:
    from typing import Unpack

    from auditor.settings_sources import GivenSettings

__all__ = ["OPTIONS", "Server", "Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(DeclaredSettings):
    """Everything that decides what a run does: the table of options.

    A value may also be text, as in a settings file: `Settings(zones="zones", helo="example.org")`.
    `Settings.load()` reads files and variables. The `help` of each field describes it. None is the
    engine's own choice, no limit, or "not set". `helo` and `mail_from` are kept with their
    domains in lower-case A-labels.
    """

    servers: tuple[Server, ...] = option(
        (),
        Group.SERVERS,
        parse_server_list,
        key="server",
        metavar="ADDR[:PORT]",
        repeatable=True,
        needs_trust=True,
        displaces="zones",
        unset="the system's resolvers",
        help="Ask this name server, [V6]:PORT for IPv6; several with commas, or those in "
        "@FILE; repeatable.  [default: the system's resolvers]",
    )
    zones: Path | None = option(
        None,
        Group.SERVERS,
        parse_path,
        metavar="DIR|FILE",
        needs_trust=True,
        displaces="server",
        help="Answer from zone files: a folder, one file, or a named.conf; no network.",
    )
    engine: str = option(
        "bulk",
        Group.SERVERS,
        parse_text,
        choices=("bulk", "cares"),
        help="bulk: batched UDP; cares: c-ares, portable.",
    )
    concurrency: int | None = option(
        None,
        Group.SCAN,
        parse_int,
        limits=(1, 1_000_000),
        in_records=False,
        unset="as many as the servers take",
        help="Queries in flight at most.",
    )
    qps: float | None = option(
        None,
        Group.SCAN,
        parse_float,
        limits=(0.1, 10_000_000),
        in_records=False,
        unset="no limit",
        help="Queries a second at most.",
    )
    server_qps: float | None = option(
        None,
        Group.SCAN,
        parse_float,
        limits=(0.1, 10_000_000),
        in_records=False,
        unset="no limit",
        help="Queries a second to one server at most.",
    )
    server_check: bool = option(
        True,
        Group.SERVERS,
        parse_bool,
        in_records=False,
        help="First send each server a test query that shows whether it answers and does not "
        "invent names, or skip it.  [default: check]",
    )
    timeout: float = option(
        2.0,
        Group.SERVERS,
        parse_float,
        metavar="S",
        limits=(0.05, 60),
        in_records=False,
        help="Seconds for one try.",
    )
    tries: int = option(
        5,
        Group.SERVERS,
        parse_int,
        limits=(1, 20),
        in_records=False,
        help="Queries for one question at most.",
    )
    cache_size: int = option(
        65_536,
        Group.SCAN,
        parse_int,
        limits=(0, 100_000_000),
        in_records=False,
        help="Answers kept at most.",
    )
    route: tuple[Route, ...] = option(
        (),
        Group.SERVERS,
        parse_routes,
        metavar="ZONE=ADDR[:PORT]",
        repeatable=True,
        needs_trust=True,
        help="Ask these servers for names at or below a zone, several with commas; repeatable.",
    )
    direct: bool = option(
        False,
        Group.SERVERS,
        parse_bool,
        needs_trust=True,
        help="Find the servers of the zones and ask them, not the resolvers.",
    )
    own: tuple[str, ...] = option(
        (),
        Group.SERVERS,
        parse_zone_names,
        metavar="ZONE",
        repeatable=True,
        needs_trust=True,
        help="A zone of your own: a missing delegation is a finding, and with --direct its "
        "servers are asked as fast as they answer, others 20 times a second; repeatable.",
    )
    transfer_from: tuple[Server, ...] = option(
        (),
        Group.TRANSFERS,
        parse_server_list,
        metavar="ADDR[:PORT]",
        repeatable=True,
        needs_trust=True,
        help="Transfer zones (AXFR) from this server; if it refuses, from the next; repeatable.",
    )
    tsig_file: Path | None = option(
        None,
        Group.TRANSFERS,
        parse_key_path,
        metavar="KEY",
        needs_trust=True,
        help="Sign transfers with the key in this file, as tsig-keygen writes it.",
    )
    authority: str | None = option(
        None,
        Group.AUTHORITY,
        parse_authority,
        metavar="[every]",
        bare_value=AUTHORITY_MODES[0],
        choices=AUTHORITY_MODES,
        needs_trust=True,
        in_records=False,
        help="Ask the servers of the zones themselves; =every for each PTR record, too.",
    )
    authority_port: int = option(
        53,
        Group.AUTHORITY,
        parse_int,
        metavar="PORT",
        limits=(1, 65535),
        needs_trust=True,
        in_records=False,
        help="Port of the zones' servers.",
    )
    helo: str | None = option(
        None,
        Group.IDENTITIES,
        parse_text,
        metavar="NAME",
        help="SPF HELO identity of addresses whose line gives none.",
    )
    mail_from: tuple[str, ...] = option(
        (),
        Group.IDENTITIES,
        parse_texts,
        metavar="DOMAIN|ADDRESS",
        repeatable=True,
        help="SPF MAIL FROM identity of addresses whose line gives none; repeatable.",
    )
    spf: bool = option(
        True, Group.IDENTITIES, parse_bool, help="Check SPF, or skip it.  [default: check]"
    )
    trace: bool = option(
        False,
        Group.SCAN,
        parse_bool,
        help="Add to each record how its answers were obtained, or not.  [default: not]",
    )
    fail_on: str = option(
        "never",
        Group.FINDINGS,
        parse_text,
        choices=("error", "warning", "unknown", "never"),
        in_records=False,
        help="Exit 1 if a finding is at least this severe; unknown: if a record is "
        "undetermined or fails.",
    )
    max_unknown: float | None = option(
        None,
        Group.SCAN,
        parse_percent,
        metavar="PERCENT",
        limits=(0, 100),
        in_records=False,
        unset="all of them",
        help="Exit 3 if more of the records are undetermined, such as 5%.  "
        "[default: if all of them are]",
    )
    select: tuple[str, ...] = option(
        (),
        Group.FINDINGS,
        parse_codes,
        metavar="CODES",
        repeatable=True,
        unset="every finding",
        help="Only these findings; SPF,PTR_MISSING means all of SPF and one more.",
    )
    ignore: tuple[str, ...] = option(
        (),
        Group.FINDINGS,
        parse_codes,
        metavar="CODES",
        repeatable=True,
        unset="none",
        help="Not these findings.",
    )
    severities: Mapping[str, str] = option(
        {},
        Group.FINDINGS,
        parse_severities,
        flag="--severity",
        metavar="CODE=SEVERITY",
        repeatable=True,
        help="Change the severity of a finding, as in PTR_GENERIC=error; repeatable.",
    )
    receivers: tuple[str, ...] = option(
        (),
        Group.RECEIVERS,
        parse_codes,
        key="receiver",
        metavar="NAME[,...]",
        repeatable=True,
        unset="none",
        help="Let the published rules of these receivers decide verdict and severities, and "
        "--fail-on with them (`auditor receivers` lists them); repeatable.",
    )
    receivers_file: Path | None = option(
        None,
        Group.RECEIVERS,
        parse_path,
        metavar="FILE",
        needs_trust=True,
        help="Rules of receivers of your own, over the built-in ones.",
    )
    max_targets: int = option(
        16_777_216,
        Group.SCAN,
        parse_int,
        limits=(1, 1 << 40),
        in_records=False,
        help="Refuse more targets than this.",
    )
    deadline: float | None = option(
        None,
        Group.SCAN,
        parse_duration,
        metavar="DURATION",
        limits=(1, 10_000_000),
        in_records=False,
        unset="none",
        help="Stop after this time, such as 5h30m, with exit code 3; --resume continues.",
    )
    quiet: bool = option(
        False,
        Group.SCAN,
        parse_bool,
        short="-q",
        in_records=False,
        help="Print only errors on stderr, or everything.",
    )
    log_format: str = option(
        "text",
        Group.SCAN,
        parse_text,
        choices=("text", "json"),
        in_records=False,
        help="Text for people, or JSON with one event a line.",
    )
    metrics: Path | None = option(
        None,
        Group.SCAN,
        parse_path,
        metavar="FILE",
        needs_trust=True,
        in_records=False,
        help="Keep a Prometheus text file up to date, for the node exporter.",
    )
    workers: int = option(
        1,
        Group.SCAN,
        parse_worker_count,
        metavar="N|auto",
        limits=(1, 1024),
        needs_trust=True,
        in_records=False,
        displaces="scheduler",
        help="Processes on this machine; auto for one a core.",
    )
    scheduler: str | None = option(
        None,
        Group.SCAN,
        parse_text,
        metavar="URL",
        needs_trust=True,
        in_records=False,
        displaces="workers",
        help="Workers of a Dask cluster, such as tcp://HOST:8786.",
    )

    def __post_init__(self) -> None:
        """Read texts as a settings file has them; check each value, and their combinations."""
        for declared in OPTIONS.values():
            # The only way to set a derived value of a frozen object.
            object.__setattr__(self, declared.attribute, declared.read(self))
        if self.zones is not None and self.servers:
            raise UsageError("zones: answers come from files or from servers, not from both")
        if self.scheduler is not None and self.workers != 1:
            raise UsageError("workers: processes of this machine or a scheduler's, not both")
        for declared in OPTIONS.values():
            declared.validate(getattr(self, declared.attribute))
        if self.authority is not None and self.zones is not None:
            raise UsageError("authority: zone files have no servers to ask; use --server")
        if (self.direct or self.route) and (self.zones is not None or self.engine != "bulk"):
            name = "direct" if self.direct else "route"
            raise UsageError(f"{name}: needs name servers and --engine bulk")
        if self.helo is not None or self.mail_from:  # compared in lower-case A-labels
            from auditor.targets.domains import helo_identity, mail_from_identity  # noqa: PLC0415 - for few

            if self.helo is not None:
                object.__setattr__(self, "helo", helo_identity(self.helo))
            object.__setattr__(self, "mail_from", tuple(map(mail_from_identity, self.mail_from)))

    if TYPE_CHECKING:  # the generated __init__ takes texts as well

        def __init__(self, **given: Unpack[GivenSettings]) -> None: ...


#: Every option by its key in a settings file, in the order of `auditor config`.
OPTIONS: Final[Mapping[str, Option]] = declared_options(Settings)
