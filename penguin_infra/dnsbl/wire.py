"""DNS questions and replies as bytes: what a sweep sends, and what a datagram that comes back says.

Questions are built here, and negatives are recognised by header and question alone, because nearly all answers are
that; everything else is dnspython's. Times, tries and sockets are `exchange.py`'s and `sockets.py`'s.
"""

from dataclasses import dataclass
from functools import lru_cache

import dns.exception
import dns.message
import dns.name
import dns.rcode

from penguin_infra.dnsbl.questions import Address

A, TXT = 1, 16
_IN = b"\x00\x01"
# One question, recursion desired.
_FLAGS_AND_COUNTS = b"\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
_HEADER_OCTETS = 12
_IS_RESPONSE, _IS_TRUNCATED, _RCODE = 0x80, 0x02, 0x0F
_OPCODE = 0x78


@dataclass(frozen=True, slots=True)
class Reply:
    """What a server said. `error`: why it cannot be used; `may_pass`: whether another try could do better."""

    addresses: tuple[str, ...] = ()
    ttl_seconds: int = 0
    is_nxdomain: bool = False
    is_truncated: bool = False
    error: str | None = None
    may_pass: bool = False


NXDOMAIN = Reply(is_nxdomain=True)
NODATA = Reply()
TRUNCATED = Reply(is_truncated=True)


@lru_cache(maxsize=1 << 16)
def reversed_labels(address: Address) -> bytes:
    """An address as the first labels of its name under a list: octets or nibbles reversed (RFC 5782 s2.1, s2.4)."""
    labels = address.reverse_pointer.rsplit(".", 2)[0].encode().split(b".")
    return b"".join(len(label).to_bytes(1, "big") + label for label in labels)


@lru_cache(maxsize=256)
def zone_labels(zone: str) -> bytes:
    """A zone's name in wire form; raises `ValueError` for what is no name, without repeating it (it may hold a key)."""
    try:
        return dns.name.from_text(zone).to_wire() or b""
    except (dns.exception.DNSException, UnicodeError):
        raise ValueError("the name under which the list is asked is no DNS name") from None


def question(name: bytes, rdtype: int = A) -> bytes:
    """The question section for a name in wire form."""
    return name + rdtype.to_bytes(2, "big") + _IN


def query(message_id: int, asked: bytes) -> bytes:
    """A whole query."""
    return message_id.to_bytes(2, "big") + _FLAGS_AND_COUNTS + asked


def answers(datagram: bytes, asked: bytes) -> bool:
    """Whether a datagram answers this question at all; its id was compared before."""
    end = _HEADER_OCTETS + len(asked)
    if len(datagram) < end or not datagram[2] & _IS_RESPONSE or datagram[2] & _OPCODE or datagram[4:6] != b"\x00\x01":
        return False
    echoed = datagram[_HEADER_OCTETS:end]
    return echoed == asked or echoed.lower() == asked.lower()


def read_reply(datagram: bytes) -> Reply:
    """What a reply says; it must be one by `answers`. Never raises, whatever it holds."""
    if datagram[2] & _IS_TRUNCATED:
        return TRUNCATED
    rcode = datagram[3] & _RCODE
    has_answer = datagram[6:8] != b"\x00\x00"
    if rcode == dns.rcode.NXDOMAIN and not has_answer:
        return NXDOMAIN
    if rcode == dns.rcode.NOERROR:
        return _read_records(datagram) if has_answer else NODATA
    if rcode == dns.rcode.NXDOMAIN:
        return _read_records(datagram)
    # A refusal is meant: asking again would only spend the list's patience.
    return Reply(error=f"answered {dns.rcode.to_text(dns.rcode.Rcode(rcode))}", may_pass=rcode == dns.rcode.SERVFAIL)


def _read_records(datagram: bytes) -> Reply:
    try:
        response = dns.message.from_wire(datagram)
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
    return Reply(tuple(record.address for record in chain.answer), chain.minimum_ttl, is_nxdomain)
