"""The lab's authoritative DNS server: blacklist zones over UDP and TCP on one loopback port.

Messages and sockets only: records are `dns_zones.py`'s. It takes dynamic updates (RFC 2136) without a signature and
zone transfers (RFC 5936), both from loopback only, because it listens nowhere else.
"""

import asyncio
import signal
from collections.abc import Callable, Collection, Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.update

from penguin_infra.lab.dns_zones import Fault, LabDnsError, LabZone

# Without EDNS a UDP answer holds 512 octets (RFC 1035 s4.2.1); with it, what crosses any network whole (RFC 9715).
PLAIN_UDP_OCTETS = 512
EDNS_UDP_OCTETS = 1232

TCP_IDLE_SECONDS = 10
RECORDS_PER_TRANSFER_MESSAGE = 500


def serve_dns(
    *,
    host: str = "127.0.0.1",
    port: int,
    directory: Path,
    zones: Mapping[str, Sequence[str]],
    ipv6_zones: Collection[str] = (),
    ttl_seconds: int = 2,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Serve blacklist zones (zone to the codes of its test point) until SIGTERM or SIGINT.

    Records are kept in `directory`, a file a zone. Every answer carries `ttl_seconds`, whatever the update said: a lab
    that confirms listings past their TTL wants it short. Errors: `LabDnsError`.
    """
    if not ip_address(host).is_loopback:
        raise LabDnsError(f"{host} is not a loopback address: the lab's DNS takes changes from anybody who reaches it")
    directory.mkdir(parents=True, exist_ok=True)
    served = [LabZone(zone, codes, directory, has_ipv6=zone in ipv6_zones) for zone, codes in zones.items()]
    asyncio.run(_serve(_Responder(served, ttl_seconds), host, port, on_ready))


class _Responder:
    """Answers wire messages; None means silence."""

    def __init__(self, zones: Sequence[LabZone], ttl_seconds: int) -> None:
        self._zones = {zone.origin: zone for zone in zones}
        self._ttl_seconds = ttl_seconds

    def answer(self, wire: bytes, *, is_tcp: bool) -> list[bytes]:
        """The messages that answer one: several for a zone transfer, none to be silent."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, ValueError):
            return _malformed(wire)
        if query.flags & dns.flags.QR:
            return []
        if isinstance(query, dns.update.UpdateMessage):
            return [self._update(query).to_wire()]
        response = dns.message.make_response(query, our_payload=EDNS_UDP_OCTETS)
        if query.opcode() != dns.opcode.QUERY:
            response.set_rcode(dns.rcode.NOTIMP)
        elif len(query.question) != 1:
            response.set_rcode(dns.rcode.FORMERR)
        elif query.question[0].rdtype == dns.rdatatype.AXFR and is_tcp:
            return self._transfer(query)
        elif not self._answer_query(query.question[0], response):
            return []
        limit = 65535 if is_tcp else PLAIN_UDP_OCTETS
        if query.edns >= 0 and not is_tcp:
            limit = max(PLAIN_UDP_OCTETS, min(query.payload, EDNS_UDP_OCTETS))
        return [response.to_wire(max_size=limit, prefer_truncation=True)]

    def _answer_query(self, question: dns.rrset.RRset, response: dns.message.Message) -> bool:
        zone = self._zone_of(question.name)
        if zone is None or question.rdclass != dns.rdataclass.IN or zone.fault is Fault.REFUSED:
            response.set_rcode(dns.rcode.REFUSED)
            return True
        if zone.fault is Fault.TIMEOUT:
            return False
        if zone.fault is Fault.SERVFAIL:
            response.set_rcode(dns.rcode.SERVFAIL)
            return True
        response.flags |= dns.flags.AA
        for rdataset in zone.find(question.name, question.rdtype):
            response.answer.append(self._dress(question.name, rdataset))
        if not response.answer:
            # RFC 2308: the SOA tells a cache how long it may remember the absence.
            response.authority.append(self._dress(zone.origin, zone.start_of_authority()))
            if not zone.holds(question.name):
                response.set_rcode(dns.rcode.NXDOMAIN)
        return True

    def _update(self, update: dns.update.UpdateMessage) -> dns.message.Message:
        response = dns.message.make_response(update)
        zone = self._zones.get(update.zone[0].name) if len(update.zone) == 1 else None
        if zone is None:
            response.set_rcode(dns.rcode.NOTAUTH)
        elif update.prerequisite:
            response.set_rcode(dns.rcode.NOTIMP)
        elif not all(change.name.is_subdomain(zone.origin) for change in update.update):
            response.set_rcode(dns.rcode.NOTZONE)
        else:
            try:
                zone.change(update.update)
            except (OSError, ValueError, dns.exception.DNSException):
                response.set_rcode(dns.rcode.SERVFAIL)
        return response

    def _transfer(self, query: dns.message.Message) -> list[bytes]:
        zone = self._zones.get(query.question[0].name)
        if zone is None:
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.NOTAUTH)
            return [response.to_wire()]
        authority = self._dress(zone.origin, zone.start_of_authority())
        records = [authority, *(self._dress(name, rdataset) for name, rdataset in zone.everything()), authority]
        messages = []
        for start in range(0, len(records), RECORDS_PER_TRANSFER_MESSAGE):
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            response.answer.extend(records[start : start + RECORDS_PER_TRANSFER_MESSAGE])
            messages.append(response.to_wire(max_size=65535))
        return messages

    def _zone_of(self, name: dns.name.Name) -> LabZone | None:
        while name != dns.name.root:
            if name in self._zones:
                return self._zones[name]
            name = name.parent()
        return None

    def _dress(self, name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> dns.rrset.RRset:
        return dns.rrset.from_rdata_list(name, self._ttl_seconds, list(rdataset))


def _malformed(wire: bytes) -> list[bytes]:
    """FORMERR with the sender's id, if there is one; never an answer to an answer, which would go on for ever."""
    is_response = len(wire) > 2 and wire[2] & 0x80
    if len(wire) < 12 or is_response:
        return []
    opcode = wire[2] & 0x78
    return [wire[:2] + bytes([0x80 | opcode, dns.rcode.FORMERR]) + bytes(8)]


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, responder: _Responder) -> None:
        self._responder = responder

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for message in self._responder.answer(data, is_tcp=False):
            self._transport.sendto(message, addr)


async def _serve_stream(responder: _Responder, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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


async def _serve(responder: _Responder, host: str, port: int, on_ready: Callable[[], None] | None) -> None:
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
