"""Questions over TCP, for answers that no datagram holds: a few connections at once, each bounded in time.

Which questions those are is `exchange.py`'s; the selector is that of `sockets.py`.
"""

import os
import selectors
import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from secrets import token_bytes

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.exchange import TRY_TIMEOUTS_SECONDS, Finished
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.wire import Reply

# Truncation is rare; a resolver that truncates everything is asked no faster than this many connections allow.
_CONNECTIONS = 8
_LENGTH_OCTETS = 2
_READ_OCTETS = 65_536 + _LENGTH_OCTETS

_LATE = Reply(error="did not answer over TCP in time", may_pass=True)
_UNUSABLE = Reply(error="answers neither by UDP nor by TCP with anything that can be used", may_pass=True)

OnReply = Callable[[Reply], None]


@dataclass(slots=True, eq=False)
class _Stream:
    """One connection with one question."""

    resolver: Resolver
    finished: Finished
    on_reply: OnReply
    opened: socket.socket
    late_at: float
    to_send: bytes
    message_id: bytes
    received: bytearray = field(default_factory=bytearray)


class Streams:
    """The questions over TCP of one exchange of all servers."""

    def __init__(self, selector: selectors.BaseSelector) -> None:
        self._selector = selector
        self._waiting: deque[tuple[Resolver, Finished, OnReply]] = deque()
        self._open: set[_Stream] = set()

    @property
    def is_done(self) -> bool:
        """Nothing is asked, nothing waits."""
        return not self._open and not self._waiting

    def ask(self, resolver: Resolver, finished: Finished, on_reply: OnReply) -> None:
        """Ask as soon as there is a connection for it; `on_reply` hears of it in any case, once."""
        self._waiting.append((resolver, finished, on_reply))

    def advance(self, now: float) -> None:
        """Give up what is late, and begin what waits."""
        for stream in [one for one in self._open if one.late_at <= now]:
            self._end(stream, _LATE)
        while self._waiting and len(self._open) < _CONNECTIONS:
            self._begin(*self._waiting.popleft(), now)

    def wakes_at(self) -> float | None:
        """When the first connection is late."""
        return min((stream.late_at for stream in self._open), default=None)

    def handle(self, stream: object) -> None:
        """Go on with a connection that the selector named."""
        if not isinstance(stream, _Stream) or stream not in self._open:
            return
        try:
            if stream.to_send:
                self._send(stream)
            else:
                self._receive(stream)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(stream, _failure(error))

    def close(self) -> None:
        """Close what is open; nobody is told."""
        for stream in self._open:
            stream.opened.close()
        self._open.clear()

    def _begin(self, resolver: Resolver, finished: Finished, on_reply: OnReply, now: float) -> None:
        message_id = token_bytes(wire.ID_OCTETS)
        query = wire.query(message_id, finished.query.asked)
        opened = socket.socket(socket.AF_INET6 if ":" in resolver.address else socket.AF_INET, socket.SOCK_STREAM)
        to_send = len(query).to_bytes(_LENGTH_OCTETS, "big") + query
        late_at = now + TRY_TIMEOUTS_SECONDS[-1]
        stream = _Stream(resolver, finished, on_reply, opened, late_at, to_send, message_id)
        self._open.add(stream)
        finished.lane.sent += 1
        opened.setblocking(False)
        self._selector.register(opened, selectors.EVENT_WRITE, (self, stream))
        try:
            opened.connect((resolver.address, resolver.port))
        except BlockingIOError:
            return
        except OSError as error:
            self._end(stream, _failure(error))

    def _send(self, stream: _Stream) -> None:
        failed = stream.opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if failed:
            raise OSError(failed, os.strerror(failed))
        stream.to_send = stream.to_send[stream.opened.send(stream.to_send) :]
        if not stream.to_send:
            self._selector.modify(stream.opened, selectors.EVENT_READ, (self, stream))

    def _receive(self, stream: _Stream) -> None:
        octets = stream.opened.recv(_READ_OCTETS)
        stream.received += octets
        length = int.from_bytes(stream.received[:_LENGTH_OCTETS], "big")
        datagram = bytes(stream.received[_LENGTH_OCTETS:])
        if not octets or (len(stream.received) >= _LENGTH_OCTETS and len(datagram) >= length):
            self._end(stream, _read(stream, datagram) if len(datagram) == length else _UNUSABLE)

    def _end(self, stream: _Stream, reply: Reply) -> None:
        self._open.discard(stream)
        self._selector.unregister(stream.opened)
        stream.opened.close()
        stream.on_reply(reply)


def _read(stream: _Stream, datagram: bytes) -> Reply:
    asked = stream.finished.query.asked
    if datagram[: wire.ID_OCTETS] != stream.message_id or not wire.answers(datagram, asked):
        return _UNUSABLE
    reply = wire.read_reply(datagram, asked)
    return _UNUSABLE if reply.is_truncated else reply


def _failure(error: OSError) -> Reply:
    return Reply(
        error=f"cannot be reached over TCP, and its answer is too long for UDP: {error.strerror or error}",
        may_pass=True,
    )
