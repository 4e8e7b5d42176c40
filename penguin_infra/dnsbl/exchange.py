"""The questions to one server, without a socket or a clock: which to send next, what answers which, and what is late.

Sans I/O: bytes and moments come in, bytes and replies go out (`sockets.py` is the loop around it). Lists take turns,
so that one that hangs holds up no other.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from secrets import token_bytes
from typing import Any

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
    """One question under way. `token` is the asker's own; the rest is about its last try."""

    token: Any
    asked: bytes
    tries: int = 0
    message_id: bytes = b""
    socket: int = 0
    late_at: float = 0.0


@dataclass(slots=True, eq=False)
class Pace:
    """What a list lets itself be asked in a second, shared by all that ask it: no question before `opens_at`."""

    per_second: float
    opens_at: float = 0.0

    def spend(self, now: float) -> None:
        """A question is sent."""
        self.opens_at = max(now, self.opens_at) + 1 / self.per_second


@dataclass(slots=True, eq=False)
class Lane:
    """One list's questions to one server, in order. `is_over`: once true, what was not sent yet is dropped.

    `pace` None: as fast as it goes. `sent` counts the tries, over TCP too.
    """

    queries: Iterator[Query]
    is_over: Callable[[], bool]
    pace: Pace | None = None
    sent: int = 0
    in_flight: int = 0
    has_more: bool = True
    _again: deque[Query] = field(default_factory=deque)

    def take(self, now: float) -> Query | None:
        """The next question that may be sent now."""
        pace = self.pace
        if pace is not None and now < pace.opens_at:
            return None
        if self.is_over():
            self._again.clear()
            self.has_more = False
            return None
        query = self._again.popleft() if self._again else next(self.queries, None)
        if query is None:
            self.has_more = False
        elif pace is not None:
            pace.spend(now)
        return query

    def put_back(self, query: Query) -> None:
        """Another try, before what was not asked yet."""
        self._again.append(query)
        self.has_more = True


@dataclass(slots=True, eq=False)
class Finished:
    """A question that is over, or (`reply.is_truncated`) is to be asked over TCP and then `finish_stream`ed."""

    lane: Lane
    query: Query
    reply: Reply


# A question under way, and the list it belongs to.
Flight = tuple[Lane, Query]


class ServerExchange:
    """One server's share of a sweep; `now` is any clock that only goes forward, in seconds."""

    def __init__(self, lanes: Iterable[Lane], *, random: Callable[[int], bytes] = token_bytes) -> None:
        self._random = _pairs(random)
        self._turns = deque(lanes)
        self._places = max(LEAST_PLACES, IN_FLIGHT // max(len(self._turns), 1))
        self._flights: list[dict[bytes, Flight]] = [{} for _ in range(SOCKET_COUNT)]
        self._in_flight = 0
        self._streaming = 0
        self._serial = 0
        # Nothing is late before.
        self._looks_at: float | None = None
        self._last: Flight | None = None

    @property
    def is_done(self) -> bool:
        """Nothing to send, and nothing to wait for."""
        return not self._in_flight and not self._streaming and not any(lane.has_more for lane in self._turns)

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

    def take_back(self) -> None:
        """The last datagram never left: it is to be sent later, and was no try."""
        if self._last is None:
            return
        (lane, query), self._last = self._last, None
        self._forget(query)
        lane.in_flight -= 1
        lane.sent -= 1
        query.tries -= 1
        lane.put_back(query)

    def not_sent(self) -> None:
        """The last datagram never left, and the try is lost: what `fail` ends is not counted as asked."""
        if self._last is not None:
            self._last[0].sent -= 1
            self._last = None

    def receive(self, socket: int, datagram: bytes) -> Finished | None:
        """What a datagram ends: nothing, where it answers no question that was asked by that socket."""
        flight = self._flights[socket].get(datagram[:2])
        if flight is None:
            return None
        asked = flight[1].asked
        return self._land(flight, wire.read_reply(datagram, asked)) if wire.answers(datagram, asked) else None

    def fail(self, socket: int, words: str) -> list[Finished]:
        """A socket reports an error: what is under way by it failed, and may be tried once more."""
        return self._land_all(list(self._flights[socket].values()), Reply(error=words, may_pass=True))

    def expire(self, now: float) -> list[Finished]:
        """What was not answered in time."""
        if self._looks_at is None or now < self._looks_at:
            return []
        under_way = [flight for flights in self._flights for flight in flights.values()]
        self._looks_at = min((query.late_at for _, query in under_way if query.late_at > now), default=None)
        return self._land_all([flight for flight in under_way if flight[1].late_at <= now], SILENCE)

    def finish_stream(self, finished: Finished, reply: Reply) -> Finished | None:
        """What came over TCP for a question whose answer was truncated."""
        self._streaming -= 1
        return self._conclude((finished.lane, finished.query), reply)

    def wakes_at(self) -> float | None:
        """When something is to be done though nothing came: an answer may be late, or a paced list may go on."""
        moments = [] if self._looks_at is None else [self._looks_at]
        if self._in_flight < IN_FLIGHT:
            moments += [lane.pace.opens_at for lane in self._turns if lane.pace is not None and lane.has_more]
        return min(moments, default=None)

    def _launch(self, lane: Lane, query: Query, now: float) -> tuple[int, bytes]:
        socket = self._serial % SOCKET_COUNT
        self._serial += 1
        flights = self._flights[socket]
        message_id = next(self._random)
        while message_id in flights:
            message_id = next(self._random)
        share = int.from_bytes(next(self._random), "big") / 0xFFFF
        query.late_at = now + TRY_TIMEOUTS_SECONDS[query.tries] * (1 - JITTER + 2 * JITTER * share)
        query.tries += 1
        query.message_id, query.socket = message_id, socket
        flights[message_id] = self._last = (lane, query)
        if self._looks_at is None or query.late_at < self._looks_at:
            self._looks_at = query.late_at
        lane.in_flight += 1
        lane.sent += 1
        self._in_flight += 1
        return socket, wire.query(message_id, query.asked)

    def _land_all(self, flights: Iterable[Flight], reply: Reply) -> list[Finished]:
        return [finished for flight in flights if (finished := self._land(flight, reply)) is not None]

    def _land(self, flight: Flight, reply: Reply) -> Finished | None:
        self._forget(flight[1])
        if reply.is_truncated:
            self._streaming += 1
            return Finished(*flight, reply)
        return self._conclude(flight, reply)

    def _forget(self, query: Query) -> None:
        del self._flights[query.socket][query.message_id]
        self._in_flight -= 1

    def _conclude(self, flight: Flight, reply: Reply) -> Finished | None:
        lane, query = flight
        lane.in_flight -= 1
        if reply.may_pass and query.tries < len(TRY_TIMEOUTS_SECONDS):
            lane.put_back(query)
            return None
        return Finished(lane, query, reply)


def _pairs(random: Callable[[int], bytes]) -> Iterator[bytes]:
    """Unforeseeable pairs of octets, many from one call: a forged answer must not be able to hit an id."""
    while True:
        octets = random(4096)
        for at in range(0, len(octets) - 1, 2):
            yield octets[at : at + 2]
