"""Probes out of the real /proc, and out of one that is broken."""

import time
from pathlib import Path

import pytest

from penguin_infra.agent.probes import ProcProbes
from penguin_infra.messages.telemetry import Mta

STAT = "cpu  {user} 0 0 {idle} 0 0 0 0 0 0\ncpu0 1 1 1 1\n"
NET = """Inter-|   Receive | Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
    lo: 99999999  0 0 0 0 0 0 0 99999999  0 0 0 0 0 0 0
  eth0: {rx}      0 0 0 0 0 0 0 {tx}      0 0 0 0 0 0 0
"""


def absent() -> Mta:
    return Mta("absent")


def write(proc: Path, *, user: int, idle: int, rx: int, tx: int) -> None:
    (proc / "net").mkdir(exist_ok=True)
    (proc / "stat").write_text(STAT.format(user=user, idle=idle))
    (proc / "net" / "dev").write_text(NET.format(rx=rx, tx=tx))
    (proc / "meminfo").write_text("MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  250 kB\n")


def test_this_machine_is_read(tmp_path: Path) -> None:
    probes = ProcProbes(tmp_path, absent)
    time.sleep(0.05)
    found = probes.read()
    assert found.memory_percent is not None
    assert 0 < found.memory_percent <= 100
    assert found.disk_percent is not None
    assert 0 <= found.disk_percent <= 100
    assert found.rx_bytes_per_second is not None
    assert probes.boot_id() == Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def test_processor_and_network_are_means_since_the_last_reading(tmp_path: Path) -> None:
    write(tmp_path, user=100, idle=100, rx=1000, tx=500)
    probes = ProcProbes(tmp_path, absent, tmp_path)
    write(tmp_path, user=130, idle=170, rx=3000, tx=500)
    time.sleep(0.1)
    found = probes.read()
    assert found.cpu_percent == 30.0
    assert found.memory_percent == 75.0
    assert found.rx_bytes_per_second is not None
    assert 1000 < found.rx_bytes_per_second <= 20_000
    assert found.tx_bytes_per_second == 0.0


def test_counters_that_go_backwards_are_unknown_rather_than_negative(tmp_path: Path) -> None:
    write(tmp_path, user=100, idle=100, rx=1000, tx=500)
    probes = ProcProbes(tmp_path, absent, tmp_path)
    write(tmp_path, user=10, idle=10, rx=10, tx=10)
    found = probes.read()
    assert (found.cpu_percent, found.rx_bytes_per_second, found.tx_bytes_per_second) == (None, None, None)


@pytest.mark.parametrize("content", [None, b"", b"\xff\x00garbage", b"cpu\n", b"cpu a b c d e f g h\n", b"x: 1\n" * 9])
def test_what_cannot_be_read_is_none_and_never_fatal(tmp_path: Path, content: bytes | None) -> None:
    (tmp_path / "net").mkdir()
    if content is not None:
        for name in ("stat", "meminfo", "net/dev"):
            (tmp_path / name).write_bytes(content)
    probes = ProcProbes(tmp_path / "gone" / "queue", absent, tmp_path)
    found = probes.read()
    assert found.cpu_percent is None
    assert found.memory_percent is None
    assert found.rx_bytes_per_second in {None, 0.0}
    assert found.disk_percent is not None
    assert probes.boot_id() == "unknown"
