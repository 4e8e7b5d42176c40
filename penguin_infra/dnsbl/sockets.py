"""The loop around `exchange.py`: connected sockets, one wait for all of them, and TCP for what UDP cannot carry."""

import os
import selectors
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from queue import SimpleQueue

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.exchange import SOCKET_COUNT, TRY_TIMEOUTS_SECONDS, Finished, ServerExchange
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.wire import Reply

# What RFC 9715 lets cross any network whole is less; a server may send more to who did not say what it takes.
_LARGEST_DATAGRAM = 4096
# Truncation is rare; a resolver that truncates everything is asked no faster than this many connections allow.
_TCP_CONNECTIONS = 8
# A busy sweep looks at what is late now and then, not after each datagram.
_DRAINED_AT_ONCE = 64


def exchange(exchanges: Mapping[Resolver, ServerExchange], on_finished: Callable[[Resolver, Finished], None]) -> None:
    """Ask all that the exchanges hold; what `on_finished` raises ends it at once."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        servers = [_Server(resolver, one, selector, stack) for resolver, one in exchanges.items()]
        over_tcp = _OverTcp(selector, stack)
        while True:
            now = time.monotonic()
            for server in servers:
                for finished in server.advance(now):
                    _deliver(server.resolver, finished, over_tcp, on_finished)
            if all(server.is_done for server in servers) and not over_tcp.pending:
                return
            for key, _ in selector.select(_patience(servers, now)):
                if key.data is over_tcp:
                    for resolver, finished in over_tcp.collect():
                        on_finished(resolver, finished)
                    continue
                server, number = key.data
                for finished in server.drain(number):
                    _deliver(server.resolver, finished, over_tcp, on_finished)


def _deliver(
    resolver: Resolver, finished: Finished, over_tcp: "_OverTcp", on_finished: Callable[[Resolver, Finished], None]
) -> None:
    if finished.reply.is_truncated:
        over_tcp.ask(resolver, finished)
    else:
        on_finished(resolver, finished)


def _patience(servers: list["_Server"], now: float) -> float | None:
    """How long nothing needs to be done unless something comes, in seconds."""
    moments = [at for server in servers if (at := server.wakes_at()) is not None]
    return max(min(moments) - now, 0) if moments else None


class _Server:
    """One server's sockets, connected: a closed port then speaks up at once instead of costing the whole time-out."""

    def __init__(
        self, resolver: Resolver, exchange: ServerExchange, selector: selectors.BaseSelector, stack: ExitStack
    ) -> None:
        self.resolver = resolver
        self._exchange = exchange
        self._sockets = []
        family = socket.AF_INET6 if ":" in resolver.address else socket.AF_INET
        for number in range(SOCKET_COUNT):
            opened = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM))
            opened.setblocking(False)
            self._sockets.append(opened)
            self._unreachable = _connect(opened, resolver)
            selector.register(opened, selectors.EVENT_READ, (self, number))

    @property
    def is_done(self) -> bool:
        return self._exchange.is_done

    def wakes_at(self) -> float | None:
        return self._exchange.wakes_at()

    def advance(self, now: float) -> Iterator[Finished]:
        """Give up what is late, and send what may be sent."""
        exchange = self._exchange
        yield from exchange.expire(now)
        while (datagram := exchange.next_datagram(now)) is not None:
            number, octets = datagram
            if self._unreachable is not None:
                yield from exchange.fail(number, self._unreachable)
                continue
            try:
                self._sockets[number].send(octets)
            except BlockingIOError:
                # A full buffer loses it as the network would: the second try comes by itself.
                continue
            except OSError as error:
                yield from exchange.fail(number, _words(error))

    def drain(self, number: int) -> Iterator[Finished]:
        """Read what came by a socket."""
        receive, read = self._exchange.receive, self._sockets[number].recv
        for _ in range(_DRAINED_AT_ONCE):
            try:
                datagram = read(_LARGEST_DATAGRAM)
            except BlockingIOError:
                return
            except OSError as error:
                yield from self._exchange.fail(number, _words(error))
                continue
            finished = receive(number, datagram)
            if finished is not None:
                yield finished


class _OverTcp:
    """Questions whose answers did not fit into a datagram, asked by threads; the selector wakes for their answers."""

    def __init__(self, selector: selectors.BaseSelector, stack: ExitStack) -> None:
        self._pool = ThreadPoolExecutor(_TCP_CONNECTIONS, thread_name_prefix="dnsbl-tcp")
        # On an error nobody waits for the rest.
        stack.callback(self._pool.shutdown, wait=False, cancel_futures=True)
        self._answered: SimpleQueue[tuple[Resolver, Finished, Reply]] = SimpleQueue()
        self._bell, self._ears = socket.socketpair()
        stack.enter_context(self._ears)
        stack.enter_context(self._bell)
        self._ears.setblocking(False)
        selector.register(self._ears, selectors.EVENT_READ, self)
        self.pending = 0

    def ask(self, resolver: Resolver, finished: Finished) -> None:
        self.pending += 1
        finished.lane.sent += 1
        asking: Future[Reply] = self._pool.submit(_ask_over_tcp, resolver, finished.query.asked)
        asking.add_done_callback(lambda done: self._ring(resolver, finished, done))

    def collect(self) -> Iterator[tuple[Resolver, Finished]]:
        self._ears.recv(_LARGEST_DATAGRAM)
        while not self._answered.empty():
            resolver, finished, reply = self._answered.get()
            self.pending -= 1
            yield resolver, Finished(finished.lane, finished.query, reply)

    def _ring(self, resolver: Resolver, finished: Finished, done: "Future[Reply]") -> None:
        if not done.cancelled():
            self._answered.put((resolver, finished, done.result()))
            # Closed, where the sweep has ended by an error meanwhile.
            with suppress(OSError):
                self._bell.send(b"!")


def _ask_over_tcp(resolver: Resolver, asked: bytes) -> Reply:
    message_id = int.from_bytes(os.urandom(2), "big")
    octets = wire.query(message_id, asked)
    try:
        with socket.create_connection((resolver.address, resolver.port), TRY_TIMEOUTS_SECONDS[-1]) as connection:
            connection.sendall(len(octets).to_bytes(2, "big") + octets)
            with connection.makefile("rb") as stream:
                length = int.from_bytes(stream.read(2), "big")
                datagram = stream.read(length)
    except OSError as error:
        return Reply(error=f"cannot be asked over TCP, and its answer is too long for UDP: {_words(error)}")
    is_ours = datagram[:2] == octets[:2] and len(datagram) == length and wire.answers(datagram, asked)
    reply = wire.read_reply(datagram) if is_ours else None
    if reply is None or reply.is_truncated:
        return Reply(error="answers neither by UDP nor by TCP with anything that can be used")
    return reply


def _connect(opened: socket.socket, resolver: Resolver) -> str | None:
    try:
        opened.connect((resolver.address, resolver.port))
    except OSError as error:
        return _words(error)
    return None


def _words(error: OSError) -> str:
    return f"cannot be reached: {error.strerror or error}"
