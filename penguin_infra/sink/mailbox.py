"""Which mails the sink takes, and that one is taken only when it is committed. No sockets, no TLS.

A mail for anybody else is refused, whoever sends it: the sink relays nothing. So is one without a correlation id: it
belongs to no node's verification, nobody would ever read it, and a sender that is told so can mend its mail, while one
that is thanked for a mail that was thrown away looks for it in vain.
"""

# ruff: noqa: ARG002, N802 - aiosmtpd finds its hooks by these names, and calls each with all of this

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from email.parser import BytesHeaderParser
from email.policy import compat32
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Any

import psycopg
from aiosmtpd.smtp import SMTP, Envelope, Session

from penguin_infra.domain.verification import ReceivedMail
from penguin_infra.store.sink import SinkMessage

logger = logging.getLogger(__name__)

CORRELATION_HEADER = "X-Penguin-Correlation"
_CORRELATION_ID = re.compile(r"[A-Za-z0-9-]{8,64}")

# As the columns are; what is longer is no host's name and no address (RFC 5321 s4.5.3.1).
_LONGEST_HELO, _LONGEST_ADDRESS = 255, 320
# A commit takes milliseconds. Senders wait ten minutes for this answer (RFC 5321 s4.5.3.2.6): the sink need not.
_COMMIT_SECONDS = 10.0

OK = "250 2.0.0 OK"
_TAKEN = "250 2.0.0 Taken, and committed"
_AWAY = "451 4.3.0 The sink cannot store this now; send it again"
_STOPPING = "421 4.3.2 The sink is stopping; send it again"
_NO_RELAY = "550 5.7.1 Not a mailbox here, and this server relays for nobody"
_ONE_RECIPIENT = "452 4.5.3 One recipient a mail"
_NO_ID = f"550 5.7.1 A verification mail has one {CORRELATION_HEADER} header of 8 to 64 letters, digits and hyphens"
_BAD_HELO = "501 5.5.4 That is no host's name"
_BAD_SENDER = "501 5.1.7 That address is too long"

Save = Callable[[SinkMessage], Awaitable[None]]


class Mailbox:
    """The answers to a session's commands: aiosmtpd's hooks, which it finds by these names."""

    def __init__(self, address: str, *, save: Save, now: Callable[[], datetime]) -> None:
        local, _, domain = address.partition("@")
        self._recipient = re.compile(rf"{re.escape(local)}(\+[^@\s]*)?@{re.escape(domain)}", re.IGNORECASE)
        self._save = save
        self._now = now
        self._in_hand: set[asyncio.Task[str]] = set()
        self._is_closed = False

    async def finish(self, seconds: float) -> None:
        """Take no more mails, and wait for those that are being committed."""
        self._is_closed = True
        if self._in_hand:
            await asyncio.wait(self._in_hand, timeout=seconds)

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> Sequence[str]:
        """Note who it says it is; nobody logs in here, so that it is not offered."""
        if not _is_name(hostname):
            return [_BAD_HELO]
        session.host_name = hostname
        return [one for one in responses if not one.startswith("250-AUTH")]

    async def handle_HELO(self, server: SMTP, session: Session, envelope: Envelope, hostname: str) -> str:
        """The same in the old way."""
        if not _is_name(hostname):
            return _BAD_HELO
        session.host_name = hostname
        return f"250 {server.hostname}"

    async def handle_MAIL(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Any sender: whether it may be one is what the verification finds out."""
        if len(address) > _LONGEST_ADDRESS or not address.isprintable():
            return _BAD_SENDER
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return OK

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """The one mailbox, with or without a tag."""
        if self._recipient.fullmatch(address) is None or len(address) > _LONGEST_ADDRESS:
            return _NO_RELAY
        if envelope.rcpt_tos:
            return _ONE_RECIPIENT
        envelope.rcpt_tos.append(address)
        return OK

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Commit the mail, then thank for it."""
        if self._is_closed:
            return _STOPPING
        content = bytes(envelope.original_content or b"")
        correlation_id = find_correlation_id(content)
        if correlation_id is None:
            return _NO_ID
        mail = ReceivedMail(
            correlation_id=correlation_id,
            received_at=self._now(),
            peer_address=_peer_address(session.peer),
            helo=str(session.host_name),
            tls_version=session.ssl["ssl_object"].version() if session.ssl else None,
            # The library's word for the empty sender.
            mail_from="" if envelope.mail_from == "<>" else str(envelope.mail_from),
        )
        # A task of its own: a sender that hangs up, or a stop, breaks no commit that is under way.
        task = asyncio.create_task(self._commit(SinkMessage(mail, envelope.rcpt_tos[0], content)))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)
        return await asyncio.shield(task)

    async def handle_exception(self, error: Exception) -> str:
        """Whatever else goes wrong: the sender keeps its mail. Not the error's text, which may quote it."""
        logger.error("a session failed: %s", type(error).__name__)
        return _AWAY

    async def _commit(self, message: SinkMessage) -> str:
        try:
            async with asyncio.timeout(_COMMIT_SECONDS):
                await self._save(message)
        except (psycopg.Error, OSError, TimeoutError) as error:
            logger.warning("a mail was not stored, its sender keeps it: %s", type(error).__name__)
            return _AWAY
        logger.info("took the mail %s from %s", message.mail.correlation_id, message.mail.peer_address)
        return _TAKEN


def find_correlation_id(content: bytes) -> str | None:
    """The id in a mail's header; None without one, with two, or with one of another form."""
    values = BytesHeaderParser(policy=compat32).parsebytes(content).get_all(CORRELATION_HEADER, [])
    if len(values) != 1:
        return None
    value = str(values[0]).strip()
    return value if _CORRELATION_ID.fullmatch(value) else None


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_HELO and text.isprintable()


def _peer_address(peer: Any) -> IPv4Address | IPv6Address:
    # A socket for both families shows IPv4 as ::ffff:192.0.2.1; a link-local peer comes with its interface.
    address = ip_address(str(peer[0]).partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
