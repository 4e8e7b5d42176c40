"""Supervisord for one home: its configuration, its life, and whatever a killed one left running.

Which programs run stands in `programs.py`; what the commands print, in `fleet.py`. Every process of the fleet carries
the home's random mark in its environment, and only processes with that mark are ever ended here.
"""

import json
import os
import secrets
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import psutil

from penguin_infra.cli.fleet_env import write_private
from penguin_infra.cli.programs import LOOPBACK, Program, render_configuration

FLEET_MARK = "PENGUIN_FLEET_ID"


class SupervisionError(Exception):
    """Supervisord does not start or does not answer; says what was tried and where its log is."""


@dataclass(frozen=True, slots=True)
class ProgramState:
    """One program as supervisord sees it: RUNNING, STARTING, BACKOFF, STOPPED, STOPPING, EXITED or FATAL."""

    name: str
    state: str
    pid: int | None = None
    port: int | None = None
    uptime_seconds: int | None = None
    detail: str = ""

    @property
    def is_running(self) -> bool:
        """Whether it runs, and has for long enough to count as started."""
        return self.state == "RUNNING"


class Supervision:
    """The supervisord of one home, running or not. Its port and password are remembered for other terminals."""

    def __init__(self, home: Path) -> None:
        self.directory = home / "supervisor"
        self.logs = home / "logs"
        self._record = self.directory / "fleet.json"
        self._child: subprocess.Popen[bytes] | None = None

    def is_running(self) -> bool:
        """Whether this home's supervisord lives: the process with the remembered pid and this home's mark."""
        return self._process() is not None

    def start(self, programs: Sequence[Program], port: int, facts: Mapping[str, str]) -> None:
        """Start supervisord in this process's environment, all programs stopped; `facts()` will return the facts."""
        mark = self.mark()
        self.logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        password = secrets.token_urlsafe(24)
        configuration = self.directory / "supervisord.conf"
        write_private(
            configuration, render_configuration(programs, self.directory, self.logs, port=port, password=password)
        )
        # In a session of its own: Ctrl-C in the terminal is for `up`, which then ends everything in order.
        with (self.logs / "supervisord.err").open("w") as errors:
            process = self._child = subprocess.Popen(
                [sys.executable, "-m", "supervisor.supervisord", "-c", str(configuration)],
                env={**os.environ, FLEET_MARK: mark},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,
            )
        ports = {program.name: program.port for program in programs}
        record = {"pid": process.pid, "port": port, "password": password, "ports": ports, "facts": dict(facts)}
        write_private(self._record, json.dumps(record, indent=2) + "\n")
        deadline = time.monotonic() + 20
        while process.poll() is not None or not self._answers():
            if process.poll() is not None or time.monotonic() > deadline:
                said = (self.logs / "supervisord.err").read_text(errors="replace").strip().splitlines()
                raise SupervisionError(f"supervisord did not start: {said[-1] if said else 'no word'}; see {self.logs}")
            time.sleep(0.1)

    def start_program(self, name: str) -> None:
        """Start one program and return at once."""
        try:
            self._call("startProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "ALREADY_STARTED" not in fault.faultString:
                raise SupervisionError(f"supervisord could not start {name}: {fault.faultString}") from None

    def stop_program(self, name: str) -> None:
        """Ask one program to stop and return at once; it stays down until it is started."""
        try:
            self._call("stopProcess", name, False)
        except xmlrpc.client.Fault as fault:
            if "NOT_RUNNING" not in fault.faultString:
                raise SupervisionError(f"supervisord could not stop {name}: {fault.faultString}") from None

    def states(self) -> Sequence[ProgramState]:
        """Ask for all programs, in starting order; all are down when supervisord is."""
        record = self._read_record()
        ports: dict[str, int | None] = record.get("ports", {})
        if not self.is_running():
            return [ProgramState(name, "DOWN", port=port) for name, port in ports.items()]
        known: dict[str, dict[str, Any]] = {info["name"]: info for info in self._call("getAllProcessInfo")}
        return [
            ProgramState(
                name=name,
                state=info["statename"],
                pid=info["pid"] or None,
                port=port,
                uptime_seconds=max(0, info["now"] - info["start"]) if info["pid"] else None,
                detail=info["spawnerr"] or ("" if info["pid"] else info["description"]),
            )
            for name, port in ports.items()
            if (info := known.get(name)) is not None
        ]

    def facts(self) -> dict[str, str]:
        """Return what `start` was told to remember."""
        return dict(self._read_record().get("facts", {}))

    def stop(self) -> int:
        """End all programs in reverse order, then supervisord, then leftovers; returns how many of those there were."""
        process = self._process()
        if process is not None:
            # Each program has its own deadline in the configuration: this one only bounds a supervisord that hangs.
            deadline = time.monotonic() + 240
            _signal(process, "terminate")
            # Not `wait()`: another terminal's `up`, whose child it is, may reap it only after we let it go on.
            while self._process() is not None:
                if time.monotonic() > deadline:
                    _signal(process, "kill")
                time.sleep(0.1)
        if self._child is not None:
            self._child.wait()  # else it stays a zombie of this process
        return self.end_leftovers()

    def end_leftovers(self) -> int:
        """End whatever carries this home's mark while no supervisord runs, by pid; returns how many there were."""
        found = self._marked()
        for process in found:
            _signal(process, "terminate")
        deadline = time.monotonic() + 15
        while alive := self._marked():
            if time.monotonic() > deadline:
                for process in alive:
                    _signal(process, "kill")
            if time.monotonic() > deadline + 15:
                pids = ", ".join(str(process.pid) for process in alive)
                raise SupervisionError(f"these processes of the fleet do not end, not even by SIGKILL: {pids}")
            time.sleep(0.2)
        return len(found)

    def mark(self) -> str:
        """Return the home's random mark, made on first use."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.directory / "fleet-id"
        if not path.exists():
            write_private(path, secrets.token_hex(16))
        return path.read_text().strip()

    def log_file(self, name: str) -> Path:
        """Return the file that takes a program's output."""
        return self.logs / f"{name}.log"

    def _read_record(self) -> dict[str, Any]:
        try:
            record: dict[str, Any] = json.loads(self._record.read_text())
        except (OSError, ValueError):
            return {}
        return record

    def _process(self) -> psutil.Process | None:
        pid = self._read_record().get("pid")
        if not pid or not psutil.pid_exists(pid):
            return None
        process = psutil.Process(pid)
        return process if _carries(process, self.mark()) else None

    def _marked(self) -> Sequence[psutil.Process]:
        if not self.directory.is_dir():
            return []
        mark = self.mark()
        return [found for found in psutil.process_iter() if found.pid != os.getpid() and _carries(found, mark)]

    def _answers(self) -> bool:
        try:
            self._call("getState")
        except SupervisionError:
            return False
        return True

    def _call(self, method: str, *arguments: object) -> Any:
        record = self._read_record()
        address = f"http://penguin:{record.get('password')}@{LOOPBACK}:{record.get('port')}/RPC2"
        try:
            with xmlrpc.client.ServerProxy(address, transport=_ImpatientTransport()) as server:
                return getattr(server.supervisor, method)(*arguments)
        except (OSError, HTTPException, xmlrpc.client.ProtocolError):
            raise SupervisionError(
                f"supervisord does not answer on port {record.get('port')}: see {self.logs / 'supervisord.log'}"
            ) from None


class _ImpatientTransport(xmlrpc.client.Transport):
    """The library's waits for ever, for instance on a stranger that holds the port and never answers."""

    def make_connection(self, host: Any) -> HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = 5
        return connection


def _carries(process: psutil.Process, mark: str) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(FLEET_MARK) == mark
    except (psutil.Error, OSError):
        return False  # gone, or another user's: neither is ours


def _signal(process: psutil.Process, verb: str) -> None:
    with suppress(psutil.NoSuchProcess):
        getattr(process, verb)()
