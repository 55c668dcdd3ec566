"""Reads bounces and SMTP replies, for causes in the DNS of the sending address.

Text in, diagnosis out. The text may be an enhanced status code (RFC 3463), a line of a log, a
reply of several lines, or a whole delivery status notification (RFC 3464). What replies mean is
data, in `replies.toml`. All input is hostile: lengths are bounded, and callers
escape what they show of it.
"""

from __future__ import annotations

import email
import email.policy
import quopri
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.findings.receivers import receivers
from auditor.wire.addresses import format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from auditor.findings.receivers import Receiver

__all__ = ["BOUNCE_LIMIT_OCTETS", "Diagnosis", "diagnose"]

#: Octets of a bounce that are read: enough for any report, without the message it returns.
BOUNCE_LIMIT_OCTETS: Final = 1 << 20
_REPLY_CHARACTERS: Final = 1_000
_MAX_REPLIES: Final = 100
_MAX_EVENTS: Final = 1_000

_ENHANCED: Final = r"([245]\.\d{1,3}\.\d{1,3})"
#: A reply in running text: `550-5.7.25`, `450 4.7.1`, `#550 5.7.1`, `554 `; or a bare `5.7.25`.
_REPLY: Final = re.compile(
    rf"(?<![\w.:@=-])#?(?:([45]\d\d)[ -]+#?(?:{_ENHANCED}(?![\d.]))?|{_ENHANCED}(?![\d.]))"
)
#: Between two events: a blank line, or the time at the beginning of a line of a log.
_BETWEEN_EVENTS: Final = re.compile(
    r"\n\s*\n|\n(?=[A-Z][a-z]{2} +\d{1,2} \d\d:\d\d)|\n(?=\d{4}-\d\d-\d\d[T ])"
)
_SOFT_BREAK: Final = re.compile(r"=\r?\n|=3D|=20\r?\n")
_HEADER: Final = re.compile(r"^[A-Za-z][A-Za-z0-9-]{0,60}:[ \t]", re.ASCII)
_V4: Final = r"(?<![\w.:])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\w)"
_V6: Final = r"(?<![\w:.])[0-9A-Fa-f]{0,4}(?::[0-9A-Fa-f]{0,4}){2,7}(?![\w:])"
_ADDRESS: Final = re.compile(f"{_V4}|{_V6}")
#: The address of the receiver, which is not the sending address.
_RECEIVER_ADDRESS: Final = re.compile(
    r"(?:\bhost +|\brelay=|\bto +|remote[- ]mta:(?: *dns;)? *|remote server +)[^\s\[(]{1,255}\s*"
    r"[\[(][0-9A-Fa-f:.]{2,45}[\])]",
    re.IGNORECASE,
)
_SENDER: Final = re.compile(
    r"(?:\bfrom=|mail from:? ?|(?:sending )?domain (?:of (?:sender address )?)?|smtp\.mailfrom=|"
    r"return-path: |\bspf \[|verif(?:y|ication) failed for |"
    r"<(?=[^\s<>]{1,320}>: sender address rejected))"
    r"<?(?:[^\s<>@]{1,64}@)?([A-Za-z0-9_][A-Za-z0-9_-]{0,62}(?:\.[A-Za-z0-9_-]{1,63}){1,10})",
    re.IGNORECASE,
)


#: The name in HELO, of such characters as a command may hold.
_HELO: Final = re.compile(
    r"(?:\bhelo=<?|<(?=[^>\s]{1,253}>: helo command))([A-Za-z0-9][A-Za-z0-9._-]{0,252})",
    re.IGNORECASE,
)
#: Enhanced status codes that do not identify a receiver, since many refusals have them.
_COMMON_CODES: Final = frozenset({"7.0", "7.1", "5.2"})


class Diagnosis(NamedTuple):
    """The meaning of a reply.

    `code` is its enhanced status code, else the basic one, "" for words alone; `title` is
    its meaning in a line, `reference` the source of that, or "". `findings` are the
    causes that auditor can find; `receivers` the keys of receivers with this reply. `address`
    is the sending address, `domain` that of the sender and `helo` the name in HELO, "" if not
    in the text. `reply` is the text that was recognised.
    """

    code: str
    title: str
    reference: str
    findings: tuple[str, ...]
    receivers: tuple[str, ...]
    address: str
    domain: str
    helo: str
    reply: str


def diagnose(text: str, known: Mapping[str, Receiver] | None = None) -> Diagnosis | None:
    """Return the meaning of a bounce, a line of a log or a status code; None if not recognised.

    `known`: the receivers by key, those of `receivers()` without any. Of several replies, the
    first that has to do with PTR or SPF counts, else the first known.
    """
    events = _BETWEEN_EVENTS.split(_unpacked(text[:BOUNCE_LIMIT_OCTETS]))
    rules = receivers() if known is None else known
    meanings = [meaning for event in events[:_MAX_EVENTS] for meaning in _meanings(event, rules)]
    return max(meanings, key=lambda meaning: bool(meaning.findings), default=None)


