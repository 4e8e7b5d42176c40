"""What sweeps may ask of real lists on loopback: terms, rests after quota errors, quarantines, and whose turn it is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.sweep import Progress, SweepProgress, SweepResult
from penguin_infra.domain.list_budget import BudgetLimits
from penguin_infra.domain.list_health import HealthKey, ListFault, ListHealth
from penguin_infra.domain.listing import Verdict
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.domain.policies.pause_listed import plan_pauses
from penguin_infra.lab.dns_zones import Fault
from penguin_infra.operations.provision_parts import Screening
from penguin_infra.operations.screen_lists import screen_lists
from penguin_infra.operations.sweep_blacklists import sweep_blacklists
from penguin_infra.store import list_health, list_paces, listing_states, listings
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import add_node, address
from penguin_infra_tests.operations.sweeps import SPAMCOP, ZEN, Sweeps

MAILSPIKE = "bl.mailspike.net"
MINUTE = timedelta(minutes=1)

# Addresses that no other test lists.
FIRST = 200


@pytest.fixture
def sweeps(engine: Engine, lab_dns: DnsProcess) -> Sweeps:
    return Sweeps(engine, lab_dns, zones=[ZEN])


def add_fleet(engine: Engine, count: int) -> None:
    for number in range(FIRST, FIRST + count):
        add_node(engine, number)


def spent(engine: Engine, sweeps: Sweeps, zone: str = ZEN) -> int:
    with engine.connect() as connection:
        return list_paces.spent_questions(connection, [zone], sweeps.clock.at)[zone].in_24_hours


def test_every_question_that_was_sent_is_counted_and_no_other(engine: Engine, sweeps: Sweeps) -> None:
    add_fleet(engine, 5)
    report = sweeps.sweep()
    # Three test points and an address each.
    assert report.asked == {ZEN: 8}
    assert spent(engine, sweeps) == 8


def test_the_reasons_that_are_fetched_for_people_are_counted_too(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    add_node(engine, 281)
    lab_dns.list_ip(str(address(281)), ZEN, reason="SBL123")
    report = sweeps.sweep()
    assert report.count(ListingChange.CONFIRMED) == 1
    # Two passes that look at the test points before and after their one address, and the reason.
    assert report.asked[ZEN] == spent(engine, sweeps) == 2 * (3 + 1 + 3) + 1


def test_an_address_that_was_just_asked_is_not_due_again(engine: Engine, sweeps: Sweeps) -> None:
    add_fleet(engine, 3)
    sweeps.sweep_seconds = 300
    assert sweeps.sweep().addresses_asked == {ZEN: 3}
    sweeps.clock.at += MINUTE
    assert sweeps.sweep().asked == {}
    sweeps.clock.at += 4 * MINUTE
    assert sweeps.sweep().addresses_asked == {ZEN: 3}


def test_a_quota_error_makes_a_list_rest_longer_each_time_until_it_answers(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    add_fleet(engine, 2)
    asked = []
    with lab_dns.broken(ZEN, Fault.ERROR_CODE):
        for _ in range(8):
            report = sweeps.sweep()
            asked.append(bool(report.asked))
            assert report.changes == []
            sweeps.clock.at += 5 * MINUTE
    # Rests of 5, 10 and 20 minutes.
    assert asked == [True, True, False, True, False, False, False, True]
    sweeps.clock.at += 60 * MINUTE
    while not sweeps.sweep().verdicts[Verdict.CLEAN]:
        sweeps.clock.at += 60 * MINUTE
    sweeps.clock.at += MINUTE
    # The second look at a list that was quarantined lifts that; its answers count then, and end the rests.
    report = sweeps.sweep()
    assert report.quarantined == {}
    with engine.connect() as connection:
        assert list_paces.load_paces(connection)[ZEN].pace.rest_count == 0


def test_a_quarantine_is_lifted_by_the_second_good_look_a_sweep_apart_and_every_turn_is_kept(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    add_fleet(engine, 2)
    sweeps.sweep()
    asked_at = turns(engine)
    quarantined = []
    with lab_dns.broken(ZEN, Fault.SERVFAIL):
        sweeps.clock.at += 5 * MINUTE
        quarantined.append(bool(sweeps.sweep().quarantined))
    for _ in range(2):
        assert turns(engine) == asked_at
        sweeps.clock.at += 5 * MINUTE
        quarantined.append(bool(sweeps.sweep().quarantined))
    assert quarantined == [True, True, False]
    assert min(turns(engine)) > max(asked_at)
    with engine.connect() as connection:
        kinds = [(row.is_healthy, row.fault) for row in list_health.health_changes(connection)]
    assert kinds == [(True, None), (False, ListFault.SERVER_ERROR)]


def turns(engine: Engine) -> list[datetime]:
    with engine.connect() as connection:
        return list(connection.execute(text("SELECT asked_at FROM fleet.blacklist_states ORDER BY 1")).scalars())


def test_what_changed_a_state_is_kept_with_its_raw_answer(engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps) -> None:
    add_node(engine, 282)
    lab_dns.list_ip(str(address(282)), ZEN, reason="SBL123: snowshoe")
    sweeps.sweep()
    with engine.connect() as connection:
        newest, oldest = listing_states.newest_observations(connection)
    assert (oldest.change, oldest.answer, oldest.ttl_seconds, oldest.reason) == ("suspected", "127.0.0.2", 1, None)
    assert (newest.change, newest.answer, newest.reason) == ("confirmed", "127.0.0.2", "SBL123: snowshoe")
    assert newest.observed_at > oldest.observed_at
    assert newest.resolver == str(lab_dns.resolver)


def test_medium_listings_of_two_operators_ask_for_a_pause_with_their_pages_for_delisting(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    node_id = add_node(engine, 283)
    sweeps.zones = [SPAMCOP, MAILSPIKE]
    lab_dns.list_ip(str(address(283)), SPAMCOP, "127.0.0.2")
    sweeps.sweep()
    assert planned_pauses(engine) == []
    lab_dns.list_ip(str(address(283)), MAILSPIKE, "127.0.0.2")
    sweeps.clock.at += 5 * MINUTE
    sweeps.sweep()
    assert planned_pauses(engine) == [node_id]
    with engine.connect() as connection:
        found = {(row.operator, row.delist_url, row.family) for row in listings.open_events(connection)}
    assert found == {
        ("Cisco", "https://www.spamcop.net/bl.shtml", "spamcop"),
        ("Mailspike", "https://mailspike.org/", "mailspike"),
    }


def planned_pauses(engine: Engine) -> list[UUID]:
    with engine.connect() as connection:
        return [pause.node_id for pause in plan_pauses(listings.listed_nodes(connection))]


def test_a_long_sweep_tells_how_far_it_is_at_most_every_ten_seconds(engine: Engine, sweeps: Sweeps) -> None:
    add_fleet(engine, 3)
    said: list[str] = []
    work = sweeps.work(say=said.append)

    def ask_slowly(askings: Sequence[Asking], health: Mapping[HealthKey, ListHealth], tell: Progress) -> SweepResult:
        for seconds in (2, 9, 10, 12, 19, 21):
            tell(SweepProgress(seconds * 1_000, 42_000, seconds))
        return work.ask(askings, health, tell)

    sweep_blacklists(replace(work, ask=ask_slowly))
    assert said == [
        "10,000 of 42,000 looks, 1,000 a second, 32 s left",
        "21,000 of 42,000 looks, 1,000 a second, 21 s left",
    ]


def test_a_screening_is_counted_and_asks_nobody_who_rests_or_has_nothing_left(engine: Engine, sweeps: Sweeps) -> None:
    sweeps.zones = [ZEN, SPAMCOP]
    work = sweeps.work()
    assert screen_lists(work, address(FIRST)) == Screening((), ())
    assert spent(engine, sweeps) == spent(engine, sweeps, SPAMCOP) == 4
    with engine.begin() as connection:
        list_paces.add_questions(connection, {ZEN: 300_000}, sweeps.clock.at)
        list_paces.add_questions(connection, {SPAMCOP: 99_990}, sweeps.clock.at)
    assert screen_lists(work, address(FIRST)) == Screening((), ())
    assert (spent(engine, sweeps), spent(engine, sweeps, SPAMCOP)) == (300_004, 99_994)


def test_the_operators_own_number_holds(engine: Engine, sweeps: Sweeps) -> None:
    add_fleet(engine, 40)
    sweeps.budgets = BudgetLimits(own={ZEN: 200})
    sweeps.sweep_seconds = 300
    for _ in range(60):
        sweeps.sweep()
        sweeps.clock.at += 5 * MINUTE
    assert 0 < spent(engine, sweeps) <= 200
