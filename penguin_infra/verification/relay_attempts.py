"""Asking a mail server, as a stranger, to pass on a mail to another stranger: the classic ways. No mail is ever sent.

A server that says yes to such a recipient is an open relay; the conversation ends before the mail itself (DATA).
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address

# Together far below Fail2Ban's patience on a node (ten refusals in ten minutes), which a look must not wear out.
_ATTEMPTS = (
    ("plainly", "stranger@{probe}", "victim@{probe}"),
    ("plainly, from the empty sender", "", "victim@{probe}"),
    ("by percent", "", "victim%{probe}@[{ip}]"),
    ("quoted", "", '"victim@{probe}"@[{ip}]'),
    ("by source route", "", "@[{ip}]:victim@{probe}"),
)
# A reply has a few lines of at most 512 octets (RFC 5321 s4.5.3.1.5).
_LONGEST_LINE, _MOST_LINES = 2048, 100


@dataclass(frozen=True, slots=True)
class RelayView:
    """Whether the server relays, and by which answer that is known."""

    is_open: bool
    detail: str


class _NoSmtp(Exception):
    """What answers is no mail server, or one that does not want to talk."""


async def try_to_relay(ip: IPv4Address, *, port: int, probe_domain: str, timeout_seconds: float) -> RelayView:
    """Try all ways in one session, bounded as a whole; a server that is not there relays nothing."""
    refusals: list[str] = []
    try:
        async with asyncio.timeout(timeout_seconds):
            reader, writer = await asyncio.open_connection(str(ip), port, limit=_LONGEST_LINE)
            try:
                session = _Session(reader, writer)
                await session.greet(probe_domain)
                for way, sender, recipient in _attempts(ip, probe_domain):
                    reply = await session.ask_for(sender, recipient)
                    if reply.startswith("2"):
                        return RelayView(True, f"took {recipient} from <{sender}> ({way}): {reply}")
                    refusals.append(f"{way}: {reply}")
            finally:
                writer.transport.abort()
    except TimeoutError:
        return RelayView(False, _told(refusals, f"port {port} does not answer in {timeout_seconds:g} s"))
    except (OSError, EOFError, asyncio.LimitOverrunError, _NoSmtp) as error:
        return RelayView(False, _told(refusals, f"port {port} takes no mail ({error or type(error).__name__})"))
    return RelayView(False, _told(refusals, "every way was refused"))


class _Session:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def greet(self, name: str) -> None:
        _demand_welcome(await self._read())
        _demand_welcome(await self._say(f"EHLO {name}"))

    async def ask_for(self, sender: str, recipient: str) -> str:
        await self._say("RSET")
        reply = await self._say(f"MAIL FROM:<{sender}>")
        return await self._say(f"RCPT TO:<{recipient}>") if reply.startswith("2") else reply

    async def _say(self, line: str) -> str:
        self._writer.write(f"{line}\r\n".encode("ascii"))
        await self._writer.drain()
        return await self._read()

    async def _read(self) -> str:
        """The last line of a reply: a code and its words."""
        for _ in range(_MOST_LINES):
            line = (await self._reader.readuntil(b"\n")).decode("ascii", "replace").strip()
            if not line[:3].isdigit():
                raise _NoSmtp(f"{line[:40]!r} is no SMTP")
            if line[3:4] != "-":
                return "".join(character if character.isprintable() else "?" for character in line[:200])
        raise _NoSmtp("a reply without an end")


def _demand_welcome(reply: str) -> None:
    if not reply.startswith("2"):
        raise _NoSmtp(reply)


def _attempts(ip: IPv4Address, probe: str) -> Iterator[tuple[str, str, str]]:
    for way, sender, recipient in _ATTEMPTS:
        yield way, sender.format(probe=probe), recipient.format(probe=probe, ip=ip)


def _told(refusals: list[str], words: str) -> str:
    return "; ".join([words, *refusals[-1:]])
