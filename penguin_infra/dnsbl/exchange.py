"""The questions to one server, without a socket or a clock: which to send next, what answers which, and what is late.

Sans I/O: bytes and moments come in, bytes and replies go out (`sockets.py` is the loop around it). Lists take turns,
so that one that hangs holds up no other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from random import Random, SystemRandom

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.wire import Reply

# rbldnsd loses questions above some 150 in flight, by its receive buffer (measured); 128 are safe.
IN_FLIGHT = 128
# Several ports: a forger must guess the port as well as the id.
SOCKET_COUNT = 4
# No list holds all places while others wait, nor fewer than make it quick.
LEAST_PLACES = 16

# A recursive resolver needs a second or two for a slow list; whoever is silent for twice as long will stay so.
TRY_TIMEOUTS_SECONDS = (2.0, 4.0)
# A tenth either way, so that tries that failed together are not repeated together.
JITTER = 0.1

SILENCE = Reply(error="did not answer in time", may_pass=True)


@dataclass(slots=True, eq=False)
class Query:
    """One question under way. `token` is the asker's own; `message_id` and `socket` are those of its last try."""

    token: object
    asked: bytes
    tries: int = 0
    message_id: int = 0
    socket: int = 0


@dataclass(slots=True, eq=False)
class Lane:
    """One list's questions to one server, in order. `is_over`: once true, what was not sent yet is dropped.

    `per_second` None: as fast as it goes. `sent` counts datagrams.
    """

    queries: Iterator[Query]
    is_over: Callable[[], bool]
    per_second: float | None = None
    sent: int = 0
    in_flight: int = 0
    has_more: bool = True
    opens_at: float = 0.0
    _again: deque[Query] = field(default_factory=deque)

    def take(self, now: float) -> Query | None:
        """The next question that may be sent now."""
        if self.per_second is not None and now < self.opens_at:
            return None
        if self.is_over():
            self._again.clear()
            self.has_more = False
            return None
        query = self._again.popleft() if self._again else next(self.queries, None)
        if query is None:
            self.has_more = False
        elif self.per_second is not None:
            self.opens_at = now + 1 / self.per_second
        return query

    def put_back(self, query: Query) -> None:
        """Another try, before what was not asked yet."""
        self._again.append(query)
        self.has_more = True


@dataclass(frozen=True, slots=True)
class Finished:
    """A question that is over, or (`reply.is_truncated`) is to be asked over TCP."""

    lane: Lane
    query: Query
    reply: Reply


class ServerExchange:
    """One server's share of a sweep; `now` is any clock that only goes forward, in seconds."""

    def __init__(self, lanes: Iterable[Lane], *, random: Random | None = None) -> None:
        # Unforeseeable ids: a forged answer must not be able to hit one.
        self._random = random or SystemRandom()
        self._turns = deque(lanes)
        self._places = max(LEAST_PLACES, IN_FLIGHT // max(len(self._turns), 1))
        self._flights: list[dict[int, tuple[Lane, Query]]] = [{} for _ in range(SOCKET_COUNT)]
        # Deadline, a serial that orders equals, the try's id, its question.
        self._deadlines: list[tuple[float, int, int, Query]] = []
        self._in_flight = 0
        self._serial = 0

    @property
    def is_done(self) -> bool:
        """Nothing to send, and nothing to wait for."""
        return not self._in_flight and not any(lane.has_more for lane in self._turns)

    def next_datagram(self, now: float) -> tuple[int, bytes] | None:
        """The next query, and the socket that it goes by; None while nothing may be sent."""
        turns = self._turns
        if self._in_flight >= IN_FLIGHT:
            return None
        for _ in range(len(turns)):
            lane = turns[0]
            turns.rotate(-1)
            if lane.in_flight >= self._places:
                continue
            query = lane.take(now)
            if query is not None:
                return self._launch(lane, query, now)
            if not lane.has_more and not lane.in_flight:
                turns.remove(lane)
                self._places = max(LEAST_PLACES, IN_FLIGHT // max(len(turns), 1))
        return None

    def receive(self, socket: int, datagram: bytes) -> Finished | None:
        """What a datagram ends: nothing, where it answers no question that was asked by that socket."""
        flight = self._flights[socket].get(int.from_bytes(datagram[:2], "big"))
        if flight is None or not wire.answers(datagram, flight[1].asked):
            return None
        return self._land(*flight, wire.read_reply(datagram))

    def fail(self, socket: int, words: str) -> list[Finished]:
        """A socket reports an error: what is under way by it failed, and may be tried once more."""
        reply = Reply(error=words, may_pass=True)
        landed = [self._land(lane, query, reply) for lane, query in list(self._flights[socket].values())]
        return [finished for finished in landed if finished is not None]

    def expire(self, now: float) -> list[Finished]:
        """What was not answered in time."""
        over = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, _, message_id, query = heappop(self._deadlines)
            flight = self._flights[query.socket].get(message_id)
            # Else it was answered, or is on its second try, which has a deadline of its own.
            if flight is not None and flight[1] is query and (finished := self._land(*flight, SILENCE)):
                over.append(finished)
        return over

    def wakes_at(self) -> float | None:
        """When something is to be done though nothing came: an answer is late, or a paced list may go on."""
        moments = [self._deadlines[0][0]] if self._deadlines else []
        moments += [lane.opens_at for lane in self._turns if lane.per_second is not None and lane.has_more]
        return min(moments, default=None)

    def _launch(self, lane: Lane, query: Query, now: float) -> tuple[int, bytes]:
        socket = query.socket = self._serial % SOCKET_COUNT
        self._serial += 1
        flights = self._flights[socket]
        message_id = self._random.getrandbits(16)
        while message_id in flights:
            message_id = self._random.getrandbits(16)
        query.message_id = message_id
        jitter = 1 - JITTER + 2 * JITTER * self._random.random()
        deadline = now + TRY_TIMEOUTS_SECONDS[query.tries] * jitter
        query.tries += 1
        flights[message_id] = (lane, query)
        heappush(self._deadlines, (deadline, self._serial, message_id, query))
        lane.in_flight += 1
        lane.sent += 1
        self._in_flight += 1
        return socket, wire.query(message_id, query.asked)

    def _land(self, lane: Lane, query: Query, reply: Reply) -> Finished | None:
        del self._flights[query.socket][query.message_id]
        lane.in_flight -= 1
        self._in_flight -= 1
        if reply.may_pass and query.tries < len(TRY_TIMEOUTS_SECONDS):
            lane.put_back(query)
            return None
        return Finished(lane, query, reply)
