"""The reverse names that the simulated Hostwind is to publish, kept until a DNS server has taken them.

A wish is a row: the name that an address is to have, or none. Sending it is `hostwind_reverse_dns.py`'s.
"""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

REVERSE_NAME_TABLES = """
CREATE TABLE IF NOT EXISTS reverse_names (
    ip TEXT PRIMARY KEY, hostname TEXT, due_at TEXT NOT NULL, is_published INTEGER NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class WantedName:
    """What an address's reverse name is to be; None: it is to have none."""

    ip: str
    hostname: str | None


class ReverseNames:
    """The wishes, in the state's own file."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def want(self, wanted: WantedName, *, due_at: datetime) -> None:
        """Wish for a name in the caller's transaction. Also where it is published already: a repeat mends."""
        self._database.execute(
            "INSERT OR REPLACE INTO reverse_names VALUES (?, ?, ?, 0)",
            (wanted.ip, wanted.hostname, due_at.isoformat()),
        )

    def due(self, now: datetime) -> list[WantedName]:
        """What is to be published by now, the longest due first."""
        rows = self._database.execute(
            "SELECT ip, hostname FROM reverse_names WHERE NOT is_published AND due_at <= ? ORDER BY due_at",
            (now.isoformat(),),
        )
        return [WantedName(row["ip"], row["hostname"]) for row in rows]

    def mark_published(self, sent: WantedName) -> None:
        """A server has taken this; what was wished for since then is still to be sent."""
        with self._database as database:
            database.execute(
                "UPDATE reverse_names SET is_published = 1 WHERE ip = ? AND hostname IS ?", (sent.ip, sent.hostname)
            )
