"""The sweep against servers that others wrote: rbldnsd's lists, and unbound as the resolver in front of them.

Every way in which a list or the resolver fails must be known by its kind, and must never make an address look clean
or listed. Bad roads to a list are `test_bad_roads_to_lists.py`'s.
"""

from collections import Counter
from ipaddress import IPv6Address, IPv6Network

import pytest

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import parse_catalogue
from penguin_infra.dnsbl.questions import fetch_reason
from penguin_infra.dnsbl.sweep import SweepProgress, SweepResult, sweep
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Verdict
from penguin_infra_tests.blacklist_resolvers import Distortion, UnboundServer
from penguin_infra_tests.blacklist_servers import Ailment, BlacklistServer
from penguin_infra_tests.contract.dns.real_lists import (
    FLEET,
    LISTS,
    PSBL,
    SPAMCOP,
    ZEN,
    Clock,
    faults,
    list_every_tenth,
    look,
    verdicts,
)

PARKED = "91.195.240.117"

LIST_OF_NETWORKS = """
[[lists]]
zone = "networks.test"
name = "List of networks"
operator = "test"
ipv6 = true
ipv6_prefix = 64
codes = [{ code = "127.0.0.2", meaning = "listed", severity = "low" }]
evidence = "test"
checked_on = 2026-11-24
"""


@pytest.mark.parametrize("way", ["the list itself", "a resolver"])
def test_hundreds_of_addresses_are_judged_right_on_every_list(
    server: BlacklistServer, unbound: UnboundServer, way: str
) -> None:
    expected = list_every_tenth(server, FLEET, list(LISTS))
    before = Counter(server.questions())
    result = look(FLEET, list(LISTS), server.resolver if way == "the list itself" else unbound.resolver)
    assert verdicts(result) == expected
    assert result.quarantined == ()
    hits = [one for one in result.observations if one.verdict is Verdict.LISTED]
    assert all(one.observation.codes == (LISTS[one.zone].worst_code,) for one in hits)
    if way == "the list itself":
        received = Counter(server.questions()) - before
        # A busy machine may lose a datagram or two: they are asked again, and counted.
        assert all(result.asked[zone] >= received[zone] >= len(FLEET) for zone in LISTS)
        assert sum(result.asked.values()) <= received.total() + len(FLEET) // 20


def test_ipv6_addresses_are_judged_right_on_every_list_that_holds_them(
    server: BlacklistServer, unbound: UnboundServer
) -> None:
    zones = [zone for zone, one in LISTS.items() if one.ipv6]
    # Each in a network of its own: some lists hold nothing smaller.
    networks = list(IPv6Network("2001:db8:60::/56").subnets(new_prefix=64))
    addresses = [network[7] for network in networks]
    expected = {(address, zone): Verdict.CLEAN for zone in zones for address in addresses}
    for offset, zone in enumerate(zones):
        server.list_networks(zone, networks[offset::10])
        expected |= {(address, zone): Verdict.LISTED for address in addresses[offset::10]}
    result = look(addresses, list(LISTS), unbound.resolver)
    assert verdicts(result) == expected


