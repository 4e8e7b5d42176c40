"""The blacklists that the lab serves: their test points, their listings, and the fault that each is set to.

A fault is a TXT record at `_fault.<zone>`, so that it is switched by the same dynamic update as a listing, and kept as
well. What every zone can do is `dns_zone.py`'s.
"""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.transaction
from dns.rdtypes.ANY.TXT import TXT

from penguin_infra.lab.dns_zone import LabZone

FAULT_LABEL = "_fault"
TEST_POINTS = ("127.0.0.2", "::ffff:7f00:2")  # RFC 5782 s5

# What Spamhaus and others answer to a public resolver, and to whoever asks too much; each with words of its own.
OPEN_RESOLVER_ANSWER = ("127.255.255.254", "Error: open resolver")
ERROR_CODE_ANSWER = ("127.255.255.255", "Error: too many questions")


class Fault(StrEnum):
    """How a blacklist can fail; each has happened to a real one."""

    WILDCARD = "wildcard"
    EMPTY = "empty"
    TIMEOUT = "timeout"
    ERROR_CODE = "error-code"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    OPEN_RESOLVER = "open-resolver"
    NONE = "none"


def listing_name(address: IPv4Address | IPv6Address | str, zone: str) -> dns.name.Name:
    """The name of an address in a blacklist zone (RFC 5782 s2)."""
    labels, _, _ = ip_address(address).reverse_pointer.rsplit(".", 2)
    return dns.name.from_text(f"{labels}.{zone}")


def fault_name(zone: str) -> dns.name.Name:
    """Where a zone's fault stands."""
    return dns.name.from_text(f"{FAULT_LABEL}.{zone}")


def text_record(text: str) -> dns.rdata.Rdata:
    """A TXT record of any length: each of its strings holds 255 octets (RFC 1035 s3.3)."""
    octets = text.encode()
    return TXT(
        dns.rdataclass.IN,
        dns.rdatatype.TXT,
        [octets[start : start + 255] for start in range(0, max(len(octets), 1), 255)],
    )


class BlacklistZone(LabZone):
    """A blacklist with its test points, failing as its fault says."""

    def __init__(self, zone: str, test_codes: Sequence[str], directory: Path, *, has_ipv6: bool) -> None:
        self._zone = zone
        self._test_codes = tuple(test_codes)
        self._test_points = TEST_POINTS if has_ipv6 else TEST_POINTS[:1]
        super().__init__(zone, directory)

    def find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[dns.rdataset.Rdataset]:
        """The records at a name; under some faults every name has records, or none has."""
        match self.fault:
            case Fault.EMPTY if name != self.origin:
                return []
            case Fault.WILDCARD:
                return _everywhere(rdtype, self._test_codes, "every address is listed")
            case Fault.OPEN_RESOLVER:
                return _everywhere(rdtype, OPEN_RESOLVER_ANSWER[:1], OPEN_RESOLVER_ANSWER[1])
            case Fault.ERROR_CODE:
                return _everywhere(rdtype, ERROR_CODE_ANSWER[:1], ERROR_CODE_ANSWER[1])
            case _:
                return super().find(name, rdtype)

    def holds(self, name: dns.name.Name) -> bool:
        """Whether a name exists; an emptied list has its apex and nothing below."""
        return name == self.origin if self.fault is Fault.EMPTY else super().holds(name)

    def _furnish(self, transaction: dns.transaction.Transaction) -> None:
        super()._furnish(transaction)
        for point in self._test_points:
            name = listing_name(point, self._zone)
            reason = text_record(f"{self._zone} works: {point} is its test point")
            transaction.replace(name, dns.rdataset.from_text("IN", "A", 0, *self._test_codes))
            transaction.replace(name, dns.rdataset.from_rdata(0, reason))

    def _settle(self) -> None:
        super()._settle()
        texts = self._records.get_rdataset(fault_name(self._zone), dns.rdatatype.TXT) or ()
        modes = [b"".join(text.strings).decode(errors="replace") for text in texts]
        self.fault = next((Fault(mode) for mode in modes if mode in list(Fault)), Fault.NONE)


def _everywhere(rdtype: dns.rdatatype.RdataType, codes: Sequence[str], words: str) -> list[dns.rdataset.Rdataset]:
    records = [dns.rdataset.from_text("IN", "A", 0, *codes), dns.rdataset.from_rdata(0, text_record(words))]
    return [one for one in records if rdtype in (one.rdtype, dns.rdatatype.ANY)]
