"""An SMTP server on loopback for tests: it takes every mail and tells by which way it came, or refuses every one."""

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from penguin_infra_tests.waiting import until


@dataclass(frozen=True, slots=True)
class CaughtMail:
    """A mail as it came in."""

    peer: str
    helo: str
    is_encrypted: bool
    mail_from: str
    rcpt_to: str
    content: bytes


@dataclass
class MailCatcher:
    """What came in so far. `refusal`: the reply to every recipient, instead of taking his mail."""

    refusal: str | None = None
    caught: list[CaughtMail] = field(default_factory=list)
    open_connections: set[object] = field(default_factory=set)

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if self.refusal is None:
            envelope.rcpt_tos.append(address)
        return self.refusal or "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        assert isinstance(envelope.content, bytes)
        mail = CaughtMail(
            peer=session.peer[0] if session.peer else "",
            helo=session.host_name or "",
            is_encrypted=session.ssl is not None,
            mail_from=envelope.mail_from or "",
            rcpt_to=envelope.rcpt_tos[0],
            content=envelope.content,
        )
        self.caught.append(mail)
        return "250 2.0.0 OK"


class _CountedConnection(SMTP):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Once more after STARTTLS.
        self.event_handler.open_connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.event_handler.open_connections.discard(self)


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _CountedConnection(self.handler, **self.SMTP_kwargs)


@contextmanager
def catching_mail(
    port: int, folder: Path, *, has_tls: bool = True, refusal: str | None = None
) -> Iterator[MailCatcher]:
    """A server for the length of a with statement; `folder` takes its certificate."""
    catcher = MailCatcher(refusal)
    tls = _tls(folder) if has_tls else None
    controller = _Controller(catcher, "127.0.0.1", port, tls_context=tls, ready_timeout=60)
    controller.start()
    try:
        yield catcher
    finally:
        # A loop that is stopped while somebody is still on the line leaves his connection open.
        until("all have hung up", lambda: not catcher.open_connections)
        controller.stop()


def _tls(folder: Path) -> ssl.SSLContext:
    file = folder / "catcher.pem"
    if not file.exists():
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "catcher.test")])
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(private + certificate.public_bytes(Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context
