"""Extracts the HELO names of sending hosts from logs, header fields and configurations.

Reads lines of Postfix (smtpd, postscreen), Exim and sendmail logs about clients that connect,
Received and Received-SPF header fields, and the output of `postconf -n`. Everything else is
skipped: log lines about deliveries name receivers, not senders.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.targets.domains import helo_identity
from auditor.wire.addresses import format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["HeloUse", "helo_uses", "is_log_line"]

#: Characters of a line with its continuation lines that are read.
_LINE_CHARACTERS: Final = 4_096
#: Sessions of sendmail kept until their client is named.
_MAX_SESSIONS: Final = 10_000
#: Parameters of a configuration; Postfix has about a thousand.
_MAX_PARAMETERS: Final = 10_000
#: Depth to which parameters may refer to each other.
_MAX_EXPANSIONS: Final = 10

_IP: Final = r"(?:IPv6:)?([0-9A-Fa-f:.]{2,45})"

_POSTFIX: Final = re.compile(
    rf"/(?:smtpd|postscreen)\[\d+\]: .*? from \S*?\[{_IP}\](?::\d+)?: .*\bhelo=<([^>]*)>"
)
_EXIM: Final = re.compile(rf"^\d{{4}}-.* H=(?:([^\s(\[]+) )?(?:\(([^)]*)\) )?\[{_IP}\]")
#: Flags of Exim's log for deliveries, whose host is the receiver.
_EXIM_DELIVERY: Final = re.compile(r" (?:=>|->|>>|\*>|\*\*|==) ")
_SENDMAIL: Final = re.compile(r"(?:sendmail|sm-mta)\[(\d+)\]: (.*)")
_SENDMAIL_HELO: Final = re.compile(r"<-- (?:EHLO|HELO) (\S+)", re.IGNORECASE)
_SENDMAIL_CLIENT: Final = re.compile(rf"\bfrom=.*, relay=[^,\[]*\[{_IP}\]")

_RECEIVED: Final = re.compile(r"^Received:\s+from\s+(\S+)(.*)", re.IGNORECASE)
_BY: Final = re.compile(r"\sby\s")
_RECEIVED_HELO: Final = re.compile(r"\bhelo=([^\s)]+)|\(HELO ([^\s)]+)\)")
_RECEIVED_ADDRESS: Final = re.compile(rf"[\[(@]{_IP}[\])]")
_LITERAL: Final = re.compile(rf"\[{_IP}\](?::\d+)?$")
_SPF_ADDRESS: Final = re.compile(r"\bclient-ip=\"?([0-9A-Fa-f:.]{2,45})")
_SPF_HELO: Final = re.compile(r"\bhelo=\"?([^\s;\"]+)")

_PARAMETER: Final = re.compile(r"^([a-z][a-z0-9_]*)\s*=\s*(.*)$")
_REFERENCE: Final = re.compile(r"\$(?:\{([a-z0-9_]+)\}|\(([a-z0-9_]+)\)|([a-z0-9_]+))")
#: Parameters with the addresses from which Postfix connects, behind a NAT too.
_BIND: Final = ("smtp_bind_address", "smtp_bind_address6")
_INTERFACES: Final = "inet_interfaces"
_PROXIES: Final = "proxy_interfaces"
_HOST_NAME: Final = "myhostname"
_HELO_NAME: Final = "smtp_helo_name"
_POSTCONF: Final = {*_BIND, _INTERFACES, _PROXIES, _HOST_NAME, _HELO_NAME}


#: Beginnings of lines from which HELO names can be read, without the HELO name itself.
_LOG_LINE: Final = re.compile(
    r"\b(?:postfix(?:/[\w-]+)+|sendmail|sm-mta|exim)\[\d+\]: |^\d{4}-\d\d-\d\d [\d:.]+ (?:.* )?H=|"
    r"^Received: |^(?:my|smtp_|inet_)[a-z_]+ = "
)


class HeloUse(NamedTuple):
    """A host and the HELO name it sends; either is "" where the text does not have it."""

    address: str
    helo: str


def helo_uses(lines: Iterable[str]) -> Iterator[HeloUse]:
    """Yield host and HELO name for each line of a file that has them.

    A configuration of Postfix counts once for each address that it names, at the end.
    """
    parameters: dict[str, str] = {}
    sessions: dict[str, str] = {}
    for line in _unfolded(lines):
        if match := _PARAMETER.match(line):
            if len(parameters) < _MAX_PARAMETERS:
                parameters[match[1]] = match[2].strip()
        elif greeting := _received(line) or _logged(line, sessions):
            address = _address(greeting[0])
            if address:
                yield HeloUse(address, helo_identity(greeting[1]))
    if not _POSTCONF.isdisjoint(parameters):
        yield from _configured(parameters)


def is_log_line(text: str) -> bool:
    """Tell whether a text looks like a line that `helo_uses` reads, or the beginning of one."""
    return _LOG_LINE.search(text) is not None


def _unfolded(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines with their continuation lines: those that begin with white space."""
    whole = ""
    for line in lines:
        if line[:1] in {" ", "\t"} and whole:
            whole = f"{whole} {line.strip()}"[:_LINE_CHARACTERS]
            continue
        if whole:
            yield whole
        whole = line.rstrip()[:_LINE_CHARACTERS]
    if whole:
        yield whole


