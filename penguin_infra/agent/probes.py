"""The node's state out of /proc and the queue's file system. What cannot be read is None, never an error.

Not here: the mail queue (`postfix.py`).
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from penguin_infra.agent.ports import NodeProbes
from penguin_infra.messages.telemetry import Mta, Probes

_T = TypeVar("_T")

# Columns of /proc/stat's first line: user nice system idle iowait irq softirq steal. Guest time is within user's.
_CPU_COLUMNS = 8
_IDLE, _IOWAIT = 3, 4
_TX_COLUMN = 8


@dataclass(frozen=True)
class _Counters:
    at: float
    busy: int | None
    total: int | None
    rx_bytes: int | None
    tx_bytes: int | None


class ProcProbes(NodeProbes):
    """Reads `proc` (a folder like /proc). CPU and network are means since the reading before."""

    def __init__(self, queue_folder: Path, read_mta: Callable[[], Mta], proc: Path = Path("/proc")) -> None:
        self._queue_folder = queue_folder
        self._read_mta = read_mta
        self._proc = proc
        self._last = self._counters()

    def boot_id(self) -> str:
        """The kernel's random id of this boot."""
        return _or_none(lambda: self._text("sys/kernel/random/boot_id").strip()[:64]) or "unknown"

    def read(self) -> Probes:
        """Everything as it is now."""
        last, now = self._last, self._counters()
        self._last = now
        return Probes(
            cpu_percent=_share(last.busy, now.busy, last.total, now.total),
            memory_percent=_or_none(self._memory_percent),
            disk_percent=_or_none(self._disk_percent),
            rx_bytes_per_second=_rate(last.rx_bytes, now.rx_bytes, now.at - last.at),
            tx_bytes_per_second=_rate(last.tx_bytes, now.tx_bytes, now.at - last.at),
            mta=self._read_mta(),
        )

    def _counters(self) -> _Counters:
        cpu = _or_none(self._cpu)
        network = _or_none(self._network)
        return _Counters(
            time.monotonic(),
            cpu[0] if cpu else None,
            cpu[1] if cpu else None,
            network[0] if network else None,
            network[1] if network else None,
        )

    def _cpu(self) -> tuple[int, int]:
        first, _, _ = self._text("stat").partition("\n")
        columns = [int(column) for column in first.split()[1 : _CPU_COLUMNS + 1]]
        total = sum(columns)
        return total - columns[_IDLE] - columns[_IOWAIT], total

    def _network(self) -> tuple[int, int]:
        """Bytes in and out over all interfaces but the loopback."""
        rx = tx = 0
        for line in self._text("net/dev").splitlines()[2:]:
            name, _, columns = line.partition(":")
            if name.strip() != "lo":
                numbers = columns.split()
                rx, tx = rx + int(numbers[0]), tx + int(numbers[_TX_COLUMN])
        return rx, tx

    def _memory_percent(self) -> float:
        """What is not available to a new program: caches count as free, as the kernel says."""
        values = {}
        for line in self._text("meminfo").splitlines():
            name, _, value = line.partition(":")
            if name in {"MemTotal", "MemAvailable"}:
                values[name] = int(value.split()[0])
        return _percent(values["MemTotal"] - values["MemAvailable"], values["MemTotal"])

    def _disk_percent(self) -> float:
        """As `df` counts: of what a program may use, how much is used."""
        folder = self._queue_folder
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        disk = os.statvfs(folder)
        used = disk.f_blocks - disk.f_bfree
        return _percent(used, used + disk.f_bavail)

    def _text(self, name: str) -> str:
        return (self._proc / name).read_text(encoding="ascii", errors="replace")


def _or_none(read: Callable[[], _T]) -> _T | None:
    try:
        return read()
    except (OSError, ValueError, LookupError, ArithmeticError):
        return None


def _percent(part: int, whole: int) -> float:
    return round(min(100.0, max(0.0, 100.0 * part / whole)), 1)


def _share(busy_before: int | None, busy: int | None, total_before: int | None, total: int | None) -> float | None:
    if busy_before is None or busy is None or total_before is None or total is None or total <= total_before:
        return None
    return _percent(busy - busy_before, total - total_before)


def _rate(before: int | None, now: int | None, seconds: float) -> float | None:
    # An interface that went away takes its counter along: no negative throughput.
    if before is None or now is None or seconds <= 0 or now < before:
        return None
    return round((now - before) / seconds, 1)
