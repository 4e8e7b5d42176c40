"""The simulated Hostwind served from a thread of the test, with the test's own clock: sixty days pass in seconds.

The process with this machine's clock is `simulator_process.py`'s.
"""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx
import uvicorn

from penguin_infra.hostwind.rest import RestProvider
from penguin_infra.lab.hostwind_simulator import simulator_app
from penguin_infra.lab.hostwind_state import HostwindState
from penguin_infra_tests.simulator_process import KEY, SECRET

_LONGEST_SECONDS = 30


class SimulatedProvider:
    """A running simulator: `port` speaks the contract's calls, `ask` the lab's."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.port = RestProvider(
            url=url, key=KEY, secret=SECRET, requests_per_second=5_000, timeout_seconds=20, first_wait_seconds=0.01
        )
        # One connection kept: a new one a call would be most of the test's time.
        self._lab = httpx.Client(base_url=url, auth=(KEY, SECRET), timeout=20, trust_env=False)

    def ask(self, method: str, path: str, body: object = None) -> dict[str, object]:
        answer = self._lab.request(method, path, json=body)
        answer.raise_for_status()
        found: dict[str, object] = answer.json()
        return found

    def close(self) -> None:
        self._lab.close()
        self.port.close()


@contextmanager
def simulated_provider(
    directory: Path, clock: Callable[[], datetime], *, boot_seconds: float
) -> Iterator[SimulatedProvider]:
    """A simulator for the length of a with statement."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        servers: list[uvicorn.Server] = []

        def serve() -> None:
            # SQLite's connection is the thread's that opened it.
            with HostwindState(directory) as state:
                app = simulator_app(
                    state,
                    key=KEY,
                    secret=SECRET,
                    boot_seconds=boot_seconds,
                    reverse_dns=None,
                    reverse_dns_delay_seconds=0,
                    clock=clock,
                )
                config = uvicorn.Config(app, loop="asyncio", ws="none", log_level="warning", access_log=False)
                servers.append(uvicorn.Server(config))
                servers[0].run(sockets=[listener])

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not (servers and servers[0].started):
            assert thread.is_alive(), "the simulator did not start"
            assert time.monotonic() < deadline, "the simulator did not start in time"
            time.sleep(0.01)
        provider = SimulatedProvider(f"http://127.0.0.1:{listener.getsockname()[1]}")
        try:
            yield provider
        finally:
            provider.close()
            servers[0].should_exit = True
            thread.join(_LONGEST_SECONDS)
            assert not thread.is_alive()
