"""A foreign server for tests, as a process of its own on loopback: found, started, waited for and ended by its own id.

What each server is told and asked stands with it (`name_servers.py`, `blacklist_servers.py`, `blacklist_resolvers.py`).
"""

import os
import shutil
import signal
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Self

import pytest

from penguin_infra_tests.dns_process import free_port

# A busy machine may take its time; only a broken server takes this long.
_LONGEST_START_SECONDS = 60
_SUPERUSER_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


class ServerProcess(ABC):
    """One server on one address, port and folder; `start` after `kill` finds the same folder again."""

    package: ClassVar[str]
    binary: ClassVar[str]

    def __init__(self, directory: Path, *, address: str = "127.0.0.1", port: int | None = None) -> None:
        self.directory = directory
        self.address = address
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @classmethod
    def find_binary(cls) -> str | None:
        """Where the server's program is; None where it is not installed."""
        return find_program(cls.binary)

    @classmethod
    def require(cls, *, in_ci: bool = True) -> None:
        """Skip the test where the server is not installed; in CI fail, unless told otherwise."""
        if cls.find_binary() is None:
            missing = f"{cls.binary} is not installed: apt-get install {cls.package}"
            if in_ci and os.environ.get("CI") == "true":
                pytest.fail(missing)
            pytest.skip(missing)

    @property
    def server(self) -> str:
        """`address:port`, as the product's setting takes it."""
        return f"{self.address}:{self.port}"

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text()

    def start(self) -> None:
        """Start it and wait until it answers."""
        assert self._process is None, "it runs already"
        if not self.directory.exists():
            self.directory.mkdir(parents=True)
            self.directory.chmod(0o700)  # a key may be in the configuration
            self.prepare()
        program = self.find_binary()
        assert program, f"{self.binary} is not installed"
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self.prefix(), program, *self.arguments()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        while not self.is_serving():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"{self.binary} did not start: {self.log}")
            time.sleep(0.05)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """As `kill -9` would."""
        self._end(signal.SIGKILL)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @abstractmethod
    def prepare(self) -> None:
        """Write what the server starts from into its new folder."""

    @abstractmethod
    def arguments(self) -> Sequence[str]:
        """The program's arguments, to run in the foreground with its log on stderr."""

    @abstractmethod
    def is_serving(self) -> bool:
        """Whether it answers as it should; never raises."""

    def prefix(self) -> Sequence[str]:
        """The command that becomes the program, where another account has to run it."""
        return ()

    def _end(self, how: signal.Signals) -> None:
        if self._process is None:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(20)
        self._process = None


def find_program(name: str) -> str | None:
    """Where a program is, the superuser's folders included; None where it is not installed."""
    return shutil.which(name, path=f"{os.environ['PATH']}:{_SUPERUSER_FOLDERS}")
