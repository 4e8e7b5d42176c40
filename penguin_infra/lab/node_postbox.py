"""A lab node's queue of real mails: on its disk until the next server has taken them, by SMTP from its own address.

The pretended traffic is `node_mail.py`'s. What a mail says is `signed_mail.py`'s.
"""

import json
import re
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from penguin_infra.lab.private_files import write_private

# A verification waits for minutes: the waits grow to a few seconds only.
_FIRST_REST_SECONDS, _LONGEST_REST_SECONDS = 0.5, 5.0
_TIMEOUT_SECONDS = 10

_ENHANCED_CODE = re.compile(r"[245]\.\d{1,3}\.\d{1,3}")  # RFC 3463


@dataclass(frozen=True, slots=True)
class Route:
    """How a node's mail leaves it: from which address, under which name, to which server."""

    source: str
    hostname: str
    server: tuple[str, int]


@dataclass(frozen=True, slots=True)
class Attempt:
    """How one attempt at one mail ended: `sent`, `deferred` or `bounced`, in a mail log's words."""

    number: int
    recipient: str
    status: str
    dsn: str
    reply: str


@dataclass(frozen=True, slots=True)
class _Rest:
    seconds: float
    until: float


class Postbox:
    """The queue in one folder, a file a mail."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._rests: dict[Path, _Rest] = {}

    def put(self, *, sender: str, recipient: str, message: bytes) -> None:
        """Take a mail; it is on disk when this returns."""
        kept = {"sender": sender, "recipient": recipient, "message": message.decode("ascii")}
        write_private(self._folder / f"{time.time_ns()}.mail", json.dumps(kept))

    def count(self) -> int:
        """How many mails wait."""
        return len(self._waiting())

    def deliver(self, route: Route) -> Iterator[Attempt]:
        """Try what is due; a mail that is neither sent nor refused for good is tried again later."""
        for file in self._waiting():
            rest = self._rests.get(file)
            if rest is not None and time.monotonic() < rest.until:
                continue
            with suppress(FileNotFoundError):  # the node is gone, and its disk with it
                attempt = _attempt(file, route)
                if attempt.status == "deferred":
                    seconds = min(rest.seconds * 2, _LONGEST_REST_SECONDS) if rest else _FIRST_REST_SECONDS
                    self._rests[file] = _Rest(seconds, time.monotonic() + seconds)
                else:
                    file.unlink()
                    self._rests.pop(file, None)
                yield attempt

    def _waiting(self) -> list[Path]:
        return sorted(self._folder.glob("*.mail"))


def _attempt(file: Path, route: Route) -> Attempt:
    kept = json.loads(file.read_text())

    def ended(status: str, dsn: str, reply: str) -> Attempt:
        return Attempt(int(file.stem), kept["recipient"], status, dsn, reply)

    try:
        _send(route, kept["sender"], kept["recipient"], kept["message"].encode("ascii"))
    except smtplib.SMTPRecipientsRefused as refused:
        ((code, said),) = refused.recipients.values()
        return ended(*_ending(code, said))
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as refused:
        return ended(*_ending(refused.smtp_code, refused.smtp_error))
    except (smtplib.SMTPException, OSError) as error:
        return ended("deferred", "4.4.1", f"{type(error).__name__}: {error}")
    return ended("sent", "2.0.0", "250 2.0.0 OK")


def _ending(code: int, said: bytes | str) -> tuple[str, str, str]:
    """Status, DSN and reply as Postfix makes them of a server's word."""
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    enhanced = _ENHANCED_CODE.match(text)
    status = "bounced" if code >= 500 else "deferred"
    return status, enhanced.group() if enhanced else f"{code // 100}.0.0", f"host said: {code} {text}"


def _send(route: Route, sender: str, recipient: str, message: bytes) -> None:
    host, port = route.server
    with smtplib.SMTP(
        host, port, local_hostname=route.hostname, timeout=_TIMEOUT_SECONDS, source_address=(route.source, 0)
    ) as server:
        server.ehlo()
        if server.has_extn("starttls"):
            server.starttls(context=_any_certificate())
        server.sendmail(sender, [recipient], message)


def _any_certificate() -> ssl.SSLContext:
    """As Postfix's `may`: encrypted where it is offered, by whomever."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
