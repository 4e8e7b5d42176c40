"""What happened to others' fleets when a list went bad, replayed over real servers: here nobody is paused for it.

Each incident runs through the whole chain: server, resolver, sweep, states, pause policy, alerts, and back to health.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from ipaddress import IPv4Address
from typing import NamedTuple

import dns.message
import dns.query
import pytest
from sqlalchemy import Engine

from penguin_infra.dnsbl.catalogue import RetiredZone, load_catalogue
from penguin_infra.dnsbl.questions import reverse_name
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.sweep import SweepProgress
from penguin_infra.domain.listing import Verdict
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.domain.listing_alerts import LIST_QUARANTINED, LIST_RESTING, RESOLVER_BLOCKED
from penguin_infra_tests.blacklist_resolvers import Distortion, UnboundServer
from penguin_infra_tests.blacklist_servers import Ailment, BlacklistServer
from penguin_infra_tests.fleets import address
from penguin_infra_tests.operations.sweeps import LookingClock
from penguin_infra_tests.scenarios.blacklist_watch import Picture, Watch
from penguin_infra_tests.scenarios.unwell_lists import assert_nothing_happens_but, assert_told_once

ZEN = "zen.spamhaus.org"
BARRACUDA = "b.barracudacentral.org"
SPAMCOP = "bl.spamcop.net"
PSBL = "psbl.surriel.com"
ZONES = (ZEN, BARRACUDA, SPAMCOP, PSBL)

# Whoever asks from here is a public resolver to those lists that turn such away.
PUBLIC_SOURCE = "127.0.0.14"
ADDRESSES = [address(1), address(2)]
PARKED = "91.195.240.117"


class Network(NamedTuple):
    """The lists, and the resolver through which the fleet sees them."""

    lists: BlacklistServer
    resolver: UnboundServer


@pytest.fixture(scope="module")
def running_network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    BlacklistServer.require()
    UnboundServer.require()
    directory = tmp_path_factory.mktemp("incidents")
    with (
        BlacklistServer(directory / "rbldnsd", load_catalogue().select(ZONES)) as lists,
        UnboundServer(directory / "unbound", lists, ZONES, source=PUBLIC_SOURCE) as resolver,
    ):
        yield Network(lists, resolver)


@pytest.fixture
def network(running_network: Network) -> Iterator[Network]:
    yield running_network
    running_network.lists.forget_listings()


@pytest.fixture
def watch(engine: Engine, network: Network) -> Watch:
    return Watch(engine, [network.resolver.resolver], ZONES)


@pytest.fixture
def before(watch: Watch, network: Network) -> Picture:
    return list_two_nodes(watch, network)


def list_two_nodes(watch: Watch, network: Network) -> Picture:
    """One node that Spamhaus lists and that is out for it, and one that SpamCop and PSBL list, which is little."""
    network.lists.list_networks(ZEN, [ADDRESSES[0]])
    network.lists.list_networks(SPAMCOP, [ADDRESSES[1]])
    network.lists.list_networks(PSBL, [ADDRESSES[1]])
    watch.sweep()
    picture = watch.picture()
    listed = {(str(ADDRESSES[0]), ZEN), (str(ADDRESSES[1]), SPAMCOP), (str(ADDRESSES[1]), PSBL)}
    assert picture == Picture(frozenset(watch.nodes[1:]), frozenset(watch.nodes[:1]), frozenset(listed))
    return picture


def test_a_weekend_on_which_spamcop_lists_the_whole_world_pauses_nobody(
    watch: Watch, before: Picture, network: Network
) -> None:
    broken = network.lists.broken(SPAMCOP, Ailment.WILDCARDED)
    words = assert_nothing_happens_but((LIST_QUARANTINED, SPAMCOP), watch, before, broken)
    assert "(wildcarded)" in words


def test_spamcop_that_begins_to_list_the_whole_world_in_the_middle_of_a_sweep_pauses_nobody(
    engine: Engine, network: Network
) -> None:
    # Large enough that not all of its questions are under way at once.
    watch = Watch(engine, [network.resolver.resolver], ZONES, size=150)
    before = list_two_nodes(watch, network)
    has_lapsed = False

    def lapse(progress: SweepProgress) -> None:
        nonlocal has_lapsed
        if not has_lapsed and progress.done < progress.total / 2:
            has_lapsed = True
            network.lists.break_list(SPAMCOP, Ailment.WILDCARDED)

    report = watch.sweep(meanwhile=lapse)
    assert report.verdicts[Verdict.LISTED] > 10 * len(before.listings), "it lapsed too late to be seen"
    assert (report.changes, report.frozen) == ([], [])
    assert watch.picture() == before
    mended = mended_after(network.lists, SPAMCOP)
    words = assert_nothing_happens_but((LIST_QUARANTINED, SPAMCOP), watch, before, mended)
    assert "(wildcarded)" in words


@contextmanager
def mended_after(lists: BlacklistServer, zone: str) -> Iterator[None]:
    """A list that is broken already works again after the block."""
    try:
        yield
    finally:
        lists.mend_list(zone)


def test_a_list_that_was_emptied_clears_nobody_and_is_told_as_emptied(
    watch: Watch, before: Picture, network: Network
) -> None:
    broken = network.lists.broken(PSBL, Ailment.EMPTIED)
    # Over three hours: longer than clean answers need to end a listing.
    words = assert_nothing_happens_but((LIST_QUARANTINED, PSBL), watch, before, broken, sweeps=5, minutes=45)
    assert "(emptied)" in words


@pytest.mark.parametrize("zone", ["dnsbl.sorbs.net", "spam.dnsbl.sorbs.net", "SORBS"])
def test_sorbs_itself_is_refused_by_name(engine: Engine, network: Network, zone: str) -> None:
    watch = Watch(engine, [network.resolver.resolver], [PSBL, zone])
    with pytest.raises(RetiredZone, match="5 June 2024"):
        watch.sweep()


def test_a_domain_that_was_parked_and_leads_every_name_to_its_seller_pauses_nobody(
    watch: Watch, before: Picture, network: Network
) -> None:
    broken = network.resolver.distorted(SPAMCOP, Distortion.REWRITTEN, PARKED)
    words = assert_nothing_happens_but((LIST_QUARANTINED, SPAMCOP), watch, before, broken)
    assert "(rewritten)" in words
    assert PARKED in words


@contextmanager
def turned_away(lists: BlacklistServer, *zones: str) -> Iterator[None]:
    """These lists answer 127.255.255.254 to the fleet's resolver."""
    with ExitStack() as stack:
        for zone in zones:
            stack.enter_context(lists.broken(zone, Ailment.PUBLIC_RESOLVER, clients=f"{PUBLIC_SOURCE}/32"))
        yield


