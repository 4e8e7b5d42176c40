"""Supervisord over real processes: order, restarts, kills, and nothing left behind."""

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from penguin_infra.cli.programs import Program
from penguin_infra.cli.supervision import FLEET_MARK, Supervision, SupervisionError

# Starts a child as Dagster's code server starts its runs, says how it ends, and takes a moment to end.
PARENT = """
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
def end(*_):
    print("ends", time.time(), flush=True)
    sys.exit(0)
signal.signal(signal.SIGTERM, end)
print("child", child.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def supervision(tmp_path: Path) -> Iterator[Supervision]:
    supervision = Supervision(tmp_path / "a home")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script = tmp_path / "parent of 100%.py"
    script.write_text(PARENT)
    command = (sys.executable, str(script))
    supervision.start([Program("first", command, 10), Program("second", command, 20)], port, {"world": "test"})
    for name in ("first", "second"):
        supervision.start_program(name)
    until(lambda: all(state.is_running for state in supervision.states()))
    until(lambda: all(lives(supervision, name) == 1 for name in ("first", "second")))
    yield supervision
    supervision.stop()


def lives(supervision: Supervision, name: str) -> int:
    """How often a program came so far that it takes signals."""
    return supervision.log_file(name).read_text().count("child ")


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def marked_processes(supervision: Supervision) -> list[int]:
    found = []
    for process in psutil.process_iter():
        try:
            is_alive = process.status() != psutil.STATUS_ZOMBIE
            if is_alive and process.environ().get(FLEET_MARK) == supervision.mark():
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def supervisord_of(supervision: Supervision) -> int:
    return int((supervision.directory / "supervisord.pid").read_text())


def test_a_killed_program_comes_back_and_the_end_is_in_reverse_order(supervision: Supervision) -> None:
    killed = supervision.states()[0].pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    until(lambda: supervision.states()[0].is_running and supervision.states()[0].pid != killed)
    until(lambda: lives(supervision, "first") == 2)

    supervision.stop()
    ended = {
        name: float(supervision.log_file(name).read_text().rsplit("ends ", 1)[1].split()[0])
        for name in ("first", "second")
    }
    assert ended["second"] < ended["first"]
    assert marked_processes(supervision) == []
    assert [state.state for state in supervision.states()] == ["DOWN", "DOWN"]


def test_a_killed_supervisord_leaves_nothing_after_stop(supervision: Supervision) -> None:
    os.kill(supervisord_of(supervision), signal.SIGKILL)
    until(lambda: not supervision.is_running())
    outlived = len(marked_processes(supervision))

    assert outlived == 4
    assert supervision.stop() == outlived
    assert marked_processes(supervision) == []


def test_no_secret_stands_on_a_command_line_or_in_an_open_file(supervision: Supervision) -> None:
    password = next(
        line.partition("=")[2]
        for line in (supervision.directory / "supervisord.conf").read_text().splitlines()
        if line.startswith("password=")
    )

    assert not any(password in " ".join(psutil.Process(pid).cmdline()) for pid in marked_processes(supervision))
    for name in ("supervisord.conf", "fleet.json", "fleet-id"):
        assert (supervision.directory / name).stat().st_mode & 0o777 == 0o600


def test_a_port_that_is_taken_is_told_in_a_sentence(supervision: Supervision, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        other = Supervision(tmp_path / "other")
        with pytest.raises(SupervisionError, match="did not start"):
            other.start([], holder.getsockname()[1], {})
    assert other.stop() == 0
