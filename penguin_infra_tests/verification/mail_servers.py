"""Mail servers of every bad habit, in a process of their own: which recipients they take, and all that they were told.

Run by `running_mail_server`; as a program it serves until it is ended: port, pattern of taken recipients, log file.
"""

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP

from penguin_infra_tests.simulator_process import free_port

_LONGEST_START_SECONDS = 60
EVERYTHING, NOTHING = r".*", r"(?!)"


@dataclass(frozen=True)
class MailServer:
    port: int
    log: Path

    @property
    def told(self) -> list[str]:
        """Every command that it got."""
        return self.log.read_text().splitlines() if self.log.exists() else []


@contextmanager
def running_mail_server(folder: Path, taken: str) -> Iterator[MailServer]:
    """A server that takes recipients of that pattern and refuses all others."""
    server = MailServer(free_port(), folder / "commands.log")
    process = subprocess.Popen([sys.executable, "-m", __spec__.name, str(server.port), taken, str(server.log)])
    try:
        deadline = time.monotonic() + _LONGEST_START_SECONDS
        while not _is_listening(server.port):
            assert process.poll() is None, "the mail server did not start"
            assert time.monotonic() < deadline, "the mail server does not listen"
            time.sleep(0.05)
        yield server
    finally:
        process.terminate()
        process.wait(20)


def _is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class _Habits:
    def __init__(self, taken: str, log: Path) -> None:
        self._taken = re.compile(taken)
        self._log = log

    def note(self, line: str) -> None:
        with self._log.open("a") as log:
            log.write(f"{line}\n")

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        self.note(f"RCPT {address} from {envelope.mail_from}")
        if self._taken.fullmatch(address) is None:
            return "554 5.7.1 Relay access denied"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"


class _Session(SMTP):
    """Notes the command itself: the library refuses it without a recipient, before any hook hears of it."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        self.event_handler.note("DATA")
        await super().smtp_DATA(arg)


async def _serve(port: int, taken: str, log: Path) -> None:
    loop = asyncio.get_running_loop()
    habits = _Habits(taken, log)
    server = await loop.create_server(lambda: _Session(habits, hostname="mail.test", loop=loop), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])))
