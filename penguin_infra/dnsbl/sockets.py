"""The loop around `exchange.py`: connected sockets, and one wait for all of them. TCP is `streams.py`'s."""

import selectors
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack

from penguin_infra.dnsbl.exchange import SOCKET_COUNT, Finished, ServerExchange
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.streams import Streams
from penguin_infra.dnsbl.wire import Reply

# What RFC 9715 lets cross any network whole is less; a server may send more to who did not say what it takes.
_LARGEST_DATAGRAM = 4096
# A busy sweep looks at what is late now and then, not after each datagram.
_DRAINED_AT_ONCE = 64
# A full send buffer is empty again within moments.
_FULL_BUFFER_SECONDS = 0.01

OnFinished = Callable[[Resolver, Finished], None]


def exchange(exchanges: Mapping[Resolver, ServerExchange], on_finished: OnFinished) -> None:
    """Ask all that the exchanges hold; what `on_finished` raises ends it at once."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        streams = Streams(selector)
        stack.callback(streams.close)
        servers = [_Server(resolver, one, streams, on_finished) for resolver, one in exchanges.items()]
        for server in servers:
            server.open(selector, stack)
        while True:
            now = time.monotonic()
            streams.advance(now)
            for server in servers:
                server.advance(now)
            if streams.is_done and all(server.exchange.is_done for server in servers):
                return
            moments = [streams.wakes_at(), *(server.wakes_at() for server in servers)]
            for key, _ in selector.select(_seconds_until(moments, now)):
                owner, which = key.data
                owner.handle(which)


def _seconds_until(moments: Iterable[float | None], now: float) -> float | None:
    """How long nothing needs to be done unless something comes; None: for ever."""
    first = min((moment for moment in moments if moment is not None), default=None)
    return None if first is None else max(first - now, 0)


class _Server:
    """One server's sockets, connected: a closed port then speaks up at once instead of costing the whole time-out."""

    def __init__(self, resolver: Resolver, exchange: ServerExchange, streams: Streams, on_finished: OnFinished) -> None:
        self.exchange = exchange
        self._resolver = resolver
        self._streams = streams
        self._on_finished = on_finished
        self._sockets: list[socket.socket] = []
        self._unreachable: str | None = None
        self._is_full_until: float | None = None

    def open(self, selector: selectors.BaseSelector, stack: ExitStack) -> None:
        """Open its sockets; the stack closes them."""
        family = socket.AF_INET6 if ":" in self._resolver.address else socket.AF_INET
        for number in range(SOCKET_COUNT):
            opened = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            opened.setblocking(False)
            self._sockets.append(opened)
            self._unreachable = _connect(opened, self._resolver)
            selector.register(opened, selectors.EVENT_READ, (self, number))

    def wakes_at(self) -> float | None:
        """When something is to be done here though nothing came."""
        return self._is_full_until if self._is_full_until is not None else self.exchange.wakes_at()

    def advance(self, now: float) -> None:
        """Give up what is late, and send what may be sent."""
        exchange, sockets = self.exchange, self._sockets
        self._deliver(exchange.expire(now))
        if self._is_full_until is not None and now < self._is_full_until:
            return
        self._is_full_until = None
        while (datagram := exchange.next_datagram(now)) is not None:
            number, octets = datagram
            if self._unreachable is not None:
                exchange.not_sent()
                self._deliver(exchange.fail(number, self._unreachable))
                continue
            try:
                sockets[number].send(octets)
            except BlockingIOError:
                exchange.take_back()
                self._is_full_until = now + _FULL_BUFFER_SECONDS
                return
            except OSError as error:
                exchange.not_sent()
                self._deliver(exchange.fail(number, _words(error)))

    def handle(self, number: int) -> None:
        """Read what came by a socket."""
        receive, read = self.exchange.receive, self._sockets[number].recv
        for _ in range(_DRAINED_AT_ONCE):
            try:
                datagram = read(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                self._deliver(self.exchange.fail(number, _words(error)))
                continue
            finished = receive(number, datagram)
            if finished is None:
                continue
            if finished.reply.is_truncated:
                self._ask_over_tcp(finished)
            else:
                self._on_finished(self._resolver, finished)

    def _deliver(self, over: list[Finished]) -> None:
        for finished in over:
            self._on_finished(self._resolver, finished)

    def _ask_over_tcp(self, finished: Finished) -> None:
        def on_reply(reply: Reply) -> None:
            over = self.exchange.finish_stream(finished, reply)
            if over is not None:
                self._on_finished(self._resolver, over)

        self._streams.ask(self._resolver, finished, on_reply)


def _connect(opened: socket.socket, resolver: Resolver) -> str | None:
    try:
        opened.connect((resolver.address, resolver.port))
    except OSError as error:
        return _words(error)
    return None


def _words(error: OSError) -> str:
    return f"cannot be reached: {error.strerror or error}"
