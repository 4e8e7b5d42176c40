"""DNS questions and replies as bytes: what a sweep sends, and what a datagram that comes back says.

Questions are built here, and negatives are recognised by header and question alone, because nearly all answers are
that; everything else is dnspython's. Times, tries and sockets are `exchange.py`'s and `sockets.py`'s.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address

import dns.exception
import dns.message
import dns.name
import dns.rcode

from penguin_infra.dnsbl.questions import Address

A, TXT = 1, 16
_IN = b"\x00\x01"
# One question, recursion desired.
_FLAGS_AND_COUNTS = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
ID_OCTETS = 2
_HEADER_OCTETS = 12
_IS_RESPONSE, _IS_TRUNCATED, _RCODE = 0x80, 0x02, 0x0F
_NOERROR, _NXDOMAIN = int(dns.rcode.NOERROR), int(dns.rcode.NXDOMAIN)
_OPCODE = 0x78

_OCTETS = tuple(bytes([len(text), *text.encode()]) for text in map(str, range(256)))
_IPV6_LABELS = 64
_LONGEST_NAME = 255

# Where the question's name stands, as an answer points to it; its type, class, TTL, length and an address follow.
_OWN_NAME = b"\xc0\x0c"
_RECORD_OCTETS = 16


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. `error`: why it cannot be used; `may_pass`: whether another try could do better."""

    addresses: tuple[IPv4Address, ...] = ()
    ttl_seconds: int = 0
    is_nxdomain: bool = False
    is_truncated: bool = False
    error: str | None = None
    may_pass: bool = False


NXDOMAIN = Reply(is_nxdomain=True)
NODATA = Reply()
TRUNCATED = Reply(is_truncated=True)

# Nearly all listings on a list look alike: dnspython reads each kind once.
_known_listings: dict[bytes, Reply] = {}
_MOST_KNOWN = 10_000


def reversed_labels(address: Address) -> bytes:
    """An address as the first labels of its name under a list: octets or nibbles reversed (RFC 5782 s2.1, s2.4)."""
    packed = address.packed
    if len(packed) == 4:
        first, second, third, fourth = packed
        return _OCTETS[fourth] + _OCTETS[third] + _OCTETS[second] + _OCTETS[first]
    labels = bytearray(_IPV6_LABELS)
    labels[0::2] = b"\x01" * 32
    labels[1::2] = packed.hex()[::-1].encode()
    return bytes(labels)


def zone_labels(zone: str) -> bytes:
    """A zone's name in wire form; raises `ValueError` for what is no name, without repeating it (it may hold a key)."""
    try:
        labels = dns.name.from_text(zone).to_wire() or b""
    except (dns.exception.DNSException, UnicodeError):
        labels = b""
    if not labels or len(labels) + _IPV6_LABELS > _LONGEST_NAME:
        raise ValueError("the name under which the list is asked is no DNS name")
    return labels


def question(name: bytes, rdtype: int = A) -> bytes:
    """The question section for a name in wire form."""
    return name + rdtype.to_bytes(2, "big") + _IN


def query(message_id: bytes, asked: bytes) -> bytes:
    """A whole query."""
    return message_id + _FLAGS_AND_COUNTS + asked


def answers(datagram: bytes, asked: bytes) -> bool:
    """Whether a datagram answers this question at all; its id was compared before."""
    end = _HEADER_OCTETS + len(asked)
    if len(datagram) < end or not datagram[2] & _IS_RESPONSE or datagram[2] & _OPCODE or datagram[4:6] != b"\x00\x01":
        return False
    echoed = datagram[_HEADER_OCTETS:end]
    return echoed == asked or echoed.lower() == asked.lower()


def read_reply(datagram: bytes, asked: bytes) -> Reply:
    """What a reply to this question says; it must be one by `answers`. Never raises, whatever it holds."""
    if datagram[2] & _IS_TRUNCATED:
        return TRUNCATED
    rcode = datagram[3] & _RCODE
    has_answer = datagram[6:8] != b"\x00\x00"
    if rcode == _NXDOMAIN:
        return _read_records(datagram) if has_answer else NXDOMAIN
    if rcode == _NOERROR:
        return _read_listing(datagram, asked) if has_answer else NODATA
    # A refusal is meant: asking again would only spend the list's patience.
    return Reply(error=f"answered {dns.rcode.to_text(dns.rcode.Rcode(rcode))}", may_pass=rcode == dns.rcode.SERVFAIL)


def _read_listing(datagram: bytes, asked: bytes) -> Reply:
    """As `_read_records`, once for all answers that differ in nothing but the name that was asked."""
    records = datagram[_HEADER_OCTETS + len(asked) :]
    kind = datagram[2:8] + records
    known = _known_listings.get(kind)
    if known is not None:
        return known
    reply = _read_records(datagram)
    count = int.from_bytes(datagram[6:8], "big")
    owners = {records[at : at + 2] for at in range(0, count * _RECORD_OCTETS, _RECORD_OCTETS)}
    # Only addresses, each of the very name that was asked: then nothing of what was read depends on that name.
    if len(reply.addresses) == count and owners == {_OWN_NAME} and len(_known_listings) < _MOST_KNOWN:
        _known_listings[kind] = reply
    return reply


def _read_records(datagram: bytes) -> Reply:
    try:
        # The answer alone: what stands behind it is about others, and reading it would cost as much again.
        response = dns.message.from_wire(datagram[:8] + b"\x00\x00\x00\x00" + datagram[12:], ignore_trailing=True)
        if not isinstance(response, dns.message.QueryMessage):
            return Reply(error="answered with something that is no answer", may_pass=True)
    except (dns.exception.DNSException, ValueError, IndexError) as error:
        # The kind alone: the words may repeat the name, and a paid list's name holds the key.
        return Reply(error=f"sent a malformed answer ({type(error).__name__})", may_pass=True)
    is_nxdomain = response.rcode() == dns.rcode.NXDOMAIN
    try:
        chain = response.resolve_chaining()
    except (dns.exception.DNSException, ValueError) as error:
        return Reply(error=f"sent a contradictory answer ({type(error).__name__})")
    if chain.answer is None:
        return NXDOMAIN if is_nxdomain else NODATA
    return Reply(tuple(sorted(IPv4Address(record.address) for record in chain.answer)), chain.minimum_ttl, is_nxdomain)
