"""Whose turn it is on which list, and what is kept of the looks."""

from datetime import datetime, timedelta
from ipaddress import IPv4Address

from sqlalchemy import Engine, text

from penguin_infra.domain.listing import ListedCode, Severity
from penguin_infra.domain.listing_state import FirstHit, ListingState
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import listing_states, listings
from penguin_infra.store.listing_states import Due, RecordedObservation, Wanted
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, address, list_address

ZEN = "zen.test"
OTHER = "other.test"
HOUR = timedelta(hours=1)
CODE = ListedCode(IPv4Address("127.0.0.2"), "spam", Severity.HIGH)
CLEAN = ListingState(since=NOW, answered_at=NOW)


def save(
    engine: Engine,
    number: int,
    asked_at: datetime,
    *,
    state: ListingState = CLEAN,
    zone: str = ZEN,
    is_asked: bool = True,
) -> None:
    key = (address(number), zone)
    with engine.begin() as connection:
        listing_states.save_states(connection, {key: state}, asked_at, asked=[key] if is_asked else [])


def suspect(hit_at: datetime, ttl_seconds: int = 60) -> ListingState:
    return ListingState(since=hit_at, first_hit=FirstHit((CODE,), hit_at, ttl_seconds, "r"), suspected_at=hit_at)


def due(
    engine: Engine, *, zones: tuple[str, ...] = (ZEN,), suspects: int = 10, routine: int = 10, urgent: int = 10
) -> dict[str, Due]:
    """Who is due now: nobody asked within five minutes; the listed ones are urgent after an hour."""
    wanted = [
        Wanted(zone, suspects, routine, urgent, NOW - timedelta(minutes=5), NOW - timedelta(hours=1)) for zone in zones
    ]
    with engine.connect() as connection:
        return listing_states.find_due(connection, wanted, NOW)


def numbers(found: tuple[IPv4Address, ...]) -> list[int]:
    return [int(one) - int(address(0)) for one in found]


def test_the_longest_unasked_come_first_and_who_was_never_asked_before_them(engine: Engine) -> None:
    add_nodes(engine, 4)
    for number, hours in [(1, 2), (2, 5), (4, 3)]:
        save(engine, number, NOW - hours * HOUR)
    assert numbers(due(engine)[ZEN].routine) == [3, 2, 4, 1]
    assert numbers(due(engine, routine=2)[ZEN].routine) == [3, 2]


def test_nobody_is_due_who_was_asked_a_moment_ago_or_is_not_held_any_more(engine: Engine) -> None:
    add_nodes(engine, 2)
    add_node(engine, 3, NodeStatus.DECOMMISSIONED)
    save(engine, 1, NOW - timedelta(minutes=1))
    assert numbers(due(engine)[ZEN].routine) == [2]


def test_a_suspect_comes_first_and_beside_the_routine_once_its_answer_has_expired(engine: Engine) -> None:
    add_nodes(engine, 3)
    save(engine, 2, NOW - timedelta(minutes=1), state=suspect(NOW - timedelta(seconds=61)))
    # A cache may repeat this one's answer for the rest of a second: it is not asked at all, however long ago it was.
    save(engine, 3, NOW - 9 * HOUR, state=suspect(NOW - timedelta(seconds=60.9)))
    assert due(engine, routine=0) == {ZEN: Due((address(2),), ())}
    assert due(engine, suspects=0) == {ZEN: Due((), (address(1),))}


def test_an_address_listed_anywhere_goes_before_the_longest_unasked_of_every_list(engine: Engine) -> None:
    ids = add_nodes(engine, 4)
    for number in range(1, 5):
        for zone in (ZEN, OTHER):
            save(engine, number, NOW - (10 - number) * HOUR, zone=zone)
    list_address(engine, ids[2], 3, zone=OTHER)
    found = due(engine, zones=(ZEN, OTHER))
    assert {zone: numbers(one.routine) for zone, one in found.items()} == {ZEN: [3, 1, 2, 4], OTHER: [3, 1, 2, 4]}
    # A day after the listing ended it is one of many again.
    with engine.begin() as connection:
        listings.close_event(connection, address(3), OTHER, NOW)
        connection.execute(text("UPDATE fleet.ip_blacklist_events SET listed_at = :at, suspected_at = :at, "
                                "delisted_at = :at"), {"at": NOW - 25 * HOUR})  # fmt: skip
    assert numbers(due(engine)[ZEN].routine) == [1, 2, 3, 4]


def test_the_listed_ones_take_no_more_than_their_share_of_a_pass(engine: Engine) -> None:
    ids = add_nodes(engine, 6)
    for number in range(1, 7):
        save(engine, number, NOW - (10 - number) * HOUR)
    for number in (4, 5, 6):
        list_address(engine, ids[number - 1], number)
    assert numbers(due(engine, routine=4, urgent=1)[ZEN].routine) == [4, 1, 2, 3]


