"""A host's disk: the base and any snapshots, read-only, below a layer in memory that takes all the host writes.

Mounting, filling, copying and dropping that layer; what is written into it is the host's affair.
"""

import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

# A real small VPS has more; what a full installation writes is a tenth of it.
DISK_BYTES = 4 * 1024**3


def run_mount(*arguments: str) -> None:
    """One call of mount or umount. Raises RuntimeError with what it said."""
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=30)
    if done.returncode:
        raise RuntimeError(f"`{' '.join(arguments)}` failed: {done.stderr.strip()}")


@dataclass(slots=True)
class HostDisk:
    """Mounts under one folder: `memory` holds the written layer, `root` is what the host sees."""

    directory: Path
    base: Path
    layers: list[Path] = field(default_factory=list)

    @property
    def root(self) -> Path:
        return self.directory / "root"

    @property
    def upper(self) -> Path:
        return self._memory / "upper"

    @property
    def _memory(self) -> Path:
        return self.directory / "memory"

    def mount(self) -> None:
        """What was written before is still there, if the layer was not dropped since."""
        for part in (self.root, self._memory):
            part.mkdir(parents=True, exist_ok=True)
        if not self._memory.is_mount():
            run_mount(
                "mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0755", "penguin-test-host", str(self._memory)
            )
        for part in (self.upper, self._memory / "work"):
            part.mkdir(exist_ok=True)
        if not self.root.is_mount():
            lower = ":".join(str(layer) for layer in [*self.layers, self.base])
            written = f"upperdir={self.upper},workdir={self._memory / 'work'}"
            run_mount(
                "mount", "-t", "overlay", "-o", f"lowerdir={lower},{written}", "penguin-test-host", str(self.root)
            )

    def unmount(self) -> None:
        """Leave the written layer, take the rest away."""
        if self.root.is_mount():
            run_mount("umount", str(self.root))

    def drop(self) -> None:
        """Forget all that was ever written, and the folder."""
        self.unmount()
        if self._memory.is_mount():
            run_mount("umount", str(self._memory))
        shutil.rmtree(self.directory, ignore_errors=True)

    def fill(self) -> None:
        """From now on nothing can be written: the disk is as large as what is on it."""
        for _ in range(20):
            size = os.statvfs(self._memory)
            used = (size.f_blocks - size.f_bfree) * size.f_frsize
            try:
                run_mount("mount", "-o", f"remount,size={used}", str(self._memory))
            except RuntimeError:  # the host wrote meanwhile
                continue
            return
        raise RuntimeError(f"the disk in {self.directory} could not be filled: the host writes without a pause")

    def free(self) -> None:
        run_mount("mount", "-o", f"remount,size={DISK_BYTES}", str(self._memory))

    def copy_written_to(self, layer: Path) -> None:
        """The written layer of a host that is off, deletions included, for use below another."""
        subprocess.run(["cp", "-a", self.upper, layer], check=True, timeout=300)