def _logged(line: str, sessions: dict[str, str]) -> tuple[str, str] | None:
    """Return address and HELO name of the client in a line of a log, None if there is none.

    `sessions`: HELO names by process, for sendmail, which names the client later.
    """
    if "helo=<" in line and (match := _POSTFIX.search(line)):
        return match[1], match[2]
    if " H=" in line and (match := _EXIM.search(line)) and not _EXIM_DELIVERY.search(line):
        # The HELO name is in brackets of its own unless it is the name of the host.
        return match[3], match[2] if match[2] is not None else match[1] or ""
    if (match := _SENDMAIL.search(line)) is None:
        return None
    process, text = match[1], match[2]
    if sendmail_match := _SENDMAIL_HELO.search(text):
        if len(sessions) >= _MAX_SESSIONS:
            sessions.clear()
        sessions[process] = sendmail_match[1]
    elif client := _SENDMAIL_CLIENT.search(text):
        return client[1], sessions.get(process, "")
    return None


def _received(line: str) -> tuple[str, str] | None:
    """Return address and HELO name of the client in a header field, None if there is none."""
    if "client-ip=" in line:
        address, helo = _SPF_ADDRESS.search(line), _SPF_HELO.search(line)
        return (address[1], helo[1]) if address and helo else None
    match = _RECEIVED.match(line)
    if match is None:
        return None
    first, rest = match[1], _BY.split(match[2], maxsplit=1)[0]
    helo = _RECEIVED_HELO.search(rest)
    name = (helo[1] or helo[2]) if helo else first
    address_match = _RECEIVED_ADDRESS.search(_RECEIVED_HELO.sub("", rest))
    if address_match is not None:
        return address_match[1], name
    literal = _LITERAL.match(first)
    # Exim writes the address in place of a missing name.
    return (literal[1], name if helo else "") if literal else None


def _configured(parameters: dict[str, str]) -> Iterator[HeloUse]:
    """Yield the addresses and the HELO name of Postfix's SMTP client from its configuration."""
    value = parameters.get(_HELO_NAME, f"${_HOST_NAME}")
    for _ in range(_MAX_EXPANSIONS):
        value = _REFERENCE.sub(lambda match: parameters.get(match[match.lastindex or 0], ""), value)
        value = value[:_LINE_CHARACTERS]
    helo = "" if "$" in value else helo_identity(value)
    texts = [parameters.get(name, "") for name in _BIND]
    if not any(texts):
        texts = [parameters.get(_INTERFACES, "")]
    words = " ".join((*texts, parameters.get(_PROXIES, ""))).replace(",", " ").split()
    addresses = dict.fromkeys(address for word in words if (address := _address(word.strip("[]"))))
    for address in addresses or ("",):
        yield HeloUse(address, helo)


def _address(text: str) -> str:
    """Return an address in its canonical form, "" for no address or a loopback address."""
    parsed = parse_address(text)
    if parsed is None:
        return ""
    address = format_address(*parsed)
    return "" if address.startswith(("127.", "0.")) or address in {"::", "::1"} else address
