"""The lab's nodes in a process of their own, for tests: start, kill, install, ask. No assertions about what they do."""

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from penguin_infra_tests.simulator_process import SimulatorProcess, free_port
from penguin_infra_tests.waiting import until

_SERVE = "from penguin_infra.cli.lab_nodes import app; app()"


@dataclass
class LabNodesProcess:
    """The process of one folder; `start` after `kill` finds the same nodes again."""

    folder: Path
    simulator: SimulatorProcess
    gateway_port: int
    sink_port: int
    api_key: str = field(repr=False)
    port: int = field(default_factory=free_port)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.gateway_port}"

    @property
    def log(self) -> str:
        return (self.folder.parent / "lab-nodes.log").read_text()

    def start(self) -> None:
        options = ["--port", str(self.port), "--directory", str(self.folder), "--sink", f"127.0.0.1:{self.sink_port}"]
        options += ["--heartbeat-seconds", "1", "--look-seconds", "0.5"]
        environment = {
            **os.environ,
            **self.simulator.environment,
            "PENGUIN_LAB_API_KEY": self.api_key,
            "PENGUIN_GATEWAY_PORT": str(self.gateway_port),
        }
        with (self.folder.parent / "lab-nodes.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _SERVE, "serve-nodes", *options],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until("the lab's nodes are served", self._is_serving)

    def kill(self) -> None:
        """As a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def ask(self, method: str, path: str, body: object = None, *, key: str | None = None) -> httpx.Response:
        """One request to the installer service or the control."""
        return httpx.request(
            method,
            f"http://127.0.0.1:{self.port}{path}",
            json=body,
            headers={"Authorization": f"Bearer {key or self.api_key}"},
            timeout=30,
            trust_env=False,
        )

    def nodes(self) -> dict[str, dict[str, Any]]:
        """The nodes as a person may look at them, by label."""
        return {node["label"]: node for node in self.ask("GET", "/nodes").json()["nodes"]}

    def queued(self, label: str) -> int:
        answer = self.ask("GET", f"/hosts/{label}/queue")
        return int(answer.raise_for_status().json()["queued"])

    def _is_serving(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self.log
        try:
            return self.ask("GET", "/nodes").is_success
        except httpx.TransportError:
            return False

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(how)
            self._process.wait(60)
            self._process = None
