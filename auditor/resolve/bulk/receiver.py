"""Receiver of the bulk engine: matches packets with queries, decodes them, passes answers on.

A reply is accepted only if it comes from the connected server, its ID is in flight on that
socket, and it repeats the question that was sent, including letter case if that was random
(RFC 5452, 0x20). Other packets are counted and dropped. The exception: a reply of only a header
with FORMERR or NOTIMP to a query with EDNS, as sent by servers without EDNS (RFC 6891 §7). The
query is repeated without EDNS, and that reply must repeat the question: otherwise a forger who
guesses port and ID could end questions.
"""

from __future__ import annotations

from collections import deque
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Provenance
from auditor.resolve.bulk.codec.reply_decoder import ReplyDecoder
from auditor.resolve.bulk.codec.reply_match import echoes, is_response, refusal
from auditor.resolve.bulk.pending_query import Check
from auditor.resolve.bulk.udp.datagram import SLOT_OCTETS
from auditor.resolve.bulk.udp.outstanding import ANSWERED, FIRST_ENTRY, LATE, LATER_ENTRY, LOST
from auditor.resolve.response import interpret
from auditor.wire.codes import MALFORMED, SETTLED, TRUNCATED
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.resolve.bulk.counters import Counters
    from auditor.resolve.bulk.retries import RetryManager
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.outstanding import Probe, UdpSocket

__all__ = ["Receiver"]

_HEADER_OCTETS: Final = 12
_TYPE_CLASS_OCTETS: Final = 4

#: The queries of a batch of replies to first attempts: IDs, questions, callbacks, question
#: sections as sent, times of sending.
_Columns: TypeAlias = (
    "tuple[list[int], Sequence[Question], Sequence[AnswerCallback], Sequence[bytes], "
    "Sequence[float]]"
)