def _meanings(event: str, known: Mapping[str, Receiver]) -> Iterator[Diagnosis]:
    """Yield the meaning of each reply of one event, replies with a basic code first."""
    domain = match[1].lower() if (match := _SENDER.search(event)) else ""
    helo = match[1] if (match := _HELO.search(event)) else ""
    for reply in sorted(_replies(event), key=lambda reply: not reply.basic):
        if meaning := _meaning(reply, known):
            address = _sending_address(reply.text) or _sending_address(event)
            yield meaning._replace(address=address, domain=domain, helo=helo)


class _Reply(NamedTuple):
    basic: str
    enhanced: str
    text: str


def _unpacked(text: str) -> str:
    """Return the readable text of a message (RFC 5322): its parts and status fields, decoded."""
    text = text.lstrip()
    first = text.partition("\n")[0]
    if _HEADER.match(first) or first.startswith("From "):
        message = email.message_from_string(text, policy=email.policy.compat32)
        if message.is_multipart() or message.get("content-transfer-encoding"):
            return "\n".join(_parts(message))
    if _SOFT_BREAK.search(text):
        return quopri.decodestring(text.encode("utf-8", "replace")).decode("utf-8", "replace")
    return text


def _parts(message: Any) -> Iterator[str]:
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            for block in part.get_payload():
                yield from (f"{name}: {value}" for name, value in block.items())
        elif part.get_content_type() == "message/rfc822":
            return  # the returned message is no reply
        elif part.get_content_maintype() == "text":
            payload = part.get_payload(decode=True) or b""
            yield payload.decode("utf-8", "replace")


def _replies(text: str) -> Iterator[_Reply]:
    """Yield the replies in a text; the text itself as one where it has no code."""
    matches = list(_REPLY.finditer(text))[:_MAX_REPLIES]
    for number, match in enumerate(matches):
        basic, enhanced = match[1] or "", match[2] or match[3] or ""
        if number and basic and matches[number - 1][1] == basic and _continues(text, match):
            continue
        reply_text = text[match.start() : match.start() + _REPLY_CHARACTERS]
        if basic:
            # The code again, at the beginning of a further line (RFC 5321 §4.2.1).
            reply_text = re.sub(rf"\s*(?<![\w.]){basic}[ -]+(?:{_ENHANCED})?\s*", " ", reply_text)
        yield _Reply(basic, enhanced, " ".join(reply_text.split()))
    if not matches:
        yield _Reply("", "", " ".join(text[:_REPLY_CHARACTERS].split()))


def _continues(text: str, match: re.Match[str]) -> bool:
    """Tell whether a code begins a further line of the reply before it."""
    return text[: match.start()].rstrip(" ").endswith("\n") or match[0][3] == "-"


def _meaning(reply: _Reply, rules: Mapping[str, Receiver]) -> Diagnosis | None:
    codes, words, marks = _data()
    title = reference = ""
    findings: list[str] = []
    known = codes.get(reply.enhanced) or codes.get(reply.enhanced[2:])
    for entry in words:
        if entry["pattern"].search(reply.text):
            title, findings = entry["title"], entry["findings"]
            break
    if known is not None:
        reference = known["reference"]
        title = title or known["title"]
        findings = findings or known["findings"]
    reply_text = reply.text.lower()
    senders = dict.fromkeys(
        key for mark, key in marks.items() if mark.lower() in reply_text and key in rules
    )
    if not title and not reply.enhanced and not senders:
        return None
    title = title or "A reply that says nothing of the sender's reverse DNS or SPF"
    senders |= dict.fromkeys(_answering(reply, rules))
    return Diagnosis(
        code=reply.enhanced or reply.basic,
        title=title,
        reference=reference,
        findings=tuple(findings),
        receivers=tuple(senders),
        address="",
        domain="",
        helo="",
        reply=reply.text,
    )


def _answering(reply: _Reply, rules: Mapping[str, Receiver]) -> list[str]:
    """Return the receivers with a rule whose published reply has this enhanced code."""
    if not reply.enhanced or reply.enhanced[2:] in _COMMON_CODES:
        return []
    return [
        receiver.key
        for receiver in rules.values()
        if any(reply.enhanced in rule.reply.split() for rule in receiver.rules)
    ]


def _sending_address(text: str) -> str:
    """Return the first address in a text that is not the receiver's; "" without any."""
    for match in _ADDRESS.finditer(_RECEIVER_ADDRESS.sub(" ", text)):
        if parsed := parse_address(match[0]):
            return format_address(*parsed)
    return ""


@cache
def _data() -> tuple[Mapping[str, Any], list[dict[str, Any]], Mapping[str, str]]:
    """Return meanings by enhanced code (or its last two numbers) and by words; receivers' words."""
    text = files("auditor.findings").joinpath("replies.toml").read_text("utf-8")
    table = tomllib.loads(text)
    words = [
        {**entry, "pattern": re.compile(entry["words"], re.IGNORECASE)} for entry in table["words"]
    ]
    return table["codes"], words, table["receivers"]
