"""What the agent keeps on disk, in one SQLite file: batches to send, the log's position, deferrals, the directive.

A batch and the position after its last line are one transaction: killed at any moment, the agent neither loses nor
repeats a line. Not here: what goes into a batch (`buckets.py`), and sending (`sender.py`).
"""

import json
import logging
import secrets
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from penguin_infra.agent.buckets import Tally
from penguin_infra.agent.deferrals import Deferrals
from penguin_infra.agent.mail_log import Position
from penguin_infra.messages.telemetry import DeliveryBatch, SpoolState

_log = logging.getLogger(__name__)

# A day's allowance needs the hours of this day; one more day for clocks that were set.
_HOURS_KEPT = 48

_SCHEMA = """
CREATE TABLE IF NOT EXISTS kept (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS batches (
    number INTEGER PRIMARY KEY AUTOINCREMENT, body BLOB NOT NULL, unread INTEGER NOT NULL, dropped INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS deferrals (
    queue BLOB, recipient BLOB, provider TEXT NOT NULL, PRIMARY KEY (queue, recipient)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sent_hours (hour INTEGER PRIMARY KEY, messages INTEGER NOT NULL);
"""


@dataclass(frozen=True)
class Waiting:
    """A batch on disk, ready to be sent."""

    number: int
    body: bytes