class Receiver:
    """Processes batches of packets.

    The engine collects `answered` (answers with their callbacks) and `probe_replies` (server,
    probe and packet).
    """

    def __init__(self, retries: RetryManager, counters: Counters, *, trace: bool) -> None:
        self.answered: list[tuple[list[tuple[Question, Answer]], AnswerCallback]] = []
        self.probe_replies: list[tuple[NameServer, Probe, bytes]] = []
        self._retries = retries
        self._counters = counters
        self._trace = trace
        self._replies = ReplyDecoder()

    def clear(self) -> None:
        """Drop undelivered answers."""
        self.answered.clear()
        self.probe_replies.clear()

    def receive_batch(
        self, nameserver: NameServer, udp_socket: UdpSocket, packets: list[bytes], now: float
    ) -> None:
        """Process a batch that arrived on one socket."""
        self._counters.received += len(packets)
        if self._trace:
            self._accept_each(nameserver, udp_socket, packets, now)
            return
        # Nearly always all packets are replies to first attempts.
        again: list[bytes] = []
        columns = _match_batch(udp_socket, packets)
        if columns is None:
            others, packets, again = _partition(udp_socket, packets)
            self._accept_each(nameserver, udp_socket, others, now)
            columns = _match_batch(udp_socket, packets)
        if columns is not None:
            packets = self._accept_batch(nameserver, udp_socket, packets, columns, now)
        if packets or again:
            self._accept_each(nameserver, udp_socket, packets + again, now)

    def _accept_batch(
        self,
        nameserver: NameServer,
        udp_socket: UdpSocket,
        packets: list[bytes],
        columns: _Columns,
        now: float,
    ) -> list[bytes]:
        """Decode replies to first attempts in a batch; return those that it does not support."""
        query_ids, questions, delivers, asked, times = columns
        answers = self._replies.decode_replies(packets, asked)
        left: list[bytes] = []
        if None in answers:
            left = [data for data, answer in zip(packets, answers, strict=True) if answer is None]
            query_ids = list(compress(query_ids, answers))
            if not query_ids:
                return left
            questions = tuple(compress(questions, answers))
            delivers = tuple(compress(delivers, answers))
            times = tuple(compress(times, answers))
        id_fates = udp_socket.id_fates
        deque(map(udp_socket.outstanding.pop, query_ids), 0)
        for query_id in query_ids:
            id_fates[query_id] = ANSWERED
        nameserver.round_trip.add_sample(now - times[-1])
        nameserver.on_answers(times, now)
        nameserver.answered = questions[0]
        first = delivers[0]
        pairs = list(zip(questions, filter(None, answers), strict=True))
        if delivers.count(first) == len(delivers):
            self._on_answers(pairs, first)
        else:
            self._group_answers(zip(delivers, pairs, strict=True))
        return left

    def _accept_each(
        self, nameserver: NameServer, udp_socket: UdpSocket, packets: list[bytes], now: float
    ) -> None:
        """Process packets of any kind one by one, with the general decoder."""
        answered: list[tuple[AnswerCallback, tuple[Question, Answer]]] = []
        times: list[float] = []
        for data in packets:
            query_id = data[0] << 8 | data[1] if len(data) >= _HEADER_OCTETS else -1
            entry: Any = udp_socket.outstanding.get(query_id)
            if entry is None or len(entry) != FIRST_ENTRY:
                self._accept_other(nameserver, udp_socket, query_id, data, now)
                continue
            question, deliver, asked, sent_at = entry
            answer = self._decode(nameserver, (question, asked, sent_at), data, now, plain=False)
            if answer is None:
                continue
            if answer.status in SETTLED:
                udp_socket.settle_id(query_id, ANSWERED)
                nameserver.round_trip.add_sample(now - sent_at)
                answered.append((deliver, (question, answer)))
                times.append(sent_at)
            else:
                self._counters.accepted += 1
                nameserver.on_heard(now)
                if answer.status == TRUNCATED:
                    # For the congestion window it counts as an answer.
                    full = nameserver.is_full()
                    nameserver.window.on_answers(1, now, full=full)
                query = self._retries.make_pending(nameserver, udp_socket, query_id, entry)
                self._retries.on_reply(query, answer, udp_socket, query_id, now)
        if answered:
            nameserver.on_answers(times, now)
            nameserver.answered = answered[0][1][0]
            self._group_answers(answered)

    def _group_answers(
        self, answered: Iterable[tuple[AnswerCallback, tuple[Question, Answer]]]
    ) -> None:
        """Group answers by callback: several runs may share an engine."""
        shares: dict[AnswerCallback, list[tuple[Question, Answer]]] = {}
        for deliver, pair in answered:
            shares.setdefault(deliver, []).append(pair)
        for deliver, share in shares.items():
            self._on_answers(share, deliver)

    def _on_answers(self, pairs: list[tuple[Question, Answer]], deliver: AnswerCallback) -> None:
        """Count answers to first attempts, note them in `DeadZones`, and queue their delivery."""
        self._counters.accepted += len(pairs)
        dead = self._retries.dead
        dead.on_batch(pairs[0][0][0])
        if dead:
            dead.on_answers([question[0] for question, _ in pairs])
        self.answered.append((pairs, deliver))

    def _accept_other(
        self, nameserver: NameServer, udp_socket: UdpSocket, query_id: int, data: bytes, now: float
    ) -> None:
        """Process a packet that replies to a retransmission, to a probe, or to no query."""
        entry = udp_socket.outstanding.get(query_id)
        if entry is None:
            self._count_unmatched(nameserver, udp_socket, query_id, data)
            return
        if len(entry) == LATER_ENTRY:
            query, asked = entry
            answer = None if self._trace else self._replies.decode_replies([data], [asked])[0]
            if answer is None:
                sent = query.question, asked, query.last
                answer = self._decode(nameserver, sent, data, now, plain=query.plain)
            if answer is not None:
                self._counters.accepted += 1
                nameserver.on_heard(now)
                if answer.status in SETTLED:
                    nameserver.on_later_answer(now)
                    if query.check is not Check.DISABLED:
                        self._retries.dead.on_answer(query.question.name)
                self._retries.on_reply(query, answer, udp_socket, query_id, now)
            return
        probe = cast("Probe", entry)
        if is_response(data) and (echoes(data, probe[0]) or refusal(data, plain=probe[2])):
            udp_socket.settle_id(query_id, ANSWERED)
            self._counters.accepted += 1
            nameserver.on_heard(now)
            self.probe_replies.append((nameserver, probe, data))
        else:
            self._counters.forged += 1

    def _count_unmatched(
        self, nameserver: NameServer, udp_socket: UdpSocket, query_id: int, data: bytes
    ) -> None:
        fate = udp_socket.id_fates[query_id]
        if query_id < 0 or not is_response(data):
            self._counters.forged += 1
        elif fate == ANSWERED:
            self._counters.duplicates += 1
        elif fate in {LATE, LOST}:
            if fate == LOST:
                # It was slow, not lost.
                nameserver.on_loss(-1)
            nameserver.limits.rate.take_back_loss()
            udp_socket.id_fates[query_id] = ANSWERED
            self._counters.late += 1
        else:
            self._counters.strays += 1

    def _decode(
        self,
        nameserver: NameServer,
        sent: tuple[Question, bytes, float],
        data: bytes,
        now: float,
        *,
        plain: bool,
    ) -> Answer | None:
        """Decode a reply with the general decoder; None if it does not match the query.

        `sent`: question, question section as sent, time of sending; `plain`: without EDNS.
        """
        question, asked, sent_at = sent
        if not is_response(data):
            self._counters.forged += 1
            return None
        how = None
        if self._trace:
            how = Provenance(nameserver.name, "udp", 1, round((now - sent_at) * 1000, 3))
        if not data.startswith(asked, _HEADER_OCTETS):
            refused = refusal(data, plain=plain or nameserver.can.plain)
            if refused is not None:
                return Answer(refused, how=how)
            similar = echoes(data, asked)
            # The case of a question sent in lower case need not be preserved (RFC 4343).
            if not similar or asked[:-_TYPE_CLASS_OCTETS] != asked[:-_TYPE_CLASS_OCTETS].lower():
                if similar:
                    nameserver.can.on_case_changed()
                self._counters.forged += 1
                return None
        try:
            message = decode_message(data)
            answer = interpret(message, question, how)
        except WireError:
            answer = Answer(MALFORMED, how=how)
        if answer.status == MALFORMED:
            # A datagram cut by the receive buffer is repeated over TCP.
            return Answer(TRUNCATED, how=how) if len(data) >= SLOT_OCTETS else answer
        if answer.status == TRUNCATED and not message.answer:
            nameserver.can.on_slip(now)
        return answer


