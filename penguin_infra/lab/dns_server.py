"""The lab's authoritative DNS server: blacklists, the nodes' names and their reverse names, on one loopback port.

Sockets only, UDP and TCP: what is answered is `dns_responder.py`'s. Blacklists and the reverse zone take changes from
anybody, because the server listens on loopback only; the nodes' names want the key.
"""

import asyncio
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.tsig

from penguin_infra.lab.dns_responder import Responder
from penguin_infra.lab.dns_zone import FORWARD_ZONE, REVERSE_ZONE, LabDnsError, LabZone
from penguin_infra.lab.dns_zones import BlacklistZone

TCP_IDLE_SECONDS = 10


def serve_dns(
    *,
    host: str = "127.0.0.1",
    port: int,
    directory: Path,
    zones: Mapping[str, Sequence[str]],
    ipv6_zones: Collection[str] = (),
    key: dns.tsig.Key | None = None,
    ttl_seconds: int = 2,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve blacklist zones (zone to the codes of its test point) and the nodes' names until SIGTERM or SIGINT.

    Records are kept in `directory`, a file a zone. Every answer carries `ttl_seconds`, whatever the update said: a lab
    that confirms listings past their TTL wants it short. `key`: what signs changes of the nodes' names; without it
    nobody makes any. Errors: `LabDnsError`.
    """
    if not ip_address(host).is_loopback:
        raise LabDnsError(f"{host} is not a loopback address: the lab's DNS takes changes from anybody who reaches it")
    directory.mkdir(parents=True, exist_ok=True)
    served: list[LabZone] = [
        BlacklistZone(zone, codes, directory, has_ipv6=zone in ipv6_zones) for zone, codes in zones.items()
    ]
    served += [LabZone(FORWARD_ZONE, directory, is_key_needed=True), LabZone(REVERSE_ZONE, directory)]
    asyncio.run(_serve(Responder(served, ttl_seconds=ttl_seconds, key=key), host, port, on_ready))


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, responder: Responder) -> None:
        self._responder = responder

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for message in self._responder.answer(data, is_tcp=False):
            self._transport.sendto(message, addr)


async def _serve_stream(responder: Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            async with asyncio.timeout(TCP_IDLE_SECONDS):
                length = int.from_bytes(await reader.readexactly(2))
                wire = await reader.readexactly(length)
            for message in responder.answer(wire, is_tcp=True):
                writer.write(len(message).to_bytes(2) + message)
            await writer.drain()
    except (TimeoutError, OSError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


async def _serve(responder: Responder, host: str, port: int, on_ready: Callable[[], None] | None) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        streams = await asyncio.start_server(
            lambda reader, writer: _serve_stream(responder, reader, writer), host, port
        )
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(responder), local_addr=(host, port))
    except OSError as error:
        raise LabDnsError(f"port {port} of {host} cannot be opened ({error}): is another server on it?") from error
    if on_ready:
        on_ready()
    await stop.wait()
    datagrams.close()
    streams.close()
