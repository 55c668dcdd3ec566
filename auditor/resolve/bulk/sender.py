"""Sender of the bulk engine: encodes questions and hands the packets to the kernel in batches."""

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


def _around(*, recurse: bool, checking_disabled: bool = False) -> tuple[tuple[bytes, bytes], ...]:
    """Return the octets before and after the question: with EDNS, and without."""
    made = []
    for size in (EDNS_SIZE, None):
        query = encode_query(
            0, b"\0", 1, recurse=recurse, edns_size=size, checking_disabled=checking_disabled
        )
        made.append((query[2:_HEADER_OCTETS], query[_HEADER_OCTETS + 5 :]))
    return tuple(made)


#: By whether the server is to look further; then with EDNS, and without.
_AROUND: Final = (_around(recurse=False), _around(recurse=True))
#: For the data without validation (CD set).
_UNCHECKED: Final = _around(recurse=True, checking_disabled=True)

#: Packets of one length that should follow each other on average.
_MIN_RUN_PACKETS: Final = 4


class Sender:
    """The queue of questions that were never sent, and how packets are made of them.

    `errors`: which server a packet was for that the kernel did not take, and what it said; the
    engine takes them out, and nothing more should be sent until it has.
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
        self._no_names: list[tuple[Question, AnswerCallback]] = []

    def send_first(self, nameserver: NameServer, most: int, now: float) -> int:
        """Send up to `most` questions to a server for the first time; return how many went out."""
        count = min(most, len(self.queue))
        return self._send_first(nameserver, count, now) if count else 0

    def send_later_attempts(self, nameserver: NameServer, most: int, now: float) -> int:
        """Send up to `most` questions that this server should be asked now, and were before.

        Return how many went out: 0 if there is none for it, if those in flight leave room for
        first tries only, or if the kernel has none.
        """
        if self.queue:
            most = min(most, nameserver.room_for_later())
        queries = self._retries.take_next_for(nameserver, most, now) if most > 0 else []
        return self._send_later_attempts(nameserver, queries, now) if queries else 0

    def clear(self) -> None:
        """Drop what was never sent."""
        self.queue.clear()
        self.hopeless.clear()

    def queue_up(self, questions: Sequence[Question], deliver: AnswerCallback, now: float) -> None:
        """Queue questions that were never sent, those of dead zones separately."""
        dead = self._retries.dead
        if not dead.has_dead:
            self.queue.enqueue(questions, deliver)
            return
        hopeless = [dead.is_dead(question.name, now) for question in questions]
        self.hopeless.extend((question, deliver) for question in compress(questions, hopeless))
        self.queue.enqueue(list(compress(questions, map(not_, hopeless))), deliver)

    def send_hopeless(self, nameserver: NameServer, most: int, now: float) -> int:
        """Send up to `most` questions of dead zones to a server, each for the only time."""
        udp_socket, can = nameserver.next_socket(), nameserver.can
        queries: list[PendingQuery] = []
        query_ids: list[int] = []
        packets: list[bytes] = []
        while self.hopeless and len(queries) < most:
            question, deliver = self.hopeless.popleft()
            try:
                asked = self._encoder.question(question.name, question.rdtype)
            except WireError:
                self._no_names.append((question, deliver))
                continue
            query = PendingQuery(question, deliver)
            query_id = udp_socket.new_id()
            udp_socket.outstanding[query_id] = (query, asked)
            queries.append(query)
            query_ids.append(query_id)
            packets.append(_packet(query_id, asked, _AROUND[can.recurse][can.plain]))
        sent = udp_socket.datagrams.send_packets(*packed(packets))
        taken = sent.taken
        self._counters.first += taken
        nameserver.on_sent(0, now)
        for query, query_id in zip(queries[:taken], query_ids[:taken], strict=True):
            self._retries.on_sent_once(query, Attempt(nameserver.number, udp_socket, query_id, now))
        for query, query_id in zip(queries[taken:], query_ids[taken:], strict=True):
            # Whatever the kernel had against it: the usual way has the means to deal with it.
            del udp_socket.outstanding[query_id]
            self.queue.enqueue([query.question], query.deliver)
        return taken

    def probe(self, nameserver: NameServer, question: Question, now: float, *, plain: bool) -> None:
        """Send a question whose reply only shows that the server is there, and how it answers.

        `plain`: without EDNS.
        """
        udp_socket = nameserver.next_socket()
        query_id = udp_socket.new_id()
        # Mixed case also here: whether it comes back so is one of the things to be learnt.
        asked = self._encoder.question(question.name, question.rdtype, query_id)
        udp_socket.outstanding[query_id] = (asked, now, plain)
        recurse = nameserver.can.recurse
        sent = udp_socket.datagrams.send_packets(
            *packed([_packet(query_id, asked, _AROUND[recurse][plain])])
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
            nameless = list(map(not_, asked))
            self._no_names += compress(zip(questions, asking, strict=True), nameless)
            questions = list(compress(questions, asked))
            asking = list(compress(asking, asked))
            asked = list(filter(None, asked))
            del ids[len(asked) :], wire_ids[len(asked) :]
        if not asked:
            return 0
        sizes = list(map(len, asked))
        if _MIN_RUN_PACKETS * sum(map(ne, sizes, sizes[1:])) > len(sizes):
            # Neighbours of one length cost less to send.
            order = sorted(range(len(sizes)), key=sizes.__getitem__)
            questions = [questions[at] for at in order]
            asking = [asking[at] for at in order]
            asked = [asked[at] for at in order]
            sizes = [sizes[at] for at in order]
        can = nameserver.can
        outstanding: list[FirstAttempt] = list(zip(questions, asking, asked, repeat(now)))
        udp_socket.outstanding.update(zip(ids, outstanding, strict=True))
        sent = udp_socket.datagrams.send_packets(
            *_packets(wire_ids, asked, sizes, _AROUND[can.recurse][can.plain])
        )
        taken = sent.taken
        self._counters.first += taken
        unsent, unsent_ids = outstanding[taken:], ids[taken:]
        del outstanding[taken:], ids[taken:]
        nameserver.on_first_attempts(udp_socket, ids, outstanding, now)
        if unsent:
            self._take_out(nameserver, udp_socket, unsent_ids, unsent, sent=sent, now=now)
        return taken

    def _take_out(
        self,
        nameserver: NameServer,
        udp_socket: UdpSocket,
        ids: list[int],
        unsent: list[FirstAttempt],
        *,
        sent: Sent,
        now: float,
    ) -> None:
        """Take what the kernel did not take out of flight again, and back to the queue."""
        for query_id in ids:
            del udp_socket.outstanding[query_id]
        if sent.refused:
            # The first of them cannot be sent; the others have yet to be tried.
            question, deliver, _, _ = unsent.pop(0)
            self._refuse(PendingQuery(question, deliver), nameserver, now)
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
            # A second try in lower case: a middle box may not like the letters mixed.
            asked = self._encoder.question(name, rdtype)
            udp_socket.outstanding[query_id] = (query, asked)
            query_ids.append(query_id)
            plain = query.plain or can.plain
            around = _UNCHECKED if query.check is Check.DISABLED else _AROUND[can.recurse]
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
                self._refuse(unsent.pop(0), nameserver, now)
            self._retries.again.extendleft(reversed(unsent))
            self.errors.append((nameserver, sent))
        return taken

    def _refuse(self, query: PendingQuery, nameserver: NameServer, now: float) -> None:
        """Count a packet that cannot be sent as a try, so that the tries come to an end."""
        nameserver.on_sent(1, now)
        self._retries.on_unsent(query, nameserver, now)

    def take_no_names(self) -> list[tuple[Question, AnswerCallback]]:
        """Take out the questions whose owners are not valid names, with their callbacks."""
        invalid, self._no_names = self._no_names, []
        return invalid


def _packets(
    wire_ids: Sequence[bytes],
    asked: Sequence[bytes],
    sizes: Sequence[int],
    around: tuple[bytes, bytes],
) -> tuple[bytes, list[int]]:
    """Return queries as `Datagrams.send_packets` takes them; `asked` are of these sizes."""
    head, tail = around
    # What a packet is made of, and then all of them, one after the other.
    parts = [b"", head, b"", tail] * len(asked)
    parts[0::4] = wire_ids
    parts[2::4] = asked
    octets = _HEADER_OCTETS + len(tail)
    return b"".join(parts), [size + octets for size in sizes]


def _packet(query_id: int, asked: bytes, around: tuple[bytes, bytes]) -> bytes:
    head, tail = around
    return _pack_header(query_id, head) + asked + tail