def _match_batch(udp_socket: UdpSocket, packets: list[bytes]) -> _Columns | None:
    """Look up the queries of a batch of replies to first attempts.

    None unless each packet replies to a different first attempt; whether they repeat their
    questions is checked when they are decoded. Loops run in C.
    """
    if min(map(len, packets), default=0) < _HEADER_OCTETS:
        return None
    query_ids = [data[0] << 8 | data[1] for data in packets]
    if len(set(query_ids)) < len(query_ids):
        return None
    outstanding: Any = map(udp_socket.outstanding.get, query_ids)
    try:
        # Other entries have another length.
        questions, delivers, asked, times = zip(*outstanding, strict=True)
    except (TypeError, ValueError):
        return None
    return query_ids, questions, delivers, asked, times


def _partition(
    udp_socket: UdpSocket, packets: list[bytes]
) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Partition packets: others, replies to first attempts with their question, duplicates."""
    others: list[bytes] = []
    first_replies: list[bytes] = []
    again: list[bytes] = []
    seen: set[int] = set()
    for data in packets:
        query_id = data[0] << 8 | data[1] if len(data) >= _HEADER_OCTETS else -1
        entry: Any = udp_socket.outstanding.get(query_id)
        if query_id in seen:
            again.append(data)
        elif (
            entry is not None
            and len(entry) == FIRST_ENTRY
            and data.startswith(entry[2], _HEADER_OCTETS)
        ):
            seen.add(query_id)
            first_replies.append(data)
        else:
            others.append(data)
    return others, first_replies, again
