"""A playbook runs in a process of its own, and nothing of it outlives whoever asked for it."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from penguin_infra.installer.installer import Host, InstallFailed
from penguin_infra.installer.run_folders import run_folder
from penguin_infra_tests.installer.local_project import command, local_run

LOCK_LOST = RuntimeError("the lock is lost")


def sleepers(marker: str) -> list[psutil.Process]:
    """Processes that carry a marker of ours in their command line."""
    running = psutil.process_iter(["cmdline"])
    return [process for process in running if marker in " ".join(process.info["cmdline"] or [])]


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_changes_are_said_and_counted(host: Host, tmp_path: Path, said: list[str]) -> None:
    tasks = [command("true"), command("true", changed_when=False)]
    with run_folder(tmp_path / "work") as folder:
        story = local_run(tmp_path, folder, host, tasks).carry_out(said.append)
    assert story.changed == 1
    assert said == ["host begins", "host: Do it (changed)"]


def test_what_a_playbook_reports_comes_back(host: Host, tmp_path: Path) -> None:
    report = {"name": "Report", "ansible.builtin.set_stats": {"data": {"dkim_public_key": "MII"}}}
    with run_folder(tmp_path / "work") as folder:
        story = local_run(tmp_path, folder, host, [report]).carry_out(lambda _: None)
    assert story.reported == {"dkim_public_key": "MII"}


def test_a_task_that_fails_says_what_the_host_said(host: Host, tmp_path: Path) -> None:
    with run_folder(tmp_path / "work") as folder, pytest.raises(InstallFailed, match=r"Look: .*No such file") as raised:
        local_run(tmp_path, folder, host, [command("ls /nowhere", name="Look")]).carry_out(lambda _: None)
    assert "node-test-001" in str(raised.value)


def test_a_playbook_that_ansible_cannot_read_says_why(host: Host, tmp_path: Path) -> None:
    with (
        run_folder(tmp_path / "work") as folder,
        pytest.raises(InstallFailed, match=r"did not run to its end.*no_such"),
    ):
        local_run(tmp_path, folder, host, [{"name": "Err", "no_such_module": {}}]).carry_out(lambda _: None)


def test_a_run_that_takes_too_long_names_the_task_under_way(host: Host, tmp_path: Path) -> None:
    tasks = [command(f"sleep 300.{os.getpid()}1", name="Sleep for long")]
    run = local_run(tmp_path, tmp_path, host, tasks, timeout_seconds=10)
    with run_folder(tmp_path / "work") as folder, pytest.raises(InstallFailed, match="10 s; under way was host: Sleep"):
        replace(run, folder=folder).carry_out(lambda _: None)
    assert not sleepers(f"300.{os.getpid()}1")


def test_whoever_listens_may_end_the_run_at_once(host: Host, tmp_path: Path) -> None:
    marker = f"300.{os.getpid()}2"
    heard: list[str] = []

    def lose_the_lock(line: str) -> None:
        heard.append(line)
        if "changed" in line:
            raise LOCK_LOST

    tasks = [command("true"), command(f"sleep {marker}")]
    with run_folder(tmp_path / "work") as folder, pytest.raises(RuntimeError) as raised:
        local_run(tmp_path, folder, host, tasks).carry_out(lose_the_lock)
    assert raised.value is LOCK_LOST
    assert heard[-1] == "host: Do it (changed)"
    assert not sleepers(marker)
    assert not sleepers(str(folder))


def test_what_left_its_session_as_shared_ssh_connections_do_ends_too(host: Host, tmp_path: Path) -> None:
    marker = f"300.{os.getpid()}4"
    leave = {"name": "Leave", "ansible.builtin.shell": {"cmd": f"setsid sleep {marker} > /dev/null 2>&1 < /dev/null &"}}
    see = {"name": "See", "ansible.builtin.shell": {"cmd": f"until pgrep -f '[s]leep {marker}'; do sleep 0.1; done"}}
    with run_folder(tmp_path / "work") as folder:
        local_run(tmp_path, folder, host, [leave, see]).carry_out(lambda _: None)
    assert not sleepers(marker)


CALLER = """
import sys
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID
from penguin_infra.installer.installer import Host
from penguin_infra.installer.run_folders import run_folder
from penguin_infra_tests.installer.conftest import HOST_KEY
from penguin_infra_tests.installer.local_project import command, local_run
base = Path(sys.argv[1])
host = Host(UUID(int=7), "node", IPv4Address("127.0.0.1"), "node.test", HOST_KEY)
with run_folder(base / "work") as folder:
    local_run(base, folder, host, [command("sleep " + sys.argv[2])]).carry_out(lambda _: None)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_caller_that_is_killed_leaves_no_process_and_no_file(number: signal.Signals, tmp_path: Path) -> None:
    marker = f"300.{os.getpid()}{int(number)}3"
    caller = subprocess.Popen([sys.executable, "-c", CALLER, tmp_path, marker], cwd=Path(__file__).parents[2])
    try:
        wait_until(lambda: any(process.name() == "sleep" for process in sleepers(marker)))
        [folder] = (tmp_path / "work").glob("run-*")
        assert (folder / "inventory.json").exists()
        assert list(Path(tempfile.gettempdir()).glob(f"penguin-{folder.name}-*"))
    finally:
        caller.send_signal(number)
        caller.wait(60)
    wait_until(lambda: not sleepers(marker) and not sleepers(str(folder)) and not folder.exists())
    wait_until(lambda: not list(Path(tempfile.gettempdir()).glob(f"penguin-{folder.name}-*")))


def test_nothing_of_this_machines_environment_reaches_ansible(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOSTWIND_API_SECRET", "s3cret")
    seen = tmp_path / "seen"
    tell = {"name": "Tell", "ansible.builtin.shell": {"cmd": f"env > {seen}"}}
    with run_folder(tmp_path / "work") as folder:
        local_run(tmp_path, folder, host, [tell]).carry_out(lambda _: None)
        left = [file for file in folder.rglob("*") if file.is_file() and b"s3cret" in file.read_bytes()]
    assert not left
    assert "ANSIBLE_CONFIG" in seen.read_text()
    assert "s3cret" not in seen.read_text()
