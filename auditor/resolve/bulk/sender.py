"""Sender of the bulk engine: encodes questions and sends the packets in batches."""

from __future__ import annotations

from collections import deque
from itertools import compress, repeat
from operator import ne, not_
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.bulk.codec.query_encoder import QueryEncoder
from auditor.resolve.bulk.pending_query import Attempt, Check, PendingQuery
from auditor.resolve.bulk.send_queue import SendQueue
from auditor.resolve.bulk.udp.datagram import packed
from auditor.wire.message import EDNS_SIZE, encode_query

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.resolve.bulk.counters import Counters
    from auditor.resolve.bulk.retries import RetryManager
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.datagram import Sent
    from auditor.resolve.bulk.udp.outstanding import FirstAttempt, UdpSocket

__all__ = ["Sender"]

_HEADER_OCTETS: Final = 12
_pack_header: Final = Struct("!H10s").pack  # the ID, and what follows it in the header


def _envelopes(
    *, recurse: bool, checking_disabled: bool = False
) -> tuple[tuple[bytes, bytes], ...]:
    """Return header (without ID) and octets after the question: with EDNS, and without."""
    made = []
    for size in (EDNS_SIZE, None):
        query = encode_query(
            0, b"\0", 1, recurse=recurse, edns_size=size, checking_disabled=checking_disabled
        )
        made.append((query[2:_HEADER_OCTETS], query[_HEADER_OCTETS + 5 :]))
    return tuple(made)


#: Indexed by the RD flag, then by whether EDNS is left out.
_ENVELOPES: Final = (_envelopes(recurse=False), _envelopes(recurse=True))
#: The same for queries without validation (CD set).
_UNCHECKED: Final = _envelopes(recurse=True, checking_disabled=True)

#: Least average run of packets of one length; below this a batch is sorted by length.
_MIN_RUN_PACKETS: Final = 4


