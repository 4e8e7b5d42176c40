"""A lean load of heartbeats: raw sockets kept alive, each sending the next request on its answer. A process by itself.

Arguments: port, path, nodes' file (`node_id token` a line), connections, seconds. Prints figures as JSON.
"""

import asyncio
import json
import sys
import time
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import cast
from uuid import UUID

from penguin_infra_tests.gateway.conftest import heartbeat


def main(port: int, path: str, nodes_file: Path, connections: int, seconds: float) -> None:
    """Send for so many seconds and print how it went."""
    requests = [_request(path, *line.split()) for line in nodes_file.read_text().splitlines()]
    load = _Load(requests, seconds)
    try:
        import uvloop  # noqa: PLC0415

        uvloop.run(load.run(port, connections))
    except ImportError:
        asyncio.run(load.run(port, connections))
    latencies = sorted(load.latencies)
    print(
        json.dumps(
            {
                "answered": len(latencies),
                "refused": load.refused,
                "seconds": load.took,
                "median": latencies[len(latencies) // 2],
                "p99": latencies[len(latencies) * 99 // 100],
            }
        )
    )


class _Load:
    def __init__(self, requests: list[bytes], seconds: float) -> None:
        self.requests = cycle(requests)
        self.seconds = seconds
        self.latencies: list[float] = []
        self.refused = 0
        self.took = 0.0
        self.ends_at = 0.0

    async def run(self, port: int, connections: int) -> None:
        loop = asyncio.get_running_loop()
        opened = [await loop.create_connection(lambda: _Client(self), "127.0.0.1", port) for _ in range(connections)]
        began = time.perf_counter()
        self.ends_at = began + self.seconds
        for _, client in opened:
            client.send()
        await asyncio.wait([client.done for _, client in opened], timeout=self.seconds + 30)
        self.took = time.perf_counter() - began


class _Client(asyncio.Protocol):
    def __init__(self, load: _Load) -> None:
        self._load = load
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is no subclass

    def send(self) -> None:
        self._sent_at = time.perf_counter()
        self._transport.write(next(self._load.requests))

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, separator, body = self._buffer.partition(b"\r\n\r\n")
        if not separator or len(body) < int(head.lower().split(b"content-length: ")[1].split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        now = time.perf_counter()
        self._load.latencies.append(now - self._sent_at)
        self._load.refused += not head.startswith(b"HTTP/1.1 200")
        if now < self._load.ends_at:
            self.send()
        elif not self.done.done():
            self.done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_result(None)


def _request(path: str, node_id: str, token: str) -> bytes:
    body = json.dumps(heartbeat(UUID(node_id), sent_at=datetime.now(UTC).isoformat())).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5]))
