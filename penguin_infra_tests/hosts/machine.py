"""One nspawn machine: systemd as process 1 in given namespaces, started again whenever it reboots.

The power switch only: what the machine boots from and is connected to is made by others.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from penguin_infra_tests.hosts.control_groups import ControlGroups

# How nspawn says that the machine asked to be started again.
REBOOT_CODE = 133
# What nspawn makes for each name, and leaves where /run is no file system of its own.
_PROPAGATION = Path("/run/systemd/nspawn/propagate")
# A service inside may need all of systemd's own patience; then the power goes.
LONGEST_SHUTDOWN_SECONDS = 30


@dataclass(slots=True)
class Machine:
    """The machine of one name; `before_boot` makes ready what each boot finds fresh."""

    name: str
    root: Path
    namespace: Path
    console: Path
    before_boot: Callable[[], None] = field(repr=False)
    boots: int = 0
    _process: subprocess.Popen[bytes] | None = None
    _watcher: threading.Thread | None = None
    _is_wanted: bool = False
    _switch: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def is_on(self) -> bool:
        return self._watcher is not None and self._watcher.is_alive()

    def switch_on(self) -> None:
        self._is_wanted = True
        self._boot()
        self._watcher = threading.Thread(target=self._boot_again_on_reboot, name=self.name, daemon=True)
        self._watcher.start()

    def switch_off(self) -> None:
        """In order, as the power button does; by force when that takes too long."""
        self._end(signal.SIGTERM)

    def cut_power(self) -> None:
        """At once, with nothing written back."""
        self._end(signal.SIGKILL)

    def leader(self) -> int:
        """The process that is number 1 inside. Raises RuntimeError while there is none."""
        supervisor = self._process
        if supervisor is not None:
            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(supervisor.pid).children(recursive=True):
                    if _number_inside(child.pid) == 1:
                        return child.pid
        raise RuntimeError(f"{self.name} is not running; its console said: {self.console_tail()}")

    def console_tail(self) -> str:
        """The end of what the machine printed while it booted."""
        return self.console.read_text(errors="replace")[-2000:] if self.console.exists() else "(nothing)"

    def _boot(self) -> None:
        self.before_boot()
        groups = ControlGroups(self.name)
        groups.make()
        command = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            "--boot",
            "--register=no",
            "--keep-unit",
            f"--network-namespace-path={self.namespace}",
            "--capability=CAP_NET_ADMIN",
            f"--machine={self.name}",
            "--resolv-conf=off",
            "--link-journal=no",
            "--console=pipe",
        ]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                groups.joining(command),
                # Without it `ufw enable` cannot set what it needs under /proc/sys/net.
                env={**os.environ, "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"},
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,
            )
        self.boots += 1

    def _boot_again_on_reboot(self) -> None:
        while self._process is not None and self._process.wait() == REBOOT_CODE:
            with self._switch:
                if not self._is_wanted:
                    return
                self._boot()

    def _end(self, how: signal.Signals) -> None:
        with self._switch:
            self._is_wanted = False
            process = self._process
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(LONGEST_SHUTDOWN_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if self._watcher is not None:
            self._watcher.join()
        self._process = self._watcher = None


def forget_machine(name: str) -> None:
    """Take away what nspawn keeps about a machine that is off."""
    with contextlib.suppress(FileNotFoundError):
        (_PROPAGATION / name).rmdir()


def _number_inside(pid: int) -> int | None:
    """A process's number in its innermost namespace."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return None
    numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
    return int(numbers[-1]) if len(numbers) > 1 else None