def test_how_many_are_listed_or_were_within_a_day_is_counted_once_an_address(engine: Engine) -> None:
    ids = add_nodes(engine, 3)
    list_address(engine, ids[0], 1)
    list_address(engine, ids[0], 1, zone=OTHER)
    list_address(engine, ids[1], 2)
    with engine.connect() as connection:
        assert listing_states.count_urgent(connection, NOW) == 2


def test_a_state_comes_back_as_it_was_saved_and_only_those_asked_for(engine: Engine) -> None:
    add_nodes(engine, 2)
    state = ListingState(
        since=NOW, codes=(CODE,), suspected_at=NOW - HOUR, answered_at=NOW, last_error='no "answer"', last_error_at=NOW
    )
    save(engine, 1, NOW, state=state)
    save(engine, 2, NOW)
    with engine.connect() as connection:
        assert listing_states.load_states(connection, [(address(1), ZEN)]) == {(address(1), ZEN): state}
        assert listing_states.load_states(connection, [(address(1), OTHER)]) == {}
        assert listing_states.load_states(connection, []) == {}


def test_a_look_that_was_none_takes_nobodys_turn(engine: Engine) -> None:
    add_nodes(engine, 2)
    save(engine, 1, NOW - 3 * HOUR)
    save(engine, 2, NOW - 2 * HOUR)
    save(engine, 1, NOW, is_asked=False)
    assert numbers(due(engine)[ZEN].routine) == [1, 2]


def test_states_are_counted_by_list_with_those_that_wait_too_long(engine: Engine) -> None:
    add_nodes(engine, 5)
    save(engine, 1, NOW, state=ListingState(since=NOW - 9 * HOUR, answered_at=NOW - HOUR))
    save(engine, 2, NOW, state=ListingState(since=NOW - 9 * HOUR, answered_at=NOW - 4 * HOUR))
    save(engine, 3, NOW, state=ListingState(since=NOW - 5 * HOUR, last_error="silent"))
    save(engine, 4, NOW, state=ListingState(since=NOW, codes=(CODE,), suspected_at=NOW, answered_at=NOW))
    with engine.connect() as connection:
        (row,) = listing_states.count_states(connection, {ZEN: 3 * 3600}, NOW)
    assert (row.zone, row.clean, row.suspect, row.listed, row.unasked, row.stale) == (ZEN, 3, 0, 1, 1, 2)
    assert row.oldest_at == NOW - 5 * HOUR


def test_the_worst_states_come_first_and_clean_ones_not_at_all(engine: Engine) -> None:
    ids = add_nodes(engine, 4)
    listed = ListingState(since=NOW, codes=(CODE,), suspected_at=NOW, answered_at=NOW)
    save(engine, 1, NOW)
    save(engine, 2, NOW, state=suspect(NOW))
    for number, severity in [(3, Severity.LOW), (4, Severity.CRITICAL)]:
        save(engine, number, NOW, state=listed)
        list_address(engine, ids[number - 1], number, zone=ZEN, severity=severity)
    with engine.connect() as connection:
        found = [(row.label, row.state, row.severity) for row in listing_states.worst_states(connection)]
    assert found == [("node-004", "listed", "critical"), ("node-003", "listed", "low"), ("node-002", "suspect", None)]


def test_observations_are_kept_each_and_the_newest_shown_first(engine: Engine) -> None:
    def observation(number: int, change: str) -> RecordedObservation:
        return RecordedObservation(
            str(address(1)), ZEN, change, "127.0.0.2", 60, "r", "spam", NOW + timedelta(minutes=number)
        )

    with engine.begin() as connection:
        listing_states.save_observations(connection, [observation(1, "suspected"), observation(2, "confirmed")])
        listing_states.save_observations(connection, [])
        found = listing_states.newest_observations(connection, limit=1)
    assert [(row.change, row.answer, row.ttl_seconds, row.reason) for row in found] == [
        ("confirmed", "127.0.0.2", 60, "spam")
    ]


def test_open_listings_are_counted_for_each_day_on_which_they_were_open(engine: Engine) -> None:
    ids = add_nodes(engine, 2)
    list_address(engine, ids[0], 1, at=NOW - timedelta(days=1))
    list_address(engine, ids[1], 2, at=NOW)
    with engine.begin() as connection:
        assert listings.listings_by_day(connection, days=3, now=NOW) == {"zen.spamhaus.org": [0, 1, 2]}
        listings.close_event(connection, address(1), "zen.spamhaus.org", NOW)
        listings.close_event(connection, address(2), "zen.spamhaus.org", NOW + timedelta(days=1))
        tomorrow = NOW + timedelta(days=2)
        assert listings.listings_by_day(connection, days=4, now=tomorrow) == {"zen.spamhaus.org": [1, 2, 1, 0]}
        assert listings.listings_by_day(connection, days=1, now=tomorrow) == {}
