"""What is remembered of the lists themselves: questions spent, paces, health and its history."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.list_health import Fault, ListFault, ListHealth
from penguin_infra.domain.list_pace import Pace, Spent
from penguin_infra.store import list_health, list_paces
from penguin_infra.store.list_paces import ListPace
from penguin_infra_tests.fleets import NOW

ZEN = "zen.test"
OTHER = "other.test"
HOUR = timedelta(hours=1)


def spent(engine: Engine, at: datetime = NOW) -> Spent:
    with engine.connect() as connection:
        return list_paces.spent_questions(connection, [ZEN], at)[ZEN]


def add(engine: Engine, count: int, at: datetime = NOW, zone: str = ZEN) -> None:
    with engine.begin() as connection:
        list_paces.add_questions(connection, {zone: count}, at)


def test_questions_add_up_by_list_over_a_day_and_over_thirty(engine: Engine) -> None:
    assert spent(engine) == Spent(0, 0)
    add(engine, 5)
    add(engine, 7)
    add(engine, 11, NOW - timedelta(days=2))
    add(engine, 1_000, NOW - timedelta(days=31))
    add(engine, 100, zone=OTHER)
    assert spent(engine) == Spent(12, 23)


@pytest.mark.parametrize(("minutes", "is_counted"), [(0, True), (9, True), (10, False)])
def test_a_slot_that_a_window_holds_in_part_counts_whole(engine: Engine, minutes: int, is_counted: bool) -> None:
    add(engine, 5, NOW - timedelta(minutes=10))
    assert (
        spent(engine, NOW - timedelta(minutes=10) + timedelta(hours=24, minutes=minutes)).in_24_hours == 5 * is_counted
    )


def test_what_was_sent_takes_the_place_of_what_was_reserved_and_counts_from_the_passs_end(engine: Engine) -> None:
    add(engine, 3)
    add(engine, 100)
    with engine.begin() as connection:
        list_paces.settle_questions(connection, reserved={ZEN: 100}, at=NOW, sent={ZEN: 40}, now=NOW + HOUR)
    assert spent(engine, NOW + HOUR).in_24_hours == 43
    # The pass ended an hour later: only what was counted before it is a day old.
    assert spent(engine, NOW + 24 * HOUR + timedelta(minutes=10)).in_24_hours == 40


def test_what_no_window_holds_is_forgotten(engine: Engine) -> None:
    add(engine, 5, NOW - timedelta(days=30))
    add(engine, 7, NOW - timedelta(days=31))
    with engine.begin() as connection:
        list_paces.forget_questions(connection, NOW)
    assert spent(engine).in_30_days == 5
    assert spent(engine, NOW - timedelta(days=2)).in_30_days == 5


def test_paces_come_back_as_they_were_saved(engine: Engine) -> None:
    resting = ListPace(ZEN, Pace(12.5, NOW, NOW + HOUR, 3), 300.0)
    refused = ListPace(OTHER, Pace(0.0, NOW), None, "too many")
    with engine.begin() as connection:
        list_paces.save_paces(connection, [ListPace(ZEN, Pace(1.0, NOW)), refused])
        list_paces.save_paces(connection, [resting])
        assert list_paces.load_paces(connection) == {ZEN: resting, OTHER: refused}
        assert [row.zone for row in list_paces.refused_lists(connection)] == [OTHER]
        assert [row.zone for row in list_paces.resting_lists(connection)] == [ZEN]


def test_a_list_that_is_asked_no_more_is_neither_refused_nor_resting_but_keeps_its_rest(engine: Engine) -> None:
    with engine.begin() as connection:
        list_paces.save_paces(connection, [ListPace(ZEN, Pace(1.0, NOW, NOW + HOUR, 3), 300.0, "too many")])
        list_paces.forget_turns(connection, [OTHER])
        assert list_paces.refused_lists(connection) == list_paces.resting_lists(connection) == []
        assert list_paces.load_paces(connection)[ZEN].pace.rests_until == NOW + HOUR


SILENT = Fault(ListFault.SILENT, "no answer")
EMPTIED = Fault(ListFault.EMPTIED, "lists nothing")


def seen(fault: Fault | None, *, minutes: int = 0, passes: int = 0, resolver: str = "r", zone: str = ZEN) -> ListHealth:
    return ListHealth(zone, resolver, 4, NOW + timedelta(minutes=minutes), fault, passes)


def save(engine: Engine, *healths: ListHealth) -> None:
    with engine.begin() as connection:
        list_health.save_health(connection, healths)


def test_health_comes_back_as_it_was_saved(engine: Engine) -> None:
    ill, well = seen(SILENT, passes=1), seen(None, resolver="s")
    save(engine, ill, well)
    with engine.connect() as connection:
        assert list_health.load_health(connection, [ZEN]) == {(ZEN, "r", 4): ill, (ZEN, "s", 4): well}
        assert list_health.load_health(connection, [OTHER]) == {}


def test_every_change_of_health_and_fault_is_kept_and_nothing_else(engine: Engine) -> None:
    for minutes, fault in enumerate([None, SILENT, SILENT, EMPTIED, None, None]):
        save(engine, seen(fault, minutes=minutes))
    with engine.connect() as connection:
        changes = [(row.happened_at - NOW, row.fault) for row in list_health.health_changes(connection)]
        (row,) = list_health.list_health(connection)
    assert changes == [
        (timedelta(minutes=minutes), fault) for minutes, fault in [(4, None), (3, "emptied"), (1, "silent")]
    ]
    assert (row.is_healthy, row.since) == (True, NOW + timedelta(minutes=4))


def test_a_quarantine_that_changes_its_fault_is_the_same_quarantine(engine: Engine) -> None:
    save(engine, seen(SILENT))
    save(engine, seen(EMPTIED, minutes=5))
    with engine.connect() as connection:
        (row,) = list_health.ill_lists(connection)
        assert len(list_health.health_changes(connection)) == 2
    assert (row.since, row.fault) == (NOW, "emptied")


def test_a_list_with_few_turns_a_day_stays_ill_until_it_is_looked_at_again(engine: Engine) -> None:
    save(engine, seen(SILENT), seen(None, minutes=600, zone=OTHER))
    with engine.begin() as connection:
        assert list_health.ill_lists(connection) == []
        list_paces.save_paces(connection, [ListPace(ZEN, Pace(1.0, NOW), 40_000.0)])
        assert [row.zone for row in list_health.ill_lists(connection)] == [ZEN]
        list_paces.forget_turns(connection, [OTHER])
        assert list_health.ill_lists(connection) == []


def test_a_resolver_that_is_asked_no_more_is_not_told_of(engine: Engine) -> None:
    save(engine, seen(SILENT), seen(None, minutes=90, resolver="s"))
    with engine.begin() as connection:
        list_paces.save_paces(connection, [ListPace(ZEN, Pace(1.0, NOW), 300.0)])
        assert list_health.ill_lists(connection) == []
