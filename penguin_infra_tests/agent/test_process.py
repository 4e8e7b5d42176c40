"""The zipapp as a process, under the oldest Python it promises to run on: killed, stopped, and told to restart."""

import json
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penguin_infra.agent.agent import AgentConfig
from penguin_infra.agent.archive import build_archive
from penguin_infra_tests.agent.log_writer import append, delivery
from penguin_infra_tests.agent.node_python import find_python_3_10
from penguin_infra_tests.agent.stub_gateway import StubGateway, wait_until

StartProcess = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_archive(tmp_path_factory.mktemp("archive") / "penguin-agent.pyz")


@pytest.fixture
def config_file(config: AgentConfig, tmp_path: Path) -> Path:
    file = tmp_path / "config.json"
    file.write_text(json.dumps({
        "node_id": config.node_id, "gateway_url": config.gateway_url, "token_file": str(config.token_file),
        "spool_folder": str(config.spool_folder), "mail_log": str(config.mail_log),
        "queue_folder": str(tmp_path), "heartbeat_seconds": 0.3, "batch_seconds": 0.05, "log_poll_seconds": 0.01,
        "replay_interval_seconds": 0.01, "heartbeat_backoff_cap_seconds": 0.2, "delivery_backoff_cap_seconds": 0.1,
    }))  # fmt: skip
    return file


@pytest.fixture
def start_process(archive: Path, config_file: Path) -> Iterator[StartProcess]:
    started: list[subprocess.Popen[bytes]] = []

    def start(python: str = sys.executable) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [python, str(archive), "--config", str(config_file)], stderr=subprocess.PIPE, cwd=config_file.parent
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def python_3_10() -> str:
    found = find_python_3_10()
    if found is None:
        pytest.skip("no Python 3.10 on the path or among pyenv's, and Debian has no package of it")
    return found


def test_kills_at_any_moment_lose_and_repeat_nothing(
    config: AgentConfig, gateway: StubGateway, start_process: StartProcess
) -> None:
    chance = random.Random(20261124)
    written = 0
    for turn in range(8):
        batches = len(gateway.batches)
        process = start_process()
        started_at, lives_seconds = time.monotonic(), chance.uniform(0.1, 0.5)
        # Every other time it is killed in the middle of its work, however slow its start was; else at any moment.
        while time.monotonic() < started_at + lives_seconds or (turn % 2 and len(gateway.batches) < batches + 2):
            assert time.monotonic() < started_at + 30
            append(config.mail_log, *(delivery(written + index) for index in range(3)))
            written += 3
            time.sleep(0.005)
        process.kill()
        process.wait()
    start_process()
    wait_until(lambda: gateway.total() >= written)
    time.sleep(0.2)
    assert gateway.total() == written


def test_sigterm_ends_it_well(gateway: StubGateway, start_process: StartProcess) -> None:
    process = start_process()
    wait_until(lambda: bool(gateway.heartbeats))
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_a_restart_of_itself_is_an_exit_that_the_service_manager_restarts_on(
    gateway: StubGateway, start_process: StartProcess
) -> None:
    gateway.directive = {"version": 1, "transport": "release", "restart": "agent", "restart_id": "r-1"}
    assert start_process().wait(20) == 75
    assert gateway.heartbeats[-1]["restart_done_id"] == "r-1"


def test_a_token_that_others_may_read_is_refused_with_what_to_do(
    config: AgentConfig, start_process: StartProcess
) -> None:
    config.token_file.chmod(0o640)
    process = start_process()
    _, told = process.communicate(timeout=20)
    assert process.returncode == 78
    assert f"chmod 600 {config.token_file}" in told.decode()


def test_a_host_without_postfix_is_reported_as_such(gateway: StubGateway, start_process: StartProcess) -> None:
    if shutil.which("postconf", path="/usr/sbin:/usr/bin"):
        pytest.skip("this host has a Postfix")
    gateway.directive = {"version": 1, "transport": "hold"}
    start_process()
    wait_until(lambda: len(gateway.heartbeats) >= 3)
    heartbeat = gateway.heartbeats[-1]
    assert heartbeat["probes"]["mta"]["state"] == "absent"
    assert heartbeat["transport"] == "unknown"
    assert 0 <= heartbeat["probes"]["memory_percent"] <= 100
    assert heartbeat["probes"]["rx_bytes_per_second"] is not None
    assert heartbeat["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_the_zipapp_runs_on_python_3_10(config: AgentConfig, gateway: StubGateway, start_process: StartProcess) -> None:
    process = start_process(python_3_10())
    append(config.mail_log, delivery(1))
    wait_until(lambda: bool(gateway.heartbeats) and gateway.total() == 1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0


def test_the_archive_is_the_same_bytes_each_time(archive: Path, tmp_path: Path) -> None:
    assert build_archive(tmp_path / "again.pyz").read_bytes() == archive.read_bytes()
