"""Waiting for the fleet's programs until the UI answers, and telling early when one of them cannot live."""

import re
import socket
import time
from collections import Counter
from collections.abc import Callable

import httpx
from rich.console import Console

from penguin_infra.cli.programs import LOOPBACK
from penguin_infra.cli.stop_signals import StopSignals
from penguin_infra.cli.supervision import Supervision

_LOCATIONS = """{ workspaceOrError { __typename ... on PythonError { message } ... on Workspace { locationEntries {
    name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } }"""
_ERROR = re.compile(r"[\w.]*(Error|Exception)\b")
_POLL_SECONDS = 0.3
_PATIENCE_SECONDS = 180.0
# In seconds spent waiting for another try: the first three tries of a program that cannot live.
_BACKOFF_SECONDS = 4.0


class FleetNotReady(Exception):
    """A program does not come up; says which, what its log said last and where the log is."""


class StopWished(Exception):
    """Someone asked to stop while the fleet was starting."""


def is_port_open(port: int) -> bool:
    """Whether something listens on the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex((LOOPBACK, port)) == 0


def does_ui_answer(port: int) -> bool:
    """Whether the UI serves, with every code location loaded.

    Errors: `FleetNotReady` when a location fails to load.
    """
    try:
        answer = httpx.post(
            f"http://{LOOPBACK}:{port}/graphql", json={"query": _LOCATIONS}, timeout=10, trust_env=False
        )
        workspace = answer.raise_for_status().json()["data"]["workspaceOrError"]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return False
    entries = workspace.get("locationEntries") or []
    for problem in [workspace, *(entry["locationOrLoadError"] or {} for entry in entries)]:
        if problem.get("__typename") == "PythonError":
            raise FleetNotReady(f"the UI cannot load the definitions: {problem['message'].strip().splitlines()[-1]}")
    return bool(entries) and all(entry["loadStatus"] == "LOADED" for entry in entries)


def await_condition(
    awaited: str, condition: Callable[[], bool], supervision: Supervision, stop: StopSignals, console: Console
) -> None:
    """Wait until the condition holds, showing the seconds.

    Errors: `FleetNotReady`, `StopWished`.
    """
    began = time.monotonic()
    backoffs: Counter[str] = Counter()
    with console.status(f"waiting for {awaited}") as status:
        while not condition():
            waited = time.monotonic() - began
            status.update(f"waiting for {awaited} ({waited:.0f} s)")
            if waited > _PATIENCE_SECONDS:
                raise FleetNotReady(f"{awaited} is not there after {waited:.0f} s: see {supervision.logs}")
            states = supervision.states()
            backoffs.update(state.name for state in states if state.state in ("BACKOFF", "FATAL", "EXITED", "DOWN"))
            if failing := next((n for n, count in backoffs.items() if count * _POLL_SECONDS > _BACKOFF_SECONDS), None):
                raise FleetNotReady(f"{failing} ends again and again; {last_words(supervision, failing)}")
            if stop.wait(_POLL_SECONDS):
                raise StopWished
    console.print(f"{awaited[0].upper()}{awaited[1:]} is there after {time.monotonic() - began:.0f} s")


def last_words(supervision: Supervision, name: str) -> str:
    """Return what a program's log said last, the error rather than what surrounds it, and where to read on."""
    log = supervision.log_file(name)
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()] if log.exists() else []
    said = [line for line in lines if line][-100:]
    # Dagster wraps the error that its reader needs into some of its own.
    errors = sorted((line for line in said if _ERROR.match(line)), key=lambda line: not line.startswith("dagster."))
    return f"its log says: {(errors or said or ['nothing'])[-1]} (see {log})"
