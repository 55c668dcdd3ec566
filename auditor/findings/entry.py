"""One entry of the catalogue of findings."""

from __future__ import annotations

from typing import Final, Literal, NamedTuple, TypeAlias

__all__ = ["SEVERITIES", "Entry", "Severity", "Subject", "Verdict"]

Verdict: TypeAlias = Literal["pass", "warn", "unknown", "fail"]
Severity: TypeAlias = Literal["info", "notice", "warning", "error"]
Subject: TypeAlias = Literal["address", "name", "domain", "zone", "owner", "line"]

#: From the least to the most severe.
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "notice", "warning", "error")


class Entry(NamedTuple):
    """A finding, explained.

    `severity` is the default. `subject` is what the finding's subject is: an `address`, a
    `name`, a `domain`, a `zone`, the `owner` of a record or an input `line`. `title` is a
    line without a full stop; `why` is why a receiver cares, `references` the sources of
    that; `remedy` is what a postmaster does about it. `undetermined`: the finding is about
    a failed lookup, not about a fault.

    `beyond_scan`: a scan finds it only with --authority or --own; otherwise it is found by
    `auditor check` with several servers, or by `auditor zones`.

    `zone_lines` is what to publish, with fields in braces: `{address}` and what follows from
    it, `{reverse}`, `{type}` (A or AAAA) and `{mechanism}` (`ip4:` or `ip6:`); `{name}`, the
    name at fault; `{host}`, a good name; `{domain}`, the owner of a policy or of MX records;
    `{zone}` and `{server}`, a delegation.
    Parts in angle brackets have to be chosen. `advice` fills in what is known.
    """

    code: str
    severity: Severity
    subject: Subject
    title: str
    why: str
    references: tuple[str, ...]
    remedy: str
    zone_lines: tuple[str, ...] = ()
    undetermined: bool = False
    beyond_scan: bool = False
