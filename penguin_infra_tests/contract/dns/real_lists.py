"""A sweep of a test's fleet over the catalogue's lists, and what it found in a form to compare."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.sweep import SweepProgress, SweepResult, sweep
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Verdict
from penguin_infra_tests.blacklist_servers import BlacklistServer

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"
PSBL = "psbl.surriel.com"
LISTS = {one.zone: one for one in load_catalogue().select()}
FLEET = [IPv4Address("10.60.0.0") + number for number in range(320)]

Address = IPv4Address | IPv6Address
Seen = Mapping[tuple[Address, str], Verdict]


class Clock:
    """A millisecond passes at every look."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 24, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


def look(
    addresses: Sequence[Address],
    zones: Sequence[str],
    *resolvers: Resolver,
    on_progress: Callable[[SweepProgress], None] | None = None,
) -> SweepResult:
    askings = [Asking(LISTS[zone], addresses) for zone in zones]
    return sweep(askings, resolvers, clock=Clock(), on_progress=on_progress)


def verdicts(result: SweepResult) -> Seen:
    """What each address counts for on each list at the last look."""
    return {(one.address, one.zone): one.verdict for one in result.observations}


def faults(result: SweepResult) -> dict[str, ListFault]:
    return {one.zone: one.fault.kind for one in result.quarantined if one.fault}


def list_every_tenth(server: BlacklistServer, addresses: Sequence[Address], zones: Sequence[str]) -> Seen:
    """A fleet of which each list lists other addresses; returns what a sweep has to find."""
    expected = {(address, zone): Verdict.CLEAN for zone in zones for address in addresses}
    for offset, zone in enumerate(zones):
        listed = addresses[offset::10]
        server.list_networks(zone, listed)
        expected |= {(address, zone): Verdict.LISTED for address in listed}
    return expected
