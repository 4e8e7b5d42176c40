"""The blacklist zones that the lab serves: their records, kept in zone files, and the fault that a zone is set to.

Records and files only: sockets and messages are `dns_server.py`'s. A fault is a TXT record at `_fault.<zone>`, so that
it is switched by the same dynamic update as a listing, and kept as well.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dns.exception
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.zone
from dns.rdtypes.ANY.TXT import TXT

FAULT_LABEL = "_fault"
TEST_POINTS = ("127.0.0.2", "::ffff:7f00:2")  # RFC 5782 s5

# What Spamhaus and others answer to a public resolver.
OPEN_RESOLVER_CODE = "127.255.255.254"

_APEX = (
    ("SOA", "ns.lab.invalid. hostmaster.lab.invalid. 1 3600 600 86400 2"),
    ("NS", "ns.lab.invalid."),
)


class Fault(StrEnum):
    """How a blacklist can fail; each has happened to a real one."""

    SERVFAIL = "servfail"
    REFUSED = "refused"
    TIMEOUT = "timeout"
    WILDCARD = "wildcard"
    OPEN_RESOLVER = "open-resolver"
    NONE = "none"


class LabDnsError(Exception):
    """The lab's DNS cannot be served, asked or changed; the message says why and what to do."""


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


class LabZone:
    """One blacklist zone in memory and in its file; a change is on disk before it is acknowledged."""

    def __init__(self, zone: str, test_codes: Sequence[str], directory: Path, *, has_ipv6: bool) -> None:
        self.origin = dns.name.from_text(zone)
        self._file = directory / f"{zone}.zone"
        self._test_codes = tuple(test_codes)
        self._records = self._load()
        with self._records.writer() as transaction:
            for rdtype, text in _APEX:
                transaction.replace(self.origin, dns.rdataset.from_text("IN", rdtype, 0, text))
            for point in TEST_POINTS if has_ipv6 else TEST_POINTS[:1]:
                reason = text_record(f"{zone} works: {point} is its test point")
                transaction.replace(listing_name(point, zone), dns.rdataset.from_text("IN", "A", 0, *test_codes))
                transaction.replace(listing_name(point, zone), dns.rdataset.from_rdata(0, reason))
        self._fault_name = fault_name(zone)
        self._settle()

    def holds(self, name: dns.name.Name) -> bool:
        """Whether a name exists, if only as the parent of one that does (an empty non-terminal, RFC 8020)."""
        return name in self._names

    def find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[dns.rdataset.Rdataset]:
        """The records at a name of one type, or of all for ANY; under some faults every name has records."""
        if self.fault in (Fault.WILDCARD, Fault.OPEN_RESOLVER):
            return self._find_everywhere(rdtype)
        if rdtype == dns.rdatatype.ANY:
            node = self._records.get_node(name)
            return list(node.rdatasets) if node else []
        found = self._records.get_rdataset(name, rdtype)
        return [] if found is None else [found]

    def start_of_authority(self) -> dns.rdataset.Rdataset:
        """The SOA record, which negative answers carry."""
        return self._records.find_rdataset(self.origin, dns.rdatatype.SOA)

    def everything(self) -> Iterator[tuple[dns.name.Name, dns.rdataset.Rdataset]]:
        """All records but the SOA, for a zone transfer."""
        for name, rdataset in self._records.iterate_rdatasets():
            if rdataset.rdtype != dns.rdatatype.SOA:
                yield name, rdataset

    def change(self, updates: Iterable[dns.rrset.RRset]) -> None:
        """Carry out the update section of a dynamic update (RFC 2136 s3.4.2); the apex keeps its SOA and NS."""
        with self._records.writer() as transaction:
            for update in updates:
                rest = dns.rdataset.from_rdata_list(0, list(update)) if len(update) else None
                if update.name == self.origin:
                    continue
                if update.deleting is None and rest is not None:
                    transaction.add(update.name, rest)
                elif update.rdtype == dns.rdatatype.ANY:
                    transaction.delete(update.name)
                elif rest is None:
                    transaction.delete(update.name, update.rdtype)
                else:
                    transaction.delete(update.name, rest)
            transaction.update_serial(name=self.origin)
        self._settle()

    def _find_everywhere(self, rdtype: dns.rdatatype.RdataType) -> list[dns.rdataset.Rdataset]:
        is_open_resolver = self.fault is Fault.OPEN_RESOLVER
        codes = (OPEN_RESOLVER_CODE,) if is_open_resolver else self._test_codes
        text = text_record("Error: open resolver" if is_open_resolver else "every address is listed")
        everywhere = [dns.rdataset.from_text("IN", "A", 0, *codes), dns.rdataset.from_rdata(0, text)]
        return [one for one in everywhere if rdtype in (one.rdtype, dns.rdatatype.ANY)]

    def _load(self) -> dns.zone.Zone:
        if not self._file.exists():
            return dns.zone.Zone(self.origin, relativize=False)
        try:
            return dns.zone.from_file(str(self._file), self.origin, relativize=False)
        except (dns.exception.DNSException, OSError) as error:
            raise LabDnsError(f"{self._file} is no zone file ({error}): mend or remove it") from error

    def _settle(self) -> None:
        """Bring the file and everything derived up to the records."""
        self._names = {self.origin}
        for name in self._records:
            while name not in self._names:
                self._names.add(name)
                name = name.parent()  # noqa: PLW2901 - climbs to the apex
        texts = self._records.get_rdataset(self._fault_name, dns.rdatatype.TXT) or ()
        modes = [b"".join(text.strings).decode(errors="replace") for text in texts]
        self.fault = next((Fault(mode) for mode in modes if mode in list(Fault)), Fault.NONE)
        unfinished = self._file.with_suffix(".new")
        with unfinished.open("w", encoding="ascii") as file:
            self._records.to_file(file, relativize=False)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