class Sender:
    """The queue of unsent questions, and the sending of queries.

    `errors`: server and result of batches that the kernel did not fully accept; the engine removes
    them, and nothing may be sent before.
    """

    def __init__(
        self,
        nameservers: Sequence[NameServer],
        queries: RetryManager,
        counters: Counters,
    ) -> None:
        self.errors: list[tuple[NameServer, Sent]] = []
        self.queue = SendQueue()
        self.hopeless: deque[tuple[Question, AnswerCallback]] = deque()
        self._nameservers = nameservers
        self._retries = queries
        self._counters = counters
        self._encoder = QueryEncoder()
        self._invalid_names: list[tuple[Question, AnswerCallback]] = []

    def send_first(self, nameserver: NameServer, most: int, now: float) -> int:
        """Send first attempts of up to `most` questions to a server; return how many were sent."""
        count = min(most, len(self.queue))
        return self._send_first(nameserver, count, now) if count else 0

    def send_later_attempts(self, nameserver: NameServer, most: int, now: float) -> int:
        """Retransmit up to `most` pending queries to a server; return how many were sent.

        0 if there are none for it, if the room is reserved for first attempts, or the send buffer
        is full.
        """
        if self.queue:
            most = min(most, nameserver.room_for_later())
        queries = self._retries.take_next_for(nameserver, most, now) if most > 0 else []
        return self._send_later_attempts(nameserver, queries, now) if queries else 0

    def clear(self) -> None:
        """Drop all unsent questions."""
        self.queue.clear()
        self.hopeless.clear()

    def queue_up(self, questions: Sequence[Question], deliver: AnswerCallback, now: float) -> None:
        """Queue questions, those of dead zones separately."""
        dead = self._retries.dead
        if not dead.has_dead:
            self.queue.enqueue(questions, deliver)
            return
        hopeless = [dead.is_dead(question.name, now) for question in questions]
        self.hopeless.extend((question, deliver) for question in compress(questions, hopeless))
        self.queue.enqueue(list(compress(questions, map(not_, hopeless))), deliver)

    def send_hopeless(self, nameserver: NameServer, most: int, now: float) -> int:
        """Send up to `most` questions of dead zones to a server, each only once."""
        udp_socket, can = nameserver.next_socket(), nameserver.can
        queries: list[PendingQuery] = []
        query_ids: list[int] = []
        packets: list[bytes] = []
        while self.hopeless and len(queries) < most:
            question, deliver = self.hopeless.popleft()
            try:
                asked = self._encoder.question(question.name, question.rdtype)
            except WireError:
                self._invalid_names.append((question, deliver))
                continue
            query = PendingQuery(question, deliver)
            query_id = udp_socket.new_id()
            udp_socket.outstanding[query_id] = (query, asked)
            queries.append(query)
            query_ids.append(query_id)
            packets.append(_packet(query_id, asked, _ENVELOPES[can.recurse][can.plain]))
        sent = udp_socket.datagrams.send_packets(*packed(packets))
        taken = sent.taken
        self._counters.first += taken
        nameserver.on_sent(0, now)
        for query, query_id in zip(queries[:taken], query_ids[:taken], strict=True):
            self._retries.on_sent_once(query, Attempt(nameserver.number, udp_socket, query_id, now))
        for query, query_id in zip(queries[taken:], query_ids[taken:], strict=True):
            # The normal queue handles errors of the kernel.
            del udp_socket.outstanding[query_id]
            self.queue.enqueue([query.question], query.deliver)
        return taken

    def probe(self, nameserver: NameServer, question: Question, now: float, *, plain: bool) -> None:
        """Send a probe, whose reply shows that the server is alive; `plain`: without EDNS."""
        udp_socket = nameserver.next_socket()
        query_id = udp_socket.new_id()
        # In random case: the reply shows whether the server preserves it.
        asked = self._encoder.question(question.name, question.rdtype, query_id)
        udp_socket.outstanding[query_id] = (asked, now, plain)
        recurse = nameserver.can.recurse
        sent = udp_socket.datagrams.send_packets(
            *packed([_packet(query_id, asked, _ENVELOPES[recurse][plain])])
        )
        self._counters.probes += sent.taken
        if not sent.taken:
            del udp_socket.outstanding[query_id]
            self.errors.append((nameserver, sent))

    def _send_first(self, nameserver: NameServer, count: int, now: float) -> int:
        udp_socket = nameserver.next_socket()
        questions, asking = self.queue.dequeue(count)
        ids, wire_ids = udp_socket.new_ids(count)
        asked = self._encoder.questions(questions, ids if nameserver.can.mixed_case else None)
        if not all(asked):
            are_invalid = list(map(not_, asked))
            self._invalid_names += compress(zip(questions, asking, strict=True), are_invalid)
            questions = list(compress(questions, asked))
            asking = list(compress(asking, asked))
            asked = list(filter(None, asked))
            del ids[len(asked) :], wire_ids[len(asked) :]
        if not asked:
            return 0
        sizes = list(map(len, asked))
        if _MIN_RUN_PACKETS * sum(map(ne, sizes, sizes[1:])) > len(sizes):
            # Consecutive packets of one length cost less to send.
            order = sorted(range(len(sizes)), key=sizes.__getitem__)
            questions = [questions[at] for at in order]
            asking = [asking[at] for at in order]
            asked = [asked[at] for at in order]
            sizes = [sizes[at] for at in order]
        can = nameserver.can
        outstanding: list[FirstAttempt] = list(zip(questions, asking, asked, repeat(now)))
        udp_socket.outstanding.update(zip(ids, outstanding, strict=True))
        sent = udp_socket.datagrams.send_packets(
            *_packets(wire_ids, asked, sizes, _ENVELOPES[can.recurse][can.plain])
        )
        taken = sent.taken
        self._counters.first += taken
        unsent, unsent_ids = outstanding[taken:], ids[taken:]
        del outstanding[taken:], ids[taken:]
        nameserver.on_first_attempts(udp_socket, ids, outstanding, now)
        if unsent:
            self._put_back(nameserver, udp_socket, unsent_ids, unsent, sent=sent, now=now)
        return taken

    def _put_back(
        self,
        nameserver: NameServer,
        udp_socket: UdpSocket,
        ids: list[int],
        unsent: list[FirstAttempt],
        *,
        sent: Sent,
        now: float,
    ) -> None:
        """Move queries that the kernel did not accept from those in flight back to the queue."""
        for query_id in ids:
            del udp_socket.outstanding[query_id]
        if sent.refused:
            # The first cannot be sent; the others have not been tried yet.
            question, deliver, _, _ = unsent.pop(0)
            self._count_as_try(PendingQuery(question, deliver), nameserver, now)
        if unsent:
            questions, asking, _, _ = zip(*unsent, strict=True)
            self.queue.put_back(questions, asking)
        self.errors.append((nameserver, sent))

    def _send_later_attempts(
        self, nameserver: NameServer, queries: list[PendingQuery], now: float
    ) -> int:
        udp_socket, can = nameserver.next_socket(), nameserver.can
        query_ids: list[int] = []
        packets: list[bytes] = []
        for query in queries:
            query_id = udp_socket.new_id()
            name, rdtype = query.question
            # Retransmit in lower case: a middlebox may drop random case.
            asked = self._encoder.question(name, rdtype)
            udp_socket.outstanding[query_id] = (query, asked)
            query_ids.append(query_id)
            plain = query.plain or can.plain
            around = _UNCHECKED if query.check is Check.DISABLED else _ENVELOPES[can.recurse]
            packets.append(_packet(query_id, asked, around[plain]))
        sent = udp_socket.datagrams.send_packets(*packed(packets))
        taken = sent.taken
        nameserver.on_later_attempts(queries[:taken], now)
        self._counters.retried += taken
        for query, query_id in zip(queries[:taken], query_ids[:taken], strict=True):
            self._retries.on_sent(query, Attempt(nameserver.number, udp_socket, query_id, now))
        if taken < len(queries):
            unsent = queries[taken:]
            for query_id in query_ids[taken:]:
                del udp_socket.outstanding[query_id]
            if sent.refused:
                self._count_as_try(unsent.pop(0), nameserver, now)
            self._retries.retry_queue.extendleft(reversed(unsent))
            self.errors.append((nameserver, sent))
        return taken

    def _count_as_try(self, query: PendingQuery, nameserver: NameServer, now: float) -> None:
        """Count a packet that cannot be sent as a try, so that the number of tries is bounded."""
        nameserver.on_sent(1, now)
        self._retries.on_unsent(query, nameserver, now)

    def take_invalid_names(self) -> list[tuple[Question, AnswerCallback]]:
        """Remove and return the questions whose owners are not valid names, with callbacks."""
        invalid, self._invalid_names = self._invalid_names, []
        return invalid


def _packets(
    wire_ids: Sequence[bytes],
    asked: Sequence[bytes],
    sizes: Sequence[int],
    around: tuple[bytes, bytes],
) -> tuple[bytes, list[int]]:
    """Return the arguments of `Datagrams.send_packets`; `sizes`: octets of each of `asked`."""
    head, tail = around
    # Four parts for each packet: ID, rest of the header, question, and the octets after it.
    parts = [b"", head, b"", tail] * len(asked)
    parts[0::4] = wire_ids
    parts[2::4] = asked
    octets = _HEADER_OCTETS + len(tail)
    return b"".join(parts), [size + octets for size in sizes]


def _packet(query_id: int, asked: bytes, around: tuple[bytes, bytes]) -> bytes:
    head, tail = around
    return _pack_header(query_id, head) + asked + tail
