"""Which of the 254 small networks under 10.77.0.0/16 is whose, across workers and runs on one machine.

A slot is held by a file lock, so it is free again when its process ends in any way; what a killed process left
in its slot is cleared away by the next holder.
"""

import fcntl
import secrets
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path
from typing import TextIO

SLOTS_DIRECTORY = Path("/run/penguin-test-hosts")
# One a process: a name tells whose host it is.
TOKEN = secrets.token_hex(3)


class NoSlotFree(RuntimeError):
    """All 254 networks are held by running processes."""


@dataclass(frozen=True, slots=True)
class Slot:
    """One network, its folder, and the names that everything of its host carries."""

    index: int
    _lock: TextIO = field(repr=False)

    @property
    def name(self) -> str:
        """Of the host, its network namespace and its cgroups; short enough for a network interface."""
        return f"pgt-{TOKEN}-{self.index}"

    @property
    def address(self) -> IPv4Address:
        return IPv4Address(f"10.77.{self.index}.2")

    @property
    def gateway(self) -> IPv4Address:
        return IPv4Address(f"10.77.{self.index}.1")

    @property
    def directory(self) -> Path:
        return SLOTS_DIRECTORY / str(self.index)

    def release(self) -> None:
        self._lock.close()


def claim_slot() -> Slot:
    """The first network that nobody holds. Raises NoSlotFree."""
    for slot in free_slots():
        return slot
    raise NoSlotFree(f"all networks of 10.77.0.0/16 are held: whose are the locks in {SLOTS_DIRECTORY}?")


def free_slots(indices: Iterable[int] = range(1, 255)) -> Iterator[Slot]:
    """Each network that nobody holds, held by the caller once it is given out."""
    SLOTS_DIRECTORY.mkdir(mode=0o755, parents=True, exist_ok=True)
    for index in indices:
        lock = (SLOTS_DIRECTORY / f"{index}.lock").open("a")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            yield Slot(index, lock)
