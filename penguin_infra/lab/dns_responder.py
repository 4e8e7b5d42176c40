"""What the lab's DNS answers to each message: queries, dynamic updates (RFC 2136), zone transfers (RFC 5936).

Bytes in, bytes out; sockets are `dns_server.py`'s, records `dns_zone.py`'s.
"""

from collections.abc import Sequence

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
import dns.tsig
import dns.update

from penguin_infra.lab.dns_signatures import SignatureRefused, read_message
from penguin_infra.lab.dns_updates import UpdateRefused
from penguin_infra.lab.dns_zone import LabZone
from penguin_infra.lab.dns_zones import BlacklistZone, Fault

# Without EDNS a UDP answer holds 512 octets (RFC 1035 s4.2.1); with it, what crosses any network whole (RFC 9715).
PLAIN_UDP_OCTETS = 512
EDNS_UDP_OCTETS = 1232

RECORDS_PER_TRANSFER_MESSAGE = 500


class Responder:
    """Answers wire messages. `key` signs what zones want signed; without it nobody changes those."""

    def __init__(self, zones: Sequence[LabZone], *, ttl_seconds: int, key: dns.tsig.Key | None) -> None:
        self._zones = {zone.origin: zone for zone in zones}
        self._ttl_seconds = ttl_seconds
        self._key = key

    def answer(self, wire: bytes, *, is_tcp: bool) -> list[bytes]:
        """The messages that answer one: several for a zone transfer, none to be silent."""
        is_response = len(wire) > 2 and wire[2] & 0x80
        if is_response:
            # An answer to an answer would go on for ever.
            return []
        try:
            message = read_message(wire, self._key)
        except SignatureRefused as refused:
            return [refused.reply]
        except (dns.exception.DNSException, ValueError):
            return _malformed(wire)
        if isinstance(message, dns.update.UpdateMessage):
            return [self._update(message).to_wire()]
        return self._reply(message, is_tcp=is_tcp)

    def _reply(self, query: dns.message.Message, *, is_tcp: bool) -> list[bytes]:
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
        fault = zone.fault if isinstance(zone, BlacklistZone) else Fault.NONE
        if zone is None or question.rdclass != dns.rdataclass.IN or fault is Fault.REFUSED:
            response.set_rcode(dns.rcode.REFUSED)
            return True
        if fault is Fault.TIMEOUT:
            return False
        if fault is Fault.SERVFAIL:
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
        if zone is None or not _is_admitted(update, zone):
            response.set_rcode(dns.rcode.NOTAUTH)
            return response
        try:
            zone.change(update)
        except UpdateRefused as refused:
            response.set_rcode(refused.rcode)
        except (OSError, ValueError, dns.exception.DNSException):
            response.set_rcode(dns.rcode.SERVFAIL)
        return response

    def _transfer(self, query: dns.message.Message) -> list[bytes]:
        zone = self._zones.get(query.question[0].name)
        if zone is None or not _is_admitted(query, zone):
            response = dns.message.make_response(query)
            response.set_rcode(dns.rcode.NOTAUTH)
            return [response.to_wire()]
        authority = self._dress(zone.origin, zone.start_of_authority())
        records = [authority, *(self._dress(name, rdataset) for name, rdataset in zone.everything()), authority]
        messages = []
        signature = None
        for start in range(0, len(records), RECORDS_PER_TRANSFER_MESSAGE):
            response = dns.message.make_response(query)
            response.flags |= dns.flags.AA
            response.answer.extend(records[start : start + RECORDS_PER_TRANSFER_MESSAGE])
            # Each message's signature covers the one before (RFC 8945 s5.3.1).
            messages.append(response.to_wire(max_size=65535, multi=True, tsig_ctx=signature))
            signature = response.tsig_ctx
        return messages

    def _zone_of(self, name: dns.name.Name) -> LabZone | None:
        while name != dns.name.root:
            if name in self._zones:
                return self._zones[name]
            name = name.parent()
        return None

    def _dress(self, name: dns.name.Name, rdataset: dns.rdataset.Rdataset) -> dns.rrset.RRset:
        return dns.rrset.from_rdata_list(name, self._ttl_seconds, list(rdataset))


def _is_admitted(asked: dns.message.Message, zone: LabZone) -> bool:
    return asked.had_tsig or not zone.is_key_needed


def _malformed(wire: bytes) -> list[bytes]:
    """FORMERR with the sender's id, if there is one."""
    if len(wire) < 12:
        return []
    opcode = wire[2] & 0x78
    return [wire[:2] + bytes([0x80 | opcode, dns.rcode.FORMERR]) + bytes(8)]
