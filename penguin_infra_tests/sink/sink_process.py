"""The sink as its operators start it, in a process of its own: to be spoken to over SMTP, and to be killed."""

import os
import signal
import smtplib
import socket
import subprocess
import sys
import time
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Engine, text

from penguin_infra.store.sink import SinkMessage, find_messages
from penguin_infra_tests.simulator_process import free_port

MAILBOX = "verify@sink.test"
_LONGEST_START_SECONDS = 60
_ANSWER_SECONDS = 30


class SinkProcess:
    """`penguin-infra sink serve` on a port of its own; its log is kept. `before`: Python that runs first in it."""

    def __init__(
        self, engine: Engine, home: Path, *, host: str = "127.0.0.1", before: str = "", **environment: str
    ) -> None:
        self.engine = engine
        self.home = home
        self.host = host
        self.port = free_port()
        self._log = home / "sink.log"
        self.environment = os.environ | {
            "PENGUIN_DATABASE_URL": engine.url.render_as_string(hide_password=False),
            "PENGUIN_HOME": str(home),
            "PENGUIN_SINK_MAILBOX": MAILBOX,
            **environment,
        }
        program = f"{before}\nfrom penguin_infra.cli.main import app\napp()"
        self.command = [
            sys.executable, "-c", program, "sink", "serve", "--host", host, "--port", str(self.port),
        ]  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        while not self._is_serving():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"the sink did not start: {self.log}")
            time.sleep(0.1)

    def kill(self) -> None:
        """As `kill -9` does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def connect(self, *, source: str | None = None, helo: str = "node-1.nodes.test", host: str | None = None) -> Any:
        """A real SMTP client; `source` is the address that it comes from."""
        return smtplib.SMTP(
            host or self.host,
            self.port,
            local_hostname=helo,
            timeout=_ANSWER_SECONDS,
            source_address=(source, 0) if source else None,
        )

    def found(self, correlation_id: str) -> list[SinkMessage]:
        """What the database holds of an id."""
        with self.engine.connect() as connection:
            return find_messages(connection, correlation_id)

    def count(self) -> int:
        """How many mails the database holds."""
        with self.engine.connect() as connection:
            found: int = connection.execute(text("SELECT count(*) FROM fleet.sink_messages")).scalar_one()
            return found

    def _is_serving(self) -> bool:
        family = socket.AF_INET if ip_address(self.host).version == 4 else socket.AF_INET6
        with socket.socket(family) as probe:
            probe.settimeout(1)
            return probe.connect_ex((self.host, self.port)) == 0

    def _end(self, how: signal.Signals) -> None:
        if self.process is None:
            return
        self.process.send_signal(how)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(20)
        self.process = None


def verification_mail(correlation_id: str | None, *, body: str = "a verification") -> EmailMessage:
    """A mail as a node sends it."""
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Subject"] = "probe@node-1.nodes.test", MAILBOX, "verification"
    if correlation_id is not None:
        mail["X-Penguin-Correlation"] = correlation_id
    mail.set_content(body)
    return mail


def send(client: Any, correlation_id: str | None, *, to: str = MAILBOX, body: str = "a verification") -> None:
    """Send a mail; raises smtplib's errors."""
    client.send_message(verification_mail(correlation_id, body=body), "probe@node-1.nodes.test", [to])
