"""A TCP proxy on loopback before a name server: counts messages, loses answers, lets something happen in between."""

import socket
import socketserver
import threading
from collections import Counter
from typing import TYPE_CHECKING, Self

import dns.opcode

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_SECONDS = 10


class DnsProxy(socketserver.ThreadingTCPServer):
    """Passes DNS messages on. `before_update` runs once, before the next update reaches the server."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, address: str, port: int) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.updates_to = self.questions_to = (address, port)
        self.seen: Counter[str] = Counter()
        self.answers_to_lose = 0
        self.before_update: Callable[[], object] | None = None
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})

    @property
    def server(self) -> str:
        """`address:port`, as the product's setting takes it."""
        return f"127.0.0.1:{self.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that breaks is what this is for."""


class _Connection(socketserver.BaseRequestHandler):
    server: DnsProxy

    def handle(self) -> None:
        self.request.settimeout(_PATIENCE_SECONDS)
        while (query := _read_message(self.request)) is not None:
            is_update = (query[2] >> 3) & 0xF == dns.opcode.UPDATE
            self.server.seen["update" if is_update else "question"] += 1
            if is_update and self.server.before_update is not None:
                happen, self.server.before_update = self.server.before_update, None
                happen()
            there = self.server.updates_to if is_update else self.server.questions_to
            with socket.create_connection(there, _PATIENCE_SECONDS) as upstream:
                upstream.sendall(len(query).to_bytes(2) + query)
                answer = _read_message(upstream)
            if answer is None:
                return
            if is_update and self.server.answers_to_lose:
                self.server.answers_to_lose -= 1
                return
            self.request.sendall(len(answer).to_bytes(2) + answer)


def _read_message(connection: socket.socket) -> bytes | None:
    length = _read(connection, 2)
    return _read(connection, int.from_bytes(length)) if length else None


def _read(connection: socket.socket, size: int) -> bytes | None:
    found = b""
    while len(found) < size:
        piece = connection.recv(size - len(found))
        if not piece:
            return None
        found += piece
    return found
