"""Zone transfers over TCP (AXFR, RFC 5936), signed with TSIG (RFC 8945) if there is a key.

Bounded against hostile servers: octets of a zone, seconds without a message, and seconds in all.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.errors import TransferError, UsageError, WireError
from auditor.quoting import printable
from auditor.resolve.zones.builder import Place, ZoneBuilder
from auditor.resolve.zones.reader import MasterFile
from auditor.wire.codes import SOA, rcode_status, type_name
from auditor.wire.master_file import absolute_name, rdata_text
from auditor.wire.message import encode_query
from auditor.wire.names import encode_name
from auditor.wire.records import IN
from auditor.wire.transfer import read_transfer_message
from auditor.wire.tsig import ALGORITHMS, ReplyVerifier, read_key, sign_query

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from auditor.resolve.zones.zone import Zone
    from auditor.settings import Server
    from auditor.wire.records import Record, Soa
    from auditor.wire.transfer import TransferMessage
    from auditor.wire.tsig import TsigKey

__all__ = ["Transferred", "transfer_zones"]

_log = logging.getLogger("auditor")

_AXFR: Final = 252
_MAX_IDLE_S: Final = 10.0
_MAX_TRANSFER_S: Final = 600.0
_MAX_OCTETS: Final = 1 << 28
_MAX_KEY_FILE_OCTETS: Final = 1 << 16  # octets
_LENGTH_OCTETS: Final = 2


class Transferred(NamedTuple):
    """A transferred zone; the records without the SOA at the end."""

    origin: str
    server: str
    records: Sequence[Record]

    def __repr__(self) -> str:
        """Return a text without the records, which asyncio's debug messages would show."""
        return f"Transferred({self.origin!r}, {self.server!r})"

    @property
    def serial(self) -> int:
        """The serial number of the zone."""
        return cast("Soa", self.records[0].rdata).serial

    def zone(self) -> Zone:
        """Return the zone. Raises ZoneFileError for records that no server loads."""
        builder = ZoneBuilder(f"{self.origin} from {self.server}")
        place = Place(f"{self.origin} from {self.server}", "\n", 0)
        for name, rdtype, _, ttl, rdata in self.records:
            builder.add_record(name, rdtype, ttl, rdata, place)
        return builder.zone(self.server)

    def master_file(self) -> MasterFile:
        """Return the zone as a master file."""
        lines = [
            f"{absolute_name(name)} {ttl} IN {type_name(rdtype)} {rdata_text(rdtype, rdata)}\n"
            for name, rdtype, _, ttl, rdata in self.records
        ]
        label = f"{self.origin.replace('/', '-')}.zone"  # of RFC 2317: no folder
        return MasterFile(label, self.server, self.origin, "".join(lines).encode("ascii"))


def _load_key(path: Path) -> TsigKey:
    """Return the TSIG key in a file. Raises UsageError without the file's content."""
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_KEY_FILE_OCTETS).decode("utf-8", "replace")
    except OSError as error:
        raise UsageError(f"tsig-file: {path}: cannot be read: {error.strerror}") from error
    key = read_key(text)
    if key is None:
        raise UsageError(
            f"tsig-file: {path}: expected a key statement as tsig-keygen writes it, or "
            f"ALGORITHM:NAME:SECRET, with one of {', '.join(ALGORITHMS)}"
        )
    return key


async def _transfer(
    origin: str, servers: Sequence[Server], key: TsigKey | None = None
) -> Transferred:
    """Return a zone from the first server that transfers it. Raises TransferError if none does."""
    reasons = []
    for server in servers:
        try:
            return await _transfer_from(origin, server, key)
        except TransferError as error:
            reasons.append(str(error))
            if server != servers[-1]:
                _log.warning("%s; the next server is asked", error)
    raise TransferError("; ".join(reasons))


async def transfer_zones(
    origins: Sequence[str], servers: Sequence[Server], key_file: Path | None
) -> list[Transferred]:
    """Transfer zones one after the other. Raises TransferError; UsageError for the key file."""
    key = None if key_file is None else _load_key(key_file)
    return [await _transfer(origin, servers, key) for origin in origins]


async def _transfer_from(origin: str, server: Server, key: TsigKey | None) -> Transferred:
    failed = f"{printable(origin)}: no transfer from {server}"
    try:
        async with asyncio.timeout(_MAX_TRANSFER_S):
            async with asyncio.timeout(_MAX_IDLE_S):
                reader, writer = await asyncio.open_connection(server.address, server.port)
            try:
                records = await _exchange(origin, key, reader, writer)
            finally:
                writer.transport.abort()
    except TimeoutError:
        raise TransferError(f"{failed}: no answer in time") from None
    except asyncio.IncompleteReadError:
        raise TransferError(f"{failed}: the connection was closed before the end") from None
    except OSError as error:
        raise TransferError(f"{failed}: {error.strerror or error}") from None
    except (_RefusedError, WireError) as error:
        raise TransferError(f"{failed}: {error}") from None
    return Transferred(origin, str(server), records)


class _RefusedError(Exception):
    """A reply that refuses the transfer, or is invalid."""


async def _exchange(
    origin: str, key: TsigKey | None, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> list[Record]:
    """Send the AXFR query, and return the records before the final SOA."""
    qid = secrets.randbits(16)
    query = encode_query(qid, encode_name(origin), _AXFR, recurse=False, edns_size=None)
    verifier = None
    if key is not None:
        query, mac = sign_query(query, key, int(time.time()))
        verifier = ReplyVerifier(key, mac)
    writer.write(len(query).to_bytes(_LENGTH_OCTETS) + query)
    records: list[Record] = []
    octets = 0
    while True:
        async with asyncio.timeout(_MAX_IDLE_S):
            length = int.from_bytes(await reader.readexactly(_LENGTH_OCTETS))
            data = await reader.readexactly(length)
        octets += length
        if octets > _MAX_OCTETS:
            raise _RefusedError(f"more than {_MAX_OCTETS:,} octets")
        message = read_transfer_message(data)
        _require_reply(message, qid)
        if verifier is not None:
            verifier.add_message(data, message.signature, message.signed, int(time.time()))
        if _add_records(records, message.records, origin):
            if verifier is not None:
                verifier.require_signed_end()
            return records


def _require_reply(message: TransferMessage, qid: int) -> None:
    if message.rcode:
        raise _RefusedError(rcode_status(message.rcode))
    if message.id != qid or not message.is_reply:
        raise _RefusedError("a message that is no reply")


def _add_records(records: list[Record], more: Sequence[Record], origin: str) -> bool:
    """Add the records of a message; return whether the final SOA was among them."""
    if not records and (not more or more[0].rdtype != SOA or more[0].name != origin):
        raise _RefusedError("a reply that does not begin with the SOA record of the zone")
    for record in more:
        if record.rdclass != IN:
            raise _RefusedError(f"a record of class {record.rdclass}")
        if record.rdtype == SOA and records:
            return True
        records.append(record)
    return False
