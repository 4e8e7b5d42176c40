"""A simulated Hostwind in a process of its own, for tests: start, kill, restart, break, read the bill.

What the simulator does is tested in `contract/`; nothing here knows the product's side of the API.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

KEY = "lab-key-5f1d0c"
SECRET = "lab-secret-9b2e77"
# A busy machine may take its time to start Python; only a broken simulator takes this long.
LONGEST_START_SECONDS = 60
_SERVE = "from penguin_infra.cli.lab_hostwind import app; app()"


def free_port() -> int:
    """A loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass
class SimulatorProcess:
    """One simulator on one port and one directory; `start` after `kill` finds the same instances again.

    `options` and `secrets`: more of the command's options and environment.
    """

    directory: Path
    boot_seconds: float = 0.2
    port: int = field(default_factory=free_port)
    options: Sequence[str] = ()
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """The settings under which the product and the lab's commands reach this simulator."""
        return {
            "HOSTWIND_API_URL": self.url,
            "HOSTWIND_API_KEY": KEY,
            "HOSTWIND_API_SECRET": SECRET,
            "PENGUIN_HOME": str(self.directory / "home"),
        }

    @property
    def log(self) -> str:
        return (self.directory / "simulator.log").read_text()

    def start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        options = ["--port", str(self.port), "--directory", str(self.directory), *self.options]
        with (self.directory / "simulator.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, "serve-hostwind", *options, "--boot-seconds", str(self.boot_seconds)],
                env={**os.environ, **self.environment, **self.secrets},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while not self._is_serving():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"the simulator did not start: {self.log}")
            time.sleep(0.05)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def ask(
        self, method: str, path: str, *, body: object = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        """One raw request with the right credentials, no product code involved."""
        return httpx.request(
            method,
            self.url + path,
            json=body,
            headers=headers,
            auth=(KEY, SECRET),
            timeout=30,
            trust_env=False,
            verify=False,  # plain HTTP: there is no certificate, and loading the authorities takes longer than the rest
        )

    def instances(self, label: str | None = None) -> list[dict[str, object]]:
        """The live instances (of one label) as the API lists them, oldest first."""
        page: int | None = 1
        found: list[dict[str, object]] = []
        while page:
            answer = self.ask("GET", f"/instances?page={page}&per_page=100").json()
            found += [instance for instance in answer["instances"] if label in {None, instance["label"]}]
            page = answer["next_page"]
        return found

    def add_fault(
        self,
        kind: str,
        *,
        seconds: float = 1,
        count: int | None = None,
        method: str | None = None,
        path_prefix: str | None = None,
    ) -> None:
        asked = {"kind": kind, "seconds": seconds, "count": count, "method": method, "path_prefix": path_prefix}
        self.ask("POST", "/lab/faults", body=asked).raise_for_status()

    def faults(self) -> list[dict[str, object]]:
        """The faults in force."""
        listed: list[dict[str, object]] = self.ask("GET", "/lab/faults").json()["faults"]
        return listed

    def clear_faults(self) -> None:
        self.ask("DELETE", "/lab/faults").raise_for_status()

    def bill(self) -> dict[str, object]:
        answer: dict[str, object] = self.ask("GET", "/lab/bill").json()
        return answer

    def _is_serving(self) -> bool:
        try:
            return self.ask("GET", "/lab/faults").is_success
        except httpx.TransportError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        self._process.wait()
        self._process = None


@contextmanager
def running_simulator(
    directory: Path,
    *,
    boot_seconds: float = 0.2,
    options: Sequence[str] = (),
    secrets: dict[str, str] | None = None,
) -> Iterator[SimulatorProcess]:
    """A simulator for the length of a with statement."""
    simulator = SimulatorProcess(directory, boot_seconds=boot_seconds, options=options, secrets=secrets or {})
    simulator.start()
    try:
        yield simulator
    finally:
        simulator.stop()