def test_lists_that_turn_the_resolver_away_are_one_alert_about_the_resolver(
    watch: Watch, before: Picture, network: Network
) -> None:
    resolver = str(network.resolver.resolver)
    words = assert_nothing_happens_but(
        (RESOLVER_BLOCKED, resolver), watch, before, turned_away(network.lists, ZEN, BARRACUDA)
    )
    assert ZEN in words
    assert "PENGUIN_RESOLVERS" in words


def test_a_list_whose_quota_is_used_up_for_a_day_is_left_alone_and_told_once(
    watch: Watch, before: Picture, network: Network
) -> None:
    alert = (LIST_RESTING, PSBL)
    asked = []
    with network.lists.broken(PSBL, Ailment.QUOTA):
        for _ in range(24):
            report = watch.sweep(minutes=60)
            asked.append(report.asked[PSBL])
            assert report.changes == []
            assert watch.picture() == before
            assert watch.alerts().keys() == {alert}
    # Each rest is twice as long as the one before, and what is asked in between are test points.
    assert sum(count > 0 for count in asked) < 10
    assert max(asked) < len(before.rotation)
    for _ in range(24):
        watch.sweep(minutes=60)
    assert watch.alerts() == {}
    assert watch.picture() == before
    assert_told_once(alert, watch)


class PatientClock(LookingClock):
    """What it sleeps passes outside, too."""

    def sleep(self, seconds: float) -> None:
        super().sleep(seconds)
        time.sleep(seconds)


def test_a_listing_that_only_the_resolver_still_remembers_is_not_confirmed(
    engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    BlacklistServer.require()
    UnboundServer.require()
    directory = tmp_path_factory.mktemp("cache")
    with (
        BlacklistServer(directory / "rbldnsd", load_catalogue().select([ZEN]), ttl_seconds=2) as lists,
        UnboundServer(directory / "unbound", lists, [ZEN], is_caching=True) as resolver,
    ):
        remembered = []

        def delist() -> None:
            lists.delist(ZEN, [ADDRESSES[0]])
            remembered.append(fetch_address(resolver.resolver, ADDRESSES[0]))

        watch = Watch(engine, [resolver.resolver], [ZEN], clock=PatientClock(while_asleep=delist))
        lists.list_networks(ZEN, [ADDRESSES[0]])
        report = watch.sweep()
    assert remembered == ["127.0.0.2"]
    assert [one.change for one in report.changes] == [ListingChange.SUSPECTED, ListingChange.CLEARED_SUSPICION]
    assert watch.picture() == Picture(frozenset(watch.nodes), frozenset(), frozenset())


def fetch_address(resolver: Resolver, ip: IPv4Address) -> str:
    """What the resolver answers for an address on Spamhaus' list just now."""
    query = dns.message.make_query(reverse_name(ip, ZEN), "A")
    (answer,) = dns.query.udp(query, resolver.address, port=resolver.port, timeout=5).answer
    return str(answer[0])
