"""Connections to PostgreSQL: from a URL to an engine, and the locks by which processes tell who is alive.

Which URL it is, wiring decides; tables and queries stand in their own modules.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import URL, Connection, Engine, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

# The first half of every advisory lock's key ("PENG"), so that ours are told from other software's on the same server.
LOCK_CLASS = 0x50454E47

_MIGRATION_LOCK = 1
_SWEEP_LOCK = 2
_LABEL_LOCK = 7


class DatabaseError(Exception):
    """The database cannot be used as told; the message names the setting and the server, never the password."""


class RunLockLost(DatabaseError):
    """The connection that proved this run alive is gone: another run may act by now, so this one must stop."""


def parse_url(url: str, *, setting: str = "PENGUIN_DATABASE_URL") -> URL:
    """Read a PostgreSQL URL and pick psycopg 3 as its driver; `setting` is named when it is none."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):  # a ValueError is a port that is no number
        raise DatabaseError(f"{setting}: not a URL; expected postgresql://user:password@host:port/database") from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise DatabaseError(f"{setting}: expected a postgresql:// URL, not {parsed.drivername}://")
    if "@" in (parsed.host or ""):
        # What stands before it is a piece of the password, which would end up in messages as the host's name.
        raise DatabaseError(f"{setting}: write an @ in the user or the password as %40")
    if not parsed.database:
        raise DatabaseError(f"{setting}: names no database; expected postgresql://user:password@host:port/database")
    return parsed.set(drivername="postgresql+psycopg")


def make_engine(url: URL, *, application_name: str = "penguin-infra", pool_size: int = 5) -> Engine:
    """An engine that connects when first used, notices dead connections, and waits 5 s at most for a server."""
    return create_engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={"connect_timeout": 5, "application_name": application_name},
        hide_parameters=True,
    )


def explain(error: DBAPIError, url: URL, *, setting: str = "PENGUIN_DATABASE_URL") -> DatabaseError:
    """A database error in an operator's words; `setting` is where the URL came from."""
    cause = str(error.orig).strip().splitlines()[0] if error.orig else str(error)
    return DatabaseError(
        f"the database {url.database} at {url.host}:{url.port or 5432} does not serve us: {cause}. "
        f"Is the fleet up (`penguin-infra status`)? With a server of your own, check {setting}."
    )


@contextmanager
def migration_lock(connection: Connection) -> Iterator[None]:
    """Hold the lock that lets one process at a time change the schema."""
    key = {"class": LOCK_CLASS, "key": _MIGRATION_LOCK}
    connection.execute(text("SELECT pg_advisory_lock(:class, :key)"), key)
    connection.commit()
    try:
        yield
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:class, :key)"), key)
        connection.commit()


def lock_labels(connection: Connection) -> None:
    """Let one transaction at a time choose labels by what is taken: two would choose the same."""
    key = {"class": LOCK_CLASS, "key": _LABEL_LOCK}
    connection.execute(text("SELECT pg_advisory_xact_lock(:class, :key)"), key)


class Busy(DatabaseError):
    """Another process is doing the same work, and it is not done twice at once."""


@contextmanager
def sweep_lock(engine: Engine) -> Iterator[None]:
    """Hold the lock of blacklist sweeps; raises `Busy` while another process does."""
    key = {"class": LOCK_CLASS, "key": _SWEEP_LOCK}
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:class, :key)"), key):
            raise Busy("another blacklist sweep is under way; its result will serve")
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:class, :key)"), key)


class RunLock:
    """Proof that a run lives: a lock that PostgreSQL drops in the instant in which the run's connection dies.

    No lease to renew and no clock to agree on: whoever finds an action running in a run whose lock nobody holds
    (`fleet.run_lock_holder`) knows that the run is dead. Needs a session of its own: no pooler in transaction mode.
    """

    def __init__(self, engine: Engine, run_id: str) -> None:
        self._run_id = run_id
        self._is_lost = False
        self._connection = engine.connect().execution_options(isolation_level="AUTOCOMMIT")
        self._connection.execute(
            text("SELECT pg_advisory_lock(:class, fleet.run_lock_key(:run_id))"),
            {"class": LOCK_CLASS, "run_id": run_id},
        )

    def check(self) -> None:
        """Raise `RunLockLost` unless this very session still holds the lock."""
        query = text("SELECT fleet.run_lock_holder(:run_id) = pg_backend_pid()")
        if not self._is_lost:
            try:
                self._is_lost = not self._connection.scalar(query, {"run_id": self._run_id})
            except DBAPIError:
                self._is_lost = True
        if self._is_lost:
            raise RunLockLost(f"run {self._run_id} lost its database session; another run carries its actions on")

    def close(self) -> None:
        """Give the lock back; one that was lost is closed without a word."""
        try:
            if not self._is_lost:
                self._connection.execute(text("SELECT pg_advisory_unlock_all()"))
        except DBAPIError:
            self._is_lost = True
        if self._is_lost:
            self._connection.invalidate()
        self._connection.close()
