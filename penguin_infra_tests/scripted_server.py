"""An HTTP server that answers with what a test wrote down, for answers that no real server gives when asked to.

It knows nothing of any contract; the simulator's faults are the place for what a provider may do.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Asked:
    """One request as it arrived."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Answer:
    """One answer to give. `is_lost`: the connection breaks off before it."""

    status: int
    body: str
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Type": "application/json"})
    is_lost: bool = False


@dataclass
class ScriptedServer:
    """The running server, and all it was asked."""

    url: str
    asked: list[Asked]


@contextmanager
def scripted_server(answer: Callable[[Asked], Answer]) -> Iterator[ScriptedServer]:
    """Serve on a free loopback port for the length of a with statement."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Asked(self.command, self.path, headers, body)
            asked.append(request)
            given = answer(request)
            if given.is_lost:
                self.close_connection = True
                return
            self.send_response_only(given.status)
            for name, value in given.headers.items():
                self.send_header(name, value)
            if given.status != HTTPStatus.NO_CONTENT:
                self.send_header("Content-Length", str(len(given.body.encode())))
            self.end_headers()
            self.wfile.write(given.body.encode())

        do_GET = do_POST = do_PUT = do_DELETE = _serve  # noqa: N815 - the names are the standard library's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield ScriptedServer(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
