"""The sink's connections: how many there may be, how long, and how much each may say. Which mails, is `mailbox.py`'s.

The library bounds commands and mails, but neither a line without an end nor a sender that is slow on purpose.
"""

import asyncio
import logging
import socket
import ssl
import time
from contextlib import suppress
from typing import NamedTuple

from aiosmtpd.smtp import SMTP

from penguin_infra.sink.mailbox import Mailbox

logger = logging.getLogger(__name__)

# A verification mail has a few kilobytes; this leaves room for a zealous footer.
MOST_OCTETS_A_MAIL = 256 * 1024
# A handful of the largest mails: a sender with more to say comes again.
_MOST_OCTETS_A_CONNECTION = 2 * 1024 * 1024
_MOST_CONNECTIONS = 100
# Nodes behind one address (the lab's are all on loopback) share this.
_MOST_CONNECTIONS_A_PEER = 20
_MOST_COMMANDS_OF_A_KIND = 100
# From one command to the next, where DATA is one. Postfix needs a second.
_COMMAND_SECONDS = 60.0
_CONNECTION_SECONDS = 600.0
_ROUND_SECONDS = 5.0
_PAUSE_SECONDS = 0.5

_TOO_MANY = b"421 4.3.2 Too many connections, come again later\r\n"


class _Open(NamedTuple):
    transport: asyncio.WriteTransport
    peer: str
    since: float


class Connections:
    """Takes connections from a listening socket, and lets each go in time."""

    def __init__(self, mailbox: Mailbox, tls: ssl.SSLContext, *, hostname: str) -> None:
        self._mailbox = mailbox
        self._tls = tls
        self._hostname = hostname
        self._open: list[_Open] = []

    async def accept(self, listener: socket.socket) -> None:
        """Take whoever comes, until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, peer = await loop.sock_accept(listener)
            except OSError as error:
                logger.warning("no connection can be taken: %s", error)
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._look_round()
            with suppress(OSError):  # what fails here is one sender's connection
                if self._is_full_for(peer[0]):
                    connection.send(_TOO_MANY)
                    connection.close()
                else:
                    transport, _ = await loop.connect_accepted_socket(self._new_session, connection)
                    self._open.append(_Open(transport, peer[0], time.monotonic()))

    async def watch(self) -> None:
        """End what lasts too long, until cancelled."""
        while True:
            self._look_round()
            await asyncio.sleep(_ROUND_SECONDS)

    def close(self) -> None:
        """Hang up on everybody; what was said to them before still reaches them."""
        for one in self._open:
            one.transport.close()

    def _new_session(self) -> SMTP:
        return _Session(
            self._mailbox,
            data_size_limit=MOST_OCTETS_A_MAIL,
            hostname=self._hostname,
            ident="penguin-infra sink",
            tls_context=self._tls,
            timeout=_COMMAND_SECONDS,
            auth_exclude_mechanism=("LOGIN", "PLAIN"),
            command_call_limit=_MOST_COMMANDS_OF_A_KIND,
            loop=asyncio.get_running_loop(),
        )

    def _is_full_for(self, peer: str) -> bool:
        of_peer = sum(one.peer == peer for one in self._open)
        return len(self._open) >= _MOST_CONNECTIONS or of_peer >= _MOST_CONNECTIONS_A_PEER

    def _look_round(self) -> None:
        now = time.monotonic()
        for one in self._open:
            if now - one.since > _CONNECTION_SECONDS:
                one.transport.abort()
        self._open = [one for one in self._open if not one.transport.is_closing()]


class _Session(SMTP):
    """The library's session, cut off when it says too much: the library keeps a line that has no end."""

    _octets = 0

    def data_received(self, data: bytes) -> None:
        self._octets += len(data)
        if self._octets <= _MOST_OCTETS_A_CONNECTION:
            super().data_received(data)
        elif isinstance(self.transport, asyncio.WriteTransport):
            self.transport.abort()
