"""Facts: what the stages of an audit learn about a target; frozen value objects.

A stage is a generator: it yields the questions that it has now and is sent their
answers in the same order, as often as it needs, and returns its fact. So a stage is independent
of sockets and tasks, and the pipeline is free to put the questions of a whole
block together.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "AddressFact",
    "DomainFact",
    "ForwardName",
    "HeloFact",
    "IprevFact",
    "MxHost",
    "PtrFact",
    "SpfPolicyFact",
]


class PtrFact(NamedTuple):
    """All PTR names of an address, and the aliases on the way to them (RFC 2317).

    `status` is that of the answer. `owner` is where the PTR records stand or would have to:
    the name that the last alias leads to, the reverse name itself without one. `zone` is the
    apex of the zone that denied them, "" if there are some or it is not known. `wildcard` is
    the owner of the wildcard record that the names come from, such as
    `*.100.51.198.in-addr.arpa`, or "". `is_host_alias`: the last alias leads to a host, which
    has addresses, and not to PTR records.
    """

    status: str
    names: tuple[str, ...]
    chain: tuple[str, ...]
    owner: str
    zone: str = ""
    wildcard: str = ""
    is_host_alias: bool = False


class ForwardName(NamedTuple):
    """One PTR name looked up forwards: its addresses, and whether they hold the target's.

    `alias` is the name that a CNAME led to, or "".
    """

    name: str
    status: str
    addresses: tuple[str, ...]
    confirms: bool
    alias: str = ""


class IprevFact(NamedTuple):
    """The iprev result (RFC 8601 §2.7.3): pass, fail, temperror or permerror."""

    result: str
    names: tuple[ForwardName, ...]


class HeloFact(NamedTuple):
    """The lookup of a HELO name that was given: its addresses in the target's family, sorted.

    `status` is None where the name was not looked up: it is no fully qualified host name.
    """

    name: str
    status: str | None
    addresses: tuple[str, ...]
    confirms: bool


class AddressFact(NamedTuple):
    """An address of a domain or of an MX host, with its PTR and iprev."""

    address: str
    ptr: PtrFact
    iprev: IprevFact


class MxHost(NamedTuple):
    """One MX record and the addresses of its host (A and AAAA together).

    `alias` is the name that a CNAME led to, or "": an MX must not name an alias
    (RFC 2181 §10.3).
    """

    preference: int
    name: str
    status: str
    addresses: tuple[AddressFact, ...]
    alias: str = ""


class SpfPolicyFact(NamedTuple):
    """The SPF record of a domain.

    `status` is that of the TXT lookup; `record` the one policy, None without one or with
    several (`policies` says how many). `lookups` and `voids` are those of the longest path,
    None without a policy; `addresses_v4` and `addresses_v6` are the numbers of addresses that
    pass, None also if a lookup failed. `problems` are those of lint, as (code, subject).
    """

    status: str
    record: str | None
    policies: int
    lookups: int | None = None
    voids: int | None = None
    addresses_v4: int | None = None
    addresses_v6: int | None = None
    problems: tuple[tuple[str, str], ...] = ()


class DomainFact(NamedTuple):
    """The results of the lookups of a domain target."""

    status: str
    addresses: tuple[AddressFact, ...]
    mx_status: str
    mx: tuple[MxHost, ...]
    spf: SpfPolicyFact
