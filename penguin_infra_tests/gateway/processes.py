"""The gateway as its operators start it, in processes of its own: to be killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
from sqlalchemy import Engine

from penguin_infra_tests.gateway.conftest import until
from penguin_infra_tests.simulator_process import free_port


class GatewayProcess:
    """`penguin-infra gateway serve` on a port of its own; its log is kept."""

    def __init__(self, engine: Engine, home: Path, *, workers: int = 1) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = home / "gateway.log"
        self._environment = os.environ | {
            "PENGUIN_DATABASE_URL": engine.url.render_as_string(hide_password=False),
            "PENGUIN_HOME": str(home),
        }
        self._command = [
            sys.executable, "-m", "penguin_infra", "gateway", "serve",
            "--port", str(self.port), "--workers", str(workers),
        ]  # fmt: skip
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until("the gateway is ready", self._is_ready, 60)

    def workers(self) -> list[psutil.Process]:
        """The processes under the one that was started."""
        assert self._process is not None
        return psutil.Process(self._process.pid).children(recursive=True)

    def kill(self) -> None:
        """As `kill -9` does, to the one process that was started."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(30)
            self._process = None

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", trust_env=False, timeout=5).is_success
        except httpx.TransportError:
            return False
