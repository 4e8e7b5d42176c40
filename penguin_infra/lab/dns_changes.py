"""Changing and reading the lab's blacklist zones from outside, in plain DNS: dynamic updates and zone transfers.

The other end of `dns_server.py`, for the command line and for scenarios; it knows nothing of the server's files.
"""

from collections import defaultdict
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import dns.zone
from dns.rdtypes.ANY.TXT import TXT
from dns.rdtypes.IN.A import A

from penguin_infra.lab.dns_zone import LabDnsError
from penguin_infra.lab.dns_zones import TEST_POINTS, Fault, fault_name, listing_name, text_record

HOST = "127.0.0.1"

# The server answers within milliseconds, or it is not there.
TIMEOUT_SECONDS = 5


@dataclass(frozen=True, slots=True)
class LabListing:
    """One address in one zone, with its codes and the list's words."""

    address: IPv4Address | IPv6Address
    zone: str
    codes: tuple[str, ...]
    reason: str


def add_listing(port: int, zone: str, address: str, code: str, reason: str) -> None:
    """List an address in a zone; codes add up, the reason is replaced. Errors: `LabDnsError`."""
    name = listing_name(address, zone)
    update = dns.update.UpdateMessage(zone)
    update.add(name, 0, dns.rdatatype.A, code)
    update.replace(name, 0, text_record(reason))
    _send(update, port)


def remove_listing(port: int, zone: str, address: str) -> None:
    """Take an address off a zone, with all its codes; one that is not there counts as done."""
    update = dns.update.UpdateMessage(zone)
    update.delete(listing_name(address, zone))
    _send(update, port)


def set_fault(port: int, zone: str, fault: Fault) -> None:
    """Make a zone fail in one way, or work again with `Fault.NONE`."""
    update = dns.update.UpdateMessage(zone)
    if fault is Fault.NONE:
        update.delete(fault_name(zone))
    else:
        update.replace(fault_name(zone), 0, text_record(fault))
    _send(update, port)


def read_zone(port: int, zone: str) -> tuple[list[LabListing], Fault]:
    """What a zone lists, test points aside, and how it is made to fail."""
    records = dns.zone.Zone(zone, relativize=False)
    try:
        dns.query.inbound_xfr(HOST, records, port=port, timeout=TIMEOUT_SECONDS, lifetime=TIMEOUT_SECONDS)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        raise LabDnsError(_unreachable(port, zone, error)) from error
    codes: dict[dns.name.Name, list[str]] = defaultdict(list)
    texts: dict[dns.name.Name, str] = {}
    for name, _, record in records.iterate_rdatas():
        if isinstance(record, A):
            codes[name].append(record.address)
        if isinstance(record, TXT):
            texts[name] = b"".join(record.strings).decode(errors="replace")
    test_points = {listing_name(point, zone) for point in TEST_POINTS}
    listings = [
        LabListing(_address_of(name, zone), zone, tuple(sorted(found)), texts.get(name, ""))
        for name, found in codes.items()
        if name not in test_points
    ]
    return listings, Fault(texts.get(fault_name(zone), Fault.NONE))


def _address_of(name: dns.name.Name, zone: str) -> IPv4Address | IPv6Address:
    labels = name.relativize(dns.name.from_text(zone)).to_text().split(".")[::-1]
    if len(labels) == 4:
        return IPv4Address(".".join(labels))
    return ip_address(int("".join(labels), 16).to_bytes(16))


def _send(update: dns.update.UpdateMessage, port: int) -> None:
    zone = update.zone[0].name.to_text(omit_final_dot=True)
    try:
        response = dns.query.tcp(update, HOST, timeout=TIMEOUT_SECONDS, port=port)
    except (dns.exception.DNSException, OSError, EOFError) as error:
        raise LabDnsError(_unreachable(port, zone, error)) from error
    if response.rcode() != dns.rcode.NOERROR:
        raise LabDnsError(f"the lab's DNS refused to change {zone}: {dns.rcode.to_text(response.rcode())}")


def _unreachable(port: int, zone: str, error: Exception) -> str:
    return f"no answer about {zone} from the lab's DNS on {HOST}:{port} ({error}): start it with `penguin-infra up`"
