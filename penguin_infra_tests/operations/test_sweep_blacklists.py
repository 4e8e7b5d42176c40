"""A sweep of the fleet's addresses over real blacklists on loopback: what is recorded, who is believed, who is held."""

from dataclasses import replace
from datetime import timedelta
from ipaddress import IPv4Address

import pytest
from sqlalchemy import Engine

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.sweep import SweepProgress
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.domain.listing_limits import ListingLimits
from penguin_infra.domain.policies.pause_listed import plan_pauses
from penguin_infra.lab.dns_zones import Fault
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.operations.sweep_blacklists import sweep_blacklists
from penguin_infra.store import list_health, listing_states, listings
from penguin_infra.store.database import Busy, sweep_lock
from penguin_infra.store.tables import AnyRow
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import NOW, add_node, address, rotation
from penguin_infra_tests.operations.sweeps import SPAMCOP, ZEN, Sweeps

HOUR = timedelta(hours=1)


@pytest.fixture
def sweeps(engine: Engine, lab_dns: DnsProcess) -> Sweeps:
    return Sweeps(engine, lab_dns)


def events(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        return [(str(row.ip_address), row.zone) for row in listings.open_events(connection)]


def event(engine: Engine) -> AnyRow:
    with engine.connect() as connection:
        (row,) = listings.open_events(connection)
    return row


def changes(report: SweepReport) -> list[ListingChange]:
    return [each.change for each in report.changes]


def test_a_clean_fleet_is_swept_without_a_change(engine: Engine, sweeps: Sweeps) -> None:
    node_id = add_node(engine, 1)
    report = sweeps.sweep()
    assert (report.address_count, report.list_count, report.verdicts) == (1, 2, {"clean": 2})
    assert (report.changes, report.quarantined, report.frozen) == ([], {}, [])
    assert rotation(engine) == {node_id}
    with engine.connect() as connection:
        assert {row.is_healthy for row in list_health.list_health(connection)} == {True}


def test_a_fleet_without_addresses_is_swept_in_peace(sweeps: Sweeps) -> None:
    assert sweeps.sweep().question_count == 0


def test_a_listing_is_confirmed_within_one_sweep_and_its_reason_kept(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    node_id, other = add_node(engine, 2), add_node(engine, 3)
    lab_dns.list_ip(str(address(2)), ZEN, reason="SBL123: snowshoe")
    report = sweeps.sweep()
    assert changes(report) == [ListingChange.SUSPECTED, ListingChange.CONFIRMED]
    assert rotation(engine) == {other}
    row = event(engine)
    assert (row.node_id, str(row.ip_address), row.zone, row.codes) == (node_id, "127.77.0.2", ZEN, ["127.0.0.2"])
    assert (row.severity, row.reason) == ("critical", "SBL123: snowshoe")
    assert row.suspected_at >= NOW
    assert row.listed_at > row.suspected_at + timedelta(seconds=1)
    assert f"answered 127.0.0.2 (TTL 1 s) through {lab_dns.resolver}" in row.details


def test_reasons_that_do_not_come_hold_up_no_record(engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps) -> None:
    for number in range(60, 63):
        add_node(engine, number)
        lab_dns.list_ip(str(address(number)), ZEN)
    asked: list[IPv4Address] = []

    def wait_in_vain(ip_address: IPv4Address, _: Blacklist) -> None:
        asked.append(ip_address)
        sweeps.clock.at += timedelta(seconds=4)

    sweep_blacklists(replace(sweeps.work(), fetch_reason=wait_in_vain))
    assert len(asked) == 2
    assert events(engine) == [(str(address(number)), ZEN) for number in range(60, 63)]


def test_a_node_is_out_of_the_rotation_with_the_commit_that_records_its_listing(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    node_id = add_node(engine, 4)
    lab_dns.list_ip(str(address(4)), ZEN)
    seen = []

    def say(words: str) -> None:
        if words.endswith("confirmed"):
            # Said inside the transaction: to everybody else, nothing has happened yet.
            seen.append((events(engine), rotation(engine)))

    sweeps.sweep(say=say)
    assert seen == [([], {node_id})]
    assert (events(engine), rotation(engine)) == ([("127.77.0.4", ZEN)], set())


def test_a_listing_that_is_gone_at_the_second_look_holds_nobody(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    node_id = add_node(engine, 5)
    lab_dns.list_ip(str(address(5)), ZEN)
    report = sweeps.sweep(between_looks=lambda: lab_dns.delist_ip(str(address(5)), ZEN))
    assert changes(report) == [ListingChange.SUSPECTED, ListingChange.CLEARED_SUSPICION]
    assert events(engine) == []
    assert rotation(engine) == {node_id}


@pytest.mark.parametrize("fault", [Fault.SERVFAIL, Fault.TIMEOUT, Fault.WILDCARD, Fault.OPEN_RESOLVER])
def test_a_list_that_fails_neither_lists_nor_clears_anybody(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps, fault: Fault
) -> None:
    first = 10 + 2 * list(Fault).index(fault)
    add_node(engine, first)
    clean = add_node(engine, first + 1)
    lab_dns.list_ip(str(address(first)), SPAMCOP)
    sweeps.zones = [SPAMCOP]
    sweeps.sweep()
    before = events(engine)
    assert before == [(str(address(first)), SPAMCOP)]

    lab_dns.delist_ip(str(address(first)), SPAMCOP)
    lab_dns.list_ip(str(address(first + 1)), SPAMCOP)
    with lab_dns.broken(SPAMCOP, fault):
        sweeps.clock.at += HOUR
        report = sweeps.sweep()
    assert (changes(report), list(report.quarantined), report.verdicts) == ([], [SPAMCOP], {"error": 2})
    assert events(engine) == before
    assert clean in rotation(engine)
    with engine.connect() as connection:
        (health,) = list_health.list_health(connection, [SPAMCOP])
        states = listing_states.load_states(connection, [(address(first), SPAMCOP), (address(first + 1), SPAMCOP)])
    assert not health.is_healthy
    assert health.reason
    assert {state.last_error is not None for state in states.values()} == {True}


def test_a_list_that_dies_during_the_sweep_is_not_believed(engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps) -> None:
    add_node(engine, 28)
    lab_dns.list_ip(str(address(28)), SPAMCOP)
    sweeps.zones = [SPAMCOP]

    def die_at_the_end(progress: SweepProgress) -> None:
        if progress.done == progress.total:
            lab_dns.break_list(SPAMCOP, Fault.WILDCARD)

    try:
        report = sweeps.sweep(on_progress=die_at_the_end)
    finally:
        lab_dns.break_list(SPAMCOP, Fault.NONE)
    assert (report.verdicts, report.changes, list(report.quarantined)) == ({"listed": 1}, [], [SPAMCOP])
    assert events(engine) == []


def delist_after(sweeps: Sweeps, lab_dns: DnsProcess, number: int, *, waits: list[int]) -> list[ListingChange]:
    """List the address, delist it at the list, and sweep after each of these seconds; returns what changed."""
    lab_dns.list_ip(str(address(number)), ZEN)
    sweeps.sweep()
    lab_dns.delist_ip(str(address(number)), ZEN)
    seen = []
    for wait_seconds in waits:
        sweeps.clock.at += timedelta(seconds=wait_seconds)
        seen += changes(sweeps.sweep())
    return seen


def test_a_listing_ends_with_the_third_clean_sweep_over_the_span(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    node_id = add_node(engine, 30)
    sweeps.limits = ListingLimits(clean_answers_to_delist=3, clean_span_seconds=600)
    assert delist_after(sweeps, lab_dns, 30, waits=[300, 300]) == []
    assert rotation(engine) == set()
    sweeps.clock.at += timedelta(seconds=300)
    assert changes(sweeps.sweep()) == [ListingChange.DELISTED]
    assert events(engine) == []
    assert rotation(engine) == {node_id}


@pytest.mark.parametrize(
    "waits", [[60, 60, 60, 60], [600, 600]], ids=["many answers, too short a span", "a long span, too few answers"]
)
def test_neither_the_answers_nor_the_span_alone_end_a_listing(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps, waits: list[int]
) -> None:
    number = 31 + len(waits)
    add_node(engine, number)
    sweeps.limits = ListingLimits(clean_answers_to_delist=3, clean_span_seconds=600)
    assert delist_after(sweeps, lab_dns, number, waits=waits) == []
    assert rotation(engine) == set()


def test_a_failure_among_the_clean_sweeps_does_not_count_as_one(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    add_node(engine, 36)
    sweeps.limits = ListingLimits(clean_answers_to_delist=3, clean_span_seconds=60)
    delist_after(sweeps, lab_dns, 36, waits=[300, 300])
    with lab_dns.broken(ZEN, Fault.SERVFAIL):
        sweeps.clock.at += HOUR
        assert changes(sweeps.sweep()) == []
    assert rotation(engine) == set()


def test_a_second_sweep_at_once_is_refused_and_records_nothing(engine: Engine, sweeps: Sweeps) -> None:
    add_node(engine, 37)
    with sweep_lock(engine), pytest.raises(Busy):
        sweeps.sweep()
    with engine.connect() as connection:
        assert list_health.list_health(connection) == []


def test_a_sweep_repeated_after_a_crash_finds_what_it_would_have_found(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    add_node(engine, 38)
    lab_dns.list_ip(str(address(38)), ZEN)
    with pytest.raises(ZeroDivisionError):
        sweeps.sweep(between_looks=crash)
    assert events(engine) == []
    sweeps.clock.at += timedelta(minutes=5)
    assert changes(sweeps.sweep()) == [ListingChange.CONFIRMED]


def crash() -> None:
    raise ZeroDivisionError


def listed_by(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(plan_pauses(listings.listed_nodes(connection)))


def list_many(engine: Engine, lab_dns: DnsProcess, first: int, count: int) -> None:
    """A fleet of six, of which so many are newly listed."""
    for number in range(first, first + 6):
        add_node(engine, number)
    for number in range(first, first + count):
        lab_dns.list_ip(str(address(number)), ZEN)


def test_a_list_that_suddenly_lists_too_many_is_frozen_before_its_listings_and_pauses_nobody(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    list_many(engine, lab_dns, 40, 4)
    frozen_first = []

    def say(words: str) -> None:
        if words.endswith("confirmed"):
            with engine.connect() as connection:
                frozen_first.append([row.zone for row in listings.open_freezes(connection)] == [ZEN])

    report = sweeps.sweep(say=say)
    assert report.frozen == [ZEN]
    assert frozen_first == [True] * 4
    assert len(events(engine)) == 4
    assert listed_by(engine) == 0
    with engine.connect() as connection:
        (freeze,) = listings.open_freezes(connection)
    assert freeze.reason == "newly lists 4 addresses in one sweep; more than 3 of 6 is not believed"


def test_a_list_that_is_frozen_already_is_not_frozen_again(engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps) -> None:
    with engine.begin() as connection:
        assert listings.freeze_list(connection, ZEN, reason="by hand", now=NOW)
        assert not listings.freeze_list(connection, ZEN, reason="again", now=NOW)
    list_many(engine, lab_dns, 70, 4)
    assert sweeps.sweep().frozen == []
    with engine.connect() as connection:
        assert [row.reason for row in listings.open_freezes(connection)] == ["by hand"]


def test_a_list_that_lists_as_many_as_may_be_is_believed(engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps) -> None:
    list_many(engine, lab_dns, 50, 3)
    assert sweeps.sweep().frozen == []
    assert listed_by(engine) == 3


def test_a_list_that_is_trusted_again_pauses_and_is_not_frozen_by_the_same_listings(
    engine: Engine, lab_dns: DnsProcess, sweeps: Sweeps
) -> None:
    list_many(engine, lab_dns, 60, 4)
    assert sweeps.sweep().frozen == [ZEN]
    with engine.begin() as connection:
        assert listings.lift_freeze(connection, ZEN, requested_by="person:ada", now=sweeps.clock.now())
        assert not listings.lift_freeze(connection, ZEN, requested_by="person:ada", now=sweeps.clock.now())
    assert listed_by(engine) == 4
    sweeps.clock.at += timedelta(minutes=5)
    assert sweeps.sweep().frozen == []
    assert listed_by(engine) == 4
