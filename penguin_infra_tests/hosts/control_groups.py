"""A cgroup of its own for each host, in every hierarchy of this machine: version 1, 2, or both at once.

Without it two hosts' systemd share one tree and end each other's services. No limits are set here.
"""

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

LONGEST_END_SECONDS = 10


def hierarchies() -> list[Path]:
    """Where this machine's cgroup hierarchies are mounted, each once."""
    mounts = [line.split() for line in Path("/proc/self/mounts").read_text().splitlines()]
    return sorted({Path(where) for _, where, kind, *_ in mounts if kind in {"cgroup", "cgroup2"}})


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """The groups of one name."""

    name: str

    @property
    def directories(self) -> list[Path]:
        return [hierarchy / self.name for hierarchy in hierarchies()]

    def make(self) -> None:
        for directory in self.directories:
            directory.mkdir(exist_ok=True)
            # A new group of version 1 takes no process before it has processors and memory nodes.
            for setting in ("cpuset.cpus", "cpuset.mems"):
                if (directory.parent / setting).exists():
                    (directory / setting).write_text((directory.parent / setting).read_text())

    def joining(self, command: list[str]) -> list[str]:
        """The same command, run inside the groups from its first moment on."""
        joined = (
            'for group; do shift; [ "$group" = -- ] && break; echo $$ > "$group/cgroup.procs" || exit; done; exec "$@"'
        )
        return ["sh", "-c", joined, "join", *(str(directory) for directory in self.directories), "--", *command]

    def process_ids(self) -> set[int]:
        """Every process in them or below."""
        found: set[int] = set()
        for directory in self.directories:
            for members in directory.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):
                    found |= {int(member) for member in members.read_text().split()}
        return found

    def kill(self) -> None:
        """End at once whatever still runs in them."""
        deadline = time.monotonic() + LONGEST_END_SECONDS
        while members := self.process_ids() - {0, os.getpid()}:
            for member in members:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(member, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise RuntimeError(f"processes of the cgroup {self.name} do not end: {sorted(members)}")
            time.sleep(0.01)

    def remove(self) -> None:
        """Take them away, the innermost first; they must be empty."""
        for directory in self.directories:
            inner = [path for path in directory.rglob("*") if path.is_dir()]
            for group in [*sorted(inner, reverse=True), directory]:
                with contextlib.suppress(FileNotFoundError):
                    group.rmdir()