def test_a_list_of_networks_is_asked_once_for_all_addresses_of_one(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    BlacklistServer.require()
    by_networks = parse_catalogue(LIST_OF_NETWORKS).select()
    zone = by_networks[0].zone
    listed = [IPv6Address("2001:db8:62::") + number for number in range(50)]
    clean = [IPv6Address("2001:db8:63::") + number for number in range(50)]
    with BlacklistServer(tmp_path_factory.mktemp("networks") / "rbldnsd", by_networks) as networks:
        networks.list_networks(zone, ["2001:db8:62::/64"])
        result = sweep([Asking(by_networks[0], [*listed, *clean])], [networks.resolver], clock=Clock())
        # Two networks, and the test points before and, for the hit, after.
        assert networks.questions()[zone] == result.asked[zone] < 12
    assert verdicts(result) == {
        **{(address, zone): Verdict.LISTED for address in listed},
        **{(address, zone): Verdict.CLEAN for address in clean},
    }


def test_the_words_of_a_list_are_read(server: BlacklistServer, unbound: UnboundServer) -> None:
    address = FLEET[7]
    server.list_networks(ZEN, [address], reason="SBL123: snowshoe at $")
    assert fetch_reason(address, LISTS[ZEN], unbound.resolver) == f"SBL123: snowshoe at {address}"
    assert fetch_reason(FLEET[8], LISTS[ZEN], unbound.resolver) is None


def assert_only_spamcop_fails(result: SweepResult, fault: ListFault) -> None:
    """SpamCop is quarantined for this and says nothing of anybody; PSBL, on the same way, is right."""
    assert faults(result) == {SPAMCOP: fault}
    assert verdicts(result) == {
        **{(address, SPAMCOP): Verdict.ERROR for address in FLEET[:4]},
        **{(address, PSBL): Verdict.CLEAN for address in FLEET[:4]},
        (FLEET[0], PSBL): Verdict.LISTED,
    }


@pytest.mark.parametrize(
    ("ailment", "fault"),
    [
        (Ailment.SILENT, ListFault.SILENT),
        (Ailment.REFUSED, ListFault.REFUSED),
        (Ailment.EMPTIED, ListFault.EMPTIED),
        (Ailment.WILDCARDED, ListFault.WILDCARDED),
        (Ailment.PUBLIC_RESOLVER, ListFault.PUBLIC_RESOLVER),
        (Ailment.QUOTA, ListFault.QUOTA),
    ],
)
def test_a_list_that_fails_at_its_server_says_nothing_of_anybody(
    server: BlacklistServer, ailment: Ailment, fault: ListFault
) -> None:
    server.list_networks(SPAMCOP, [FLEET[0]])
    server.list_networks(PSBL, [FLEET[0]])
    with server.broken(SPAMCOP, ailment):
        result = look(FLEET[:4], [SPAMCOP, PSBL], server.resolver)
    assert_only_spamcop_fails(result, fault)
    assert result.quota_hit == ({SPAMCOP} if ailment is Ailment.QUOTA else set())


@pytest.mark.parametrize(
    ("distortion", "fault"),
    [
        (Distortion.SILENT, ListFault.SILENT),
        (Distortion.REFUSED, ListFault.REFUSED),
        (Distortion.DENIED, ListFault.EMPTIED),
        (Distortion.NO_DATA, ListFault.REWRITTEN),
        (Distortion.REWRITTEN, ListFault.REWRITTEN),
    ],
)
def test_a_list_that_the_resolver_answers_for_says_nothing_of_anybody(
    server: BlacklistServer, unbound: UnboundServer, distortion: Distortion, fault: ListFault
) -> None:
    server.list_networks(SPAMCOP, [FLEET[0]])
    server.list_networks(PSBL, [FLEET[0]])
    address = PARKED if distortion is Distortion.REWRITTEN else None
    with unbound.distorted(SPAMCOP, distortion, address):
        result = look(FLEET[:4], [SPAMCOP, PSBL], unbound.resolver)
    assert_only_spamcop_fails(result, fault)
    if address:
        assert all(address in str(one.observation.reason) for one in result.observations if one.zone == SPAMCOP)


def test_a_list_that_the_resolver_finds_no_way_to_says_nothing_of_anybody(
    server: BlacklistServer, unbound: UnboundServer
) -> None:
    server.list_networks(PSBL, [FLEET[0]])
    with unbound.cut_off(SPAMCOP):
        result = look(FLEET[:4], [SPAMCOP, PSBL], unbound.resolver)
    assert_only_spamcop_fails(result, ListFault.SERVER_ERROR)


def test_answers_that_fit_into_no_datagram_are_read_over_tcp(server: BlacklistServer, unbound: UnboundServer) -> None:
    expected = list_every_tenth(server, FLEET[:60], [ZEN, SPAMCOP])
    with unbound.truncating():
        result = look(FLEET[:60], [ZEN, SPAMCOP], unbound.resolver)
    assert verdicts(result) == expected
    # Each question twice: the datagram, and the stream.
    assert all(result.asked[zone] >= 2 * 60 for zone in (ZEN, SPAMCOP))


@pytest.mark.parametrize("ailment", [Ailment.WILDCARDED, Ailment.EMPTIED, Ailment.PUBLIC_RESOLVER])
def test_a_list_that_dies_in_the_middle_of_a_sweep_lists_nobody(server: BlacklistServer, ailment: Ailment) -> None:
    server.list_networks(SPAMCOP, FLEET[:3])
    is_alive = True

    def die_half_way(progress: SweepProgress) -> None:
        nonlocal is_alive
        if is_alive and progress.done >= progress.total // 2:
            is_alive = False
            server.break_list(SPAMCOP, ailment)

    result = look(FLEET, [SPAMCOP, PSBL], server.resolver, on_progress=die_half_way)
    assert not is_alive
    seen = verdicts(result)
    assert {verdict for (_, zone), verdict in seen.items() if zone == SPAMCOP} == {Verdict.ERROR}
    assert {verdict for (_, zone), verdict in seen.items() if zone == PSBL} == {Verdict.CLEAN}


def test_a_resolver_that_a_list_turns_away_does_not_spoil_what_another_sees(
    server: BlacklistServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    expected = list_every_tenth(server, FLEET[:50], [ZEN])
    turned_away = UnboundServer(tmp_path_factory.mktemp("public") / "unbound", server, [ZEN], source="127.0.0.14")
    with turned_away, server.broken(ZEN, Ailment.PUBLIC_RESOLVER, clients="127.0.0.14/32"):
        result = look(FLEET[:50], [ZEN], turned_away.resolver, server.resolver)
    assert verdicts(result) == expected
    (fault,) = result.quarantined
    assert fault.resolver == str(turned_away.resolver)
    assert faults(result) == {ZEN: ListFault.PUBLIC_RESOLVER}


def test_a_server_that_dies_in_the_middle_of_a_sweep_and_comes_back_made_nobody_clean(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    BlacklistServer.require()
    listed = FLEET[::2]
    with BlacklistServer(tmp_path_factory.mktemp("dying") / "rbldnsd", [LISTS[SPAMCOP]]) as dying:
        dying.list_networks(SPAMCOP, listed)
        is_alive = True

        def die(progress: SweepProgress) -> None:
            nonlocal is_alive
            if is_alive and progress.done < progress.total:
                is_alive = False
                dying.kill()

        seen = verdicts(look(FLEET, [SPAMCOP], dying.resolver, on_progress=die))
        assert not is_alive
        assert len(seen) == len(FLEET)
        assert Verdict.CLEAN not in {seen[address, SPAMCOP] for address in listed}
        assert Verdict.LISTED not in {seen[address, SPAMCOP] for address in set(FLEET) - set(listed)}
        assert list(seen.values()).count(Verdict.ERROR) > len(FLEET) // 4
        dying.start()
        again = verdicts(look(FLEET, [SPAMCOP], dying.resolver))
    assert again == {(one, SPAMCOP): Verdict.LISTED if one in listed else Verdict.CLEAN for one in FLEET}
