"""Values as the wire holds them, and back: addresses checked, long texts in pieces. No messages, no servers."""

from ipaddress import IPv4Address

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.TXT import TXT

from penguin_infra.dns_records.publisher import DnsRefused, RecordType

# A TXT record is a sequence of strings of at most so many octets (RFC 1035 s3.3); readers join them (RFC 7208 s3.3).
_STRING_OCTETS = 255
# A DKIM key of 4096 bits takes some 750; beyond this, answers would no longer pass everywhere.
_LONGEST_TEXT_OCTETS = 4096


def make_rdata(rdtype: RecordType, value: str) -> dns.rdata.Rdata:
    """A value as a record; raises `DnsRefused` for one that its type cannot hold."""
    if rdtype == "A":
        try:
            address = str(IPv4Address(value))
        except ValueError:
            raise DnsRefused(f"{value!r} is no IPv4 address, and an A record holds nothing else") from None
        return dns.rdata.from_text(dns.rdataclass.IN, dns.rdatatype.A, address)
    octets = value.encode()
    if len(octets) > _LONGEST_TEXT_OCTETS:
        raise DnsRefused(f"a text of {len(octets)} octets is too long for a TXT record: {_LONGEST_TEXT_OCTETS} at most")
    strings = [octets[start : start + _STRING_OCTETS] for start in range(0, len(octets), _STRING_OCTETS)]
    return TXT(dns.rdataclass.IN, dns.rdatatype.TXT, strings or [b""])


def value_of(rdata: dns.rdata.Rdata) -> str:
    """A record's value: a text whole and without quotes, a name without the last dot."""
    if isinstance(rdata, TXT):
        return b"".join(rdata.strings).decode(errors="backslashreplace")
    return rdata.to_text().removesuffix(".")
