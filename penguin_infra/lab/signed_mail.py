"""A lab node's real mail: composed as its own mail server would, and signed with its key (DKIM, RFC 6376)."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

import dkim

from penguin_infra.lab.host_orders import MailOrder
from penguin_infra.lab.node_keys import DKIM_SELECTOR, NodeKeys

CORRELATION_HEADER = "X-Penguin-Correlation"
_SIGNED_HEADERS = ("from", "to", "subject", "date", "message-id", CORRELATION_HEADER.lower())


def compose_signed_mail(order: MailOrder, *, hostname: str, keys: NodeKeys, now: datetime) -> bytes:
    """The whole mail with its signature, lines ended by CRLF."""
    mail = EmailMessage(policy=SMTP)
    mail["From"] = order.sender
    mail["To"] = order.recipient
    mail["Subject"] = f"Verification of {hostname}"
    mail["Date"] = format_datetime(now.astimezone(UTC))
    mail["Message-ID"] = f"<{order.correlation_id}@{hostname}>"
    mail[CORRELATION_HEADER] = order.correlation_id
    mail.set_content(f"This node verifies that its mail arrives as it should.\n\n{order.correlation_id}\n")
    unsigned = mail.as_bytes()
    signature: bytes = dkim.sign(
        unsigned,
        DKIM_SELECTOR.encode(),
        hostname.encode(),
        keys.dkim_private_key,
        canonicalize=(b"relaxed", b"relaxed"),
        include_headers=[name.encode() for name in _SIGNED_HEADERS],
    )
    return signature + unsigned
