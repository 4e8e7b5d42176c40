"""A gateway of a few lines, over real HTTP on loopback: it records what it gets, and answers as it is told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """`is_lost`: the request was taken, and the connection broken off before the answer."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    is_lost: bool = False


@dataclass
class StubGateway:
    """Counts each (stream, sequence) once, as the real one does."""

    heartbeats: list[dict[str, Any]] = field(default_factory=list)
    batches: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    posts: list[tuple[float, str, int]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    directive: dict[str, Any] | None = None
    answer: Callable[[str, dict[str, Any], str], Reply] | None = None
    url: str = ""

    def counts(self) -> Counter[tuple[str, str]]:
        """(mailbox provider, result) over all batches."""
        summed: Counter[tuple[str, str]] = Counter()
        for batch in list(self.batches.values()):
            for count in batch["counts"]:
                summed[count["mailbox_provider"], count["result"]] += count["messages"]
        return summed

    def total(self) -> int:
        return sum(self.counts().values())

    def take(self, path: str, body: dict[str, Any], token: str) -> Reply:
        reply = self.answer(path, body, token) if self.answer else Reply()
        self.tokens.append(token)
        if reply.status == 200:
            if path.endswith("/heartbeat"):
                self.heartbeats.append(body)
            else:
                known = self.batches.setdefault((body["stream"], body["sequence"]), body)
                assert known == body, "one number, two contents"
        if reply.body is None and path.endswith("/heartbeat") and self.directive is not None:
            return Reply(reply.status, {"version": 1, "directive": self.directive}, reply.headers, reply.is_lost)
        return reply


class StubServer:
    """The stub on a port of its own."""

    def __init__(self, stub: StubGateway, port: int = 0) -> None:
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stub.posts.append((time.monotonic(), self.path, len(body)))
                token = self.headers.get("Authorization", "").removeprefix("Bearer ")
                reply = stub.take(self.path, json.loads(body), token)
                if reply.is_lost:
                    self.close_connection = True
                    return
                told = json.dumps(reply.body if reply.body is not None else {}).encode()
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                self.wfile.write(told)

            def log_request(self, *args: object) -> None:
                """Quiet: the records tell."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """An agent that is killed breaks off its connections: that is what these tests do."""

        self.server = Server(("127.0.0.1", port), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_address[1]
        stub.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Poll; an assertion error when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
