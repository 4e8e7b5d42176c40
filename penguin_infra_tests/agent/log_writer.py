"""Lines as Postfix writes them, for tests."""

from datetime import UTC, datetime
from pathlib import Path

GMAIL = "gmail-smtp-in.l.google.com[142.250.1.27]:25"


def delivery(
    number: int,
    *,
    status: str = "sent",
    dsn: str = "2.0.0",
    relay: str = GMAIL,
    reply: str = "250 2.0.0 OK",
    to: str | None = None,
    agent: str = "smtp",
    at: datetime | None = None,
) -> str:
    """One delivery agent's line."""
    stamp = (at or datetime.now(UTC)).isoformat(timespec="microseconds")
    recipient = to or f"person{number}@example.org"
    return (
        f"{stamp} node postfix/{agent}[4711]: 4F{number:08X}: to=<{recipient}>, relay={relay}, delay=1.2,"
        f" delays=0.1/0/0.6/0.5, dsn={dsn}, status={status} ({reply})\n"
    )


def removed(number: int) -> str:
    """The queue manager is done with a message."""
    return f"{datetime.now(UTC).isoformat()} node postfix/qmgr[12]: 4F{number:08X}: removed\n"


def append(log: Path, *lines: str) -> None:
    with log.open("a") as file:
        file.write("".join(lines))
