"""A service that installs hosts, as far as a test needs one: it writes down what it is asked, and answers as told."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Asked:
    """One request. `body` None: there was none."""

    method: str
    path: str
    body: dict[str, Any] | None
    authorization: str | None


@dataclass(frozen=True)
class Told:
    """One answer. `is_lost`: the connection breaks off before it."""

    status: int = 200
    body: Any = None
    is_lost: bool = False


@dataclass
class Service:
    """Where it listens, and what it was asked."""

    url: str
    asked: list[Asked]


@contextmanager
def service(answer: Callable[[Asked], Told]) -> Iterator[Service]:
    """Serve on a free loopback port for the length of a block."""
    asked: list[Asked] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            request = Asked(self.command, self.path, body, self.headers.get("Authorization"))
            asked.append(request)
            told = answer(request)
            if told.is_lost:
                self.close_connection = True
                return
            text = b"" if told.body is None else json.dumps(told.body).encode()
            self.send_response_only(told.status)
            if told.status != 204:
                self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = _serve  # noqa: N815 - the names are the standard library's

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield Service(f"http://127.0.0.1:{server.server_address[1]}", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
