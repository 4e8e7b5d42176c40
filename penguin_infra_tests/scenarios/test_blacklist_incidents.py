"""What happened to others' fleets when a list went bad, replayed over real servers: here nobody is paused for it.

Each incident runs through the whole chain: server, resolver, sweep, states, pause policy, alerts, and back to health.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import NamedTuple

import pytest
from sqlalchemy import Engine, text

from penguin_infra.dnsbl.catalogue import RetiredZone, load_catalogue
from penguin_infra.dnsbl.sweep import SweepProgress
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Verdict
from penguin_infra.domain.listing_alerts import LIST_QUARANTINED, LIST_RESTING, LISTED, RESOLVER_BLOCKED
from penguin_infra.lab.dns_zones import Fault
from penguin_infra_tests.blacklist_resolvers import Distortion, UnboundServer
from penguin_infra_tests.blacklist_servers import Ailment, BlacklistServer
from penguin_infra_tests.dns_process import DnsProcess, running_dns
from penguin_infra_tests.fleets import address
from penguin_infra_tests.scenarios.blacklist_watch import AlertKey, Picture, Watch

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


def assert_nothing_happens_but(
    alert: AlertKey,
    watch: Watch,
    before: Picture,
    broken: AbstractContextManager[None],
    *,
    sweeps: int = 3,
    minutes: float = 5,
) -> str:
    """Over so many sweeps of it, and until it has healed, the fleet stays as it is; returns the alert's words."""
    with broken:
        for _ in range(sweeps):
            report = watch.sweep(minutes=minutes)
            assert (report.changes, report.frozen) == ([], [])
            assert watch.picture() == before
            assert watch.alerts().keys() == {alert}
        words = watch.alerts()[alert]
    assert_heals(alert, watch, before, minutes=minutes)
    return words


def assert_heals(alert: AlertKey, watch: Watch, before: Picture, *, minutes: float = 5) -> None:
    """The alert outlasts the first good look, and neither comes back nor was ever told twice."""
    # One good look may be a mirror that lags: the second lifts the quarantine.
    watch.sweep(minutes=minutes)
    assert watch.alerts().keys() == {alert}
    for _ in range(2):
        watch.sweep(minutes=minutes)
        assert watch.alerts() == {}
    assert watch.sweep(minutes=minutes).quarantined == {}
    assert watch.picture() == before
    assert_told_once(alert, watch)


def assert_told_once(alert: AlertKey, watch: Watch) -> None:
    for found in (watch.opened, watch.resolved):
        assert {key: count for key, count in found.items() if key[0] != LISTED} == {alert: 1}


def faults_in_history(engine: Engine, zone: str) -> list[str | None]:
    """What went wrong with a list, the oldest first; None where it was well again."""
    query = text("SELECT fault FROM fleet.blacklist_health_changes WHERE zone = :zone ORDER BY id")
    with engine.connect() as connection:
        return list(connection.scalars(query, {"zone": zone}))


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


@pytest.fixture(scope="module")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process


@pytest.mark.parametrize(
    ("mode", "fault", "rule"),
    [
        ("wildcard", ListFault.WILDCARDED, LIST_QUARANTINED),
        ("empty", ListFault.EMPTIED, LIST_QUARANTINED),
        ("timeout", ListFault.SILENT, LIST_QUARANTINED),
        # It answers that it was asked too much, and so is left alone for a while, too.
        ("error-code", ListFault.QUOTA, LIST_RESTING),
    ],
)
def test_a_list_that_is_broken_in_the_lab_pauses_nobody_is_told_once_and_heals(
    engine: Engine, lab_dns: DnsProcess, mode: str, fault: ListFault, rule: str
) -> None:
    watch = Watch(engine, [lab_dns.resolver], ZONES)
    lab_dns.list_ip(str(ADDRESSES[0]), ZEN)
    lab_dns.list_ip(str(ADDRESSES[1]), SPAMCOP)
    watch.sweep()
    before = watch.picture()
    assert (len(before.listings), len(before.pauses)) == (2, 1)
    broken = lab_dns.broken(SPAMCOP, Fault(mode))
    words = assert_nothing_happens_but((rule, SPAMCOP), watch, before, broken, sweeps=2, minutes=30)
    assert SPAMCOP in words
    assert faults_in_history(engine, SPAMCOP) == [fault, None]
