"""The sink's memory: verification mails as they were received, raw, for as long as they may be looked for.

What is taken is `sink/`'s business, what a mail shows `domain/verification.py`'s. The sink writes through psycopg's
asynchronous connections in autocommit: when a call returns, it is committed.
"""

from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import ip_address

from sqlalchemy import Connection, select

from penguin_infra.domain.verification import ReceivedMail
from penguin_infra.store.installation_tables import sink_messages
from penguin_infra.store.telemetry import AnyConnection

_SAVE = """
INSERT INTO fleet.sink_messages
    (correlation_id, received_at, peer_address, helo, tls_version, mail_from, rcpt_to, content)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
"""


@dataclass(frozen=True, slots=True)
class SinkMessage:
    """A mail, the mailbox it was for, and its text as it came over the wire, dots unstuffed."""

    mail: ReceivedMail
    rcpt_to: str
    content: bytes = field(repr=False)


async def save_message(connection: AnyConnection, message: SinkMessage) -> None:
    """Keep a mail; told again by a sender that did not hear the answer, it stands there twice."""
    mail = message.mail
    await connection.execute(
        _SAVE,
        (
            mail.correlation_id,
            mail.received_at,
            mail.peer_address,
            mail.helo,
            mail.tls_version,
            mail.mail_from,
            message.rcpt_to,
            message.content,
        ),
    )


async def delete_older(connection: AnyConnection, before: datetime) -> int:
    """Forget what was received before that; returns how many mails it was."""
    return (await connection.execute("DELETE FROM fleet.sink_messages WHERE received_at < %s", (before,))).rowcount


def find_messages(connection: Connection, correlation_id: str) -> list[SinkMessage]:
    """The mails of one id, oldest first."""
    c = sink_messages.c
    found = connection.execute(
        select(sink_messages).where(c.correlation_id == correlation_id).order_by(c.received_at, c.id)
    )
    return [
        SinkMessage(
            ReceivedMail(
                correlation_id=row.correlation_id,
                received_at=row.received_at,
                peer_address=ip_address(str(row.peer_address)),
                helo=row.helo,
                tls_version=row.tls_version,
                mail_from=row.mail_from,
            ),
            row.rcpt_to,
            bytes(row.content),
        )
        for row in found
    ]