class Spool:
    """One agent's file. Used by the thread that opened it only."""

    def __init__(self, folder: Path, *, node_id: str, boot_id: str, cap_bytes: int) -> None:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._node_id = node_id
        self._cap_bytes = cap_bytes
        self._is_new = False
        file = folder / "spool.sqlite3"
        try:
            self._database = self._open(file)
        except sqlite3.DatabaseError as error:
            # A damaged spool must not silence the node: it is put aside, and a new stream begins.
            if isinstance(error, sqlite3.OperationalError):
                raise
            _log.error("%s is damaged (%s): put aside as spool.damaged, a new one is begun", file, error)
            for leftover in folder.glob("spool.sqlite3-*"):
                leftover.unlink()
            file.replace(folder / "spool.damaged")
            self._is_new = True
            self._database = self._open(file)
        if self.kept("id") is None:
            with self._transaction():
                self.keep({"id": secrets.token_hex(8), "salt": secrets.token_hex(16)})
        # A clone of this node has its disk, and so its spool's id, but boots by itself.
        self.stream = f"{boot_id[:64]}:{self.kept('id')}"

    @property
    def has_lost_position(self) -> bool:
        """Whether a damaged spool was put aside: nobody knows any more how far the log was counted."""
        return self._is_new

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def position(self) -> Position | None:
        """How far the log was counted."""
        told = self.kept("position")
        return Position(**json.loads(told)) if told else None

    def deferrals(self) -> Deferrals:
        """The deferrals that were counted."""
        rows = self._database.execute("SELECT queue, recipient, provider FROM deferrals")
        return Deferrals(bytes.fromhex(self.kept("salt") or ""), rows)

    def sent_by_hour(self) -> dict[int, int]:
        """How many mails left in each of the last hours, as far as batches were closed."""
        return dict(self._database.execute("SELECT hour, messages FROM sent_hours"))

    def close_batch(self, tally: Tally, position: Position | None) -> bool:
        """Write what was summed, if anything, and the log's position, at once; whether there was a batch."""
        with self._transaction():
            dropped, unread = (int(self.kept(name) or 0) for name in ("dropped_batches", "unread_lines"))
            unread += tally.unread_lines
            counts = tally.counts()
            has_batch = bool(counts or unread or dropped)
            if has_batch:
                sequence = self._next_sequence()
                batch = DeliveryBatch(self._node_id, self.stream, sequence, counts, unread, dropped)
                body = json.dumps(batch.to_json(), separators=(",", ":")).encode()
                self._database.execute(
                    "INSERT INTO batches (body, unread, dropped) VALUES (?, ?, ?)", (body, unread, dropped)
                )
                self.keep({"dropped_batches": "0", "unread_lines": "0"})
            if position is not None:
                self.keep({"position": json.dumps(asdict(position))})
            self._write_deferrals(tally.deferrals)
            self._write_sent_hours(tally.sent_by_hour)
            if has_batch:
                self._hold_to_cap()
        tally.clear()
        return has_batch

    def oldest(self) -> Waiting | None:
        """The batch to send next."""
        row = self._database.execute("SELECT number, body FROM batches ORDER BY number LIMIT 1").fetchone()
        return Waiting(row[0], row[1]) if row else None

    def acknowledge(self, batch: Waiting) -> None:
        """The gateway has it for good."""
        with self._transaction():
            self._database.execute("DELETE FROM batches WHERE number = ?", (batch.number,))

    def drop(self, batch: Waiting) -> None:
        """Give a batch up, and count it as dropped."""
        with self._transaction():
            self._drop(batch.number)

    def state(self) -> SpoolState:
        """What waits, and what was lost and is not yet acknowledged."""
        batches, unread, dropped = self._database.execute(
            "SELECT count(*), coalesce(sum(unread), 0), coalesce(sum(dropped), 0) FROM batches"
        ).fetchone()
        return SpoolState(
            batches=batches,
            dropped_batches=dropped + int(self.kept("dropped_batches") or 0),
            unread_lines=unread + int(self.kept("unread_lines") or 0),
        )

    def kept(self, name: str) -> str | None:
        """A value that was kept."""
        row = self._database.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return row[0] if row else None

    def keep(self, values: Mapping[str, str]) -> None:
        """Keep values; by themselves, or with the transaction that is open."""
        if not self._database.in_transaction:
            with self._transaction():
                self.keep(values)
            return
        self._database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?)", list(values.items()))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._database.execute("COMMIT")
        except BaseException:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise

    def _open(self, file: Path) -> sqlite3.Connection:
        database = sqlite3.connect(file, timeout=5, isolation_level=None)
        try:
            # One fsync a commit, and none is skipped: a number that was sent must not come again with other counts.
            database.execute("PRAGMA journal_mode=WAL")
            database.execute("PRAGMA synchronous=FULL")
            database.execute("PRAGMA cache_size=-512")
            database.executescript(_SCHEMA)
        except sqlite3.Error:
            database.close()
            raise
        file.chmod(0o600)
        return database

    def _next_sequence(self) -> int:
        last = json.loads(self.kept("sequence") or "[null, 0]")
        sequence = int(last[1]) + 1 if last[0] == self.stream else 1
        self.keep({"sequence": json.dumps([self.stream, sequence])})
        return sequence

    def _hold_to_cap(self) -> None:
        held = [(number, size) for number, size in self._database.execute("SELECT number, length(body) FROM batches")]
        total = sum(size for _, size in held)
        for number, size in sorted(held)[:-1]:
            if total <= self._cap_bytes:
                return
            self._drop(number)
            total -= size

    def _drop(self, number: int) -> None:
        # What the lost batch had to say about earlier losses is said by a later one.
        row = self._database.execute("SELECT unread, dropped FROM batches WHERE number = ?", (number,)).fetchone()
        if row is None:
            return
        dropped, unread = (int(self.kept(name) or 0) for name in ("dropped_batches", "unread_lines"))
        self.keep({"dropped_batches": str(dropped + row[1] + 1), "unread_lines": str(unread + row[0])})
        self._database.execute("DELETE FROM batches WHERE number = ?", (number,))

    def _write_deferrals(self, deferrals: Deferrals) -> None:
        new, forgotten = deferrals.changes()
        self._database.executemany("INSERT OR REPLACE INTO deferrals VALUES (?, ?, ?)", new)
        self._database.executemany("DELETE FROM deferrals WHERE queue = ? AND recipient = ?", forgotten)

    def _write_sent_hours(self, sent_by_hour: Mapping[int, int]) -> None:
        self._database.executemany(
            "INSERT INTO sent_hours VALUES (?, ?)"
            " ON CONFLICT (hour) DO UPDATE SET messages = messages + excluded.messages",
            list(sent_by_hour.items()),
        )
        self._database.execute(
            "DELETE FROM sent_hours WHERE hour < (SELECT max(hour) FROM sent_hours) - ?", (_HOURS_KEPT,)
        )
