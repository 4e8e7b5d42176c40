"""Nothing is left of a host: after it stopped, after a start that failed half-way, after its process was killed."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from penguin_infra_tests.hosts.abandoned import clear_abandoned
from penguin_infra_tests.hosts.host import Host, HostFailed
from penguin_infra_tests.hosts.pool import HostPool
from penguin_infra_tests.hosts.traces import traces_of

_START = "import sys; from penguin_infra_tests.hosts.__main__ import main; sys.argv[1:] = []; sys.exit(main())"


@pytest.fixture
def foreground(host_pool: HostPool) -> Iterator[subprocess.Popen[str]]:
    """Another process that keeps a host up."""
    process = subprocess.Popen([sys.executable, "-c", _START], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()
    clear_abandoned()


def name_shown_by(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().split()[0]


def nspawn_of(name: str) -> list[psutil.Process]:
    found = psutil.process_iter(["cmdline"])
    return [process for process in found if f"--machine={name}" in (process.info["cmdline"] or [])]


def run_clear() -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "penguin_infra_tests.hosts", "--clear"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


def test_nothing_is_left_of_a_stopped_host(bare_host: Host) -> None:
    assert traces_of(bare_host)

    bare_host.stop()

    assert traces_of(bare_host) == []
    bare_host.stop()


def test_a_running_host_is_not_started_twice(bare_host: Host) -> None:
    with pytest.raises(HostFailed, match="running already"):
        bare_host.start()

    assert bare_host.run("echo unharmed").strip() == "unharmed"


def test_a_released_host_leaves_no_disk_either(host_pool: HostPool) -> None:
    host = host_pool.start_host()

    host_pool.release(host)

    assert traces_of(host) == []
    assert not host.slot.directory.exists()
    assert host.name not in Path("/proc/self/mounts").read_text()


def test_nothing_is_left_of_a_start_that_failed_half_way(host_pool: HostPool, tmp_path: Path) -> None:
    units = tmp_path / "layer/etc/systemd/system"
    units.mkdir(parents=True)
    (units / "ssh.service").symlink_to("/dev/null")
    host = host_pool.make_host(layers=[tmp_path / "layer"])
    host.longest_boot_seconds = 2

    with pytest.raises(HostFailed, match="did not answer SSH"):
        host.start()

    assert traces_of(host) == []
    host_pool.release(host)


def test_a_host_that_cannot_boot_says_at_once_what_its_console_said(host_pool: HostPool, tmp_path: Path) -> None:
    (tmp_path / "layer/usr/lib/systemd").mkdir(parents=True)
    (tmp_path / "layer/usr/lib/systemd/systemd").write_text("no program")
    host = host_pool.make_host(layers=[tmp_path / "layer"])

    with pytest.raises(HostFailed, match="execv"):
        host.start()

    assert traces_of(host) == []
    host_pool.release(host)


def test_the_foreground_command_leaves_nothing_when_it_is_ended(foreground: subprocess.Popen[str]) -> None:
    name = name_shown_by(foreground)
    assert nspawn_of(name)

    foreground.send_signal(signal.SIGTERM)

    assert foreground.wait(60) == 0
    assert nspawn_of(name) == []
    assert name not in clear_abandoned()


def test_what_a_killed_process_left_is_found_and_taken_away(foreground: subprocess.Popen[str]) -> None:
    name = name_shown_by(foreground)
    foreground.kill()
    foreground.wait()
    assert nspawn_of(name)

    # A pool in another worker may find it first, and is then at it.
    deadline = time.monotonic() + 30
    while name not in (cleared := run_clear()).stderr and nspawn_of(name):
        assert time.monotonic() < deadline

    assert cleared.returncode == (1 if cleared.stderr else 0)

    assert nspawn_of(name) == []
    for kept in ("/sys/class/net", "/run/netns", "/run/systemd/nspawn/propagate"):
        assert name not in {path.name for path in Path(kept).iterdir()}
    assert name not in clear_abandoned()


def test_hosts_of_a_running_process_are_never_cleared(foreground: subprocess.Popen[str]) -> None:
    name = name_shown_by(foreground)

    assert name not in clear_abandoned()

    assert nspawn_of(name)
