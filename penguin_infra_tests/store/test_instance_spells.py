"""What the provider bills is written down in spells: from orders as they are carried out, and from its listings."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from sqlalchemy import Engine, select

from penguin_infra.domain.inventory import SeenInstance
from penguin_infra.store import instance_spells
from penguin_infra.store.analytics_tables import instance_spells as spells_table

BORN = datetime(2026, 9, 1, 10, 20, tzinfo=UTC)
NOW = BORN + timedelta(days=3)
LATER = NOW + timedelta(hours=5)

ONE = SeenInstance("hw-1", "fleet-node-001-aaaaaaaa", "dallas", "ssd-1", "running", IPv4Address("127.0.0.9"), BORN)
OTHER = replace(ONE, provider_id="hw-2", label="somebody-elses")


def observe(engine: Engine, *instances: SeenInstance, at: datetime, is_whole: bool = True) -> None:
    with engine.begin() as connection:
        instance_spells.observe(connection, instances, {}, at, is_whole=is_whole)


def spells(engine: Engine) -> list[tuple[str, str, datetime, datetime | None]]:
    s = spells_table.c
    with engine.connect() as connection:
        rows = connection.execute(
            select(s.provider_id, s.plan, s.began_at, s.ended_at).order_by(s.provider_id, s.began_at)
        )
        return [tuple(row) for row in rows]


def test_an_instance_that_is_first_seen_is_billed_since_it_was_created(engine: Engine) -> None:
    observe(engine, ONE, OTHER, at=NOW)
    assert spells(engine) == [("hw-1", "ssd-1", BORN, None), ("hw-2", "ssd-1", BORN, None)]


def test_a_listing_that_shows_nothing_new_changes_nothing(engine: Engine) -> None:
    for at in (NOW, NOW, LATER):
        observe(engine, ONE, at=at)
    assert spells(engine) == [("hw-1", "ssd-1", BORN, None)]


def test_another_plan_ends_one_spell_where_the_next_begins(engine: Engine) -> None:
    observe(engine, ONE, at=NOW)
    observe(engine, replace(ONE, plan="ssd-2"), at=LATER)
    assert spells(engine) == [("hw-1", "ssd-1", BORN, LATER), ("hw-1", "ssd-2", LATER, None)]


def test_an_address_more_begins_a_spell_of_its_own(engine: Engine) -> None:
    observe(engine, ONE, at=NOW)
    observe(engine, replace(ONE, extra_addresses=1), at=LATER)
    assert [row[2:] for row in spells(engine)] == [(BORN, LATER), (LATER, None)]


def test_an_instance_that_a_listing_lacked_by_mistake_was_billed_all_along(engine: Engine) -> None:
    observe(engine, ONE, OTHER, at=NOW)
    observe(engine, OTHER, at=LATER)
    assert spells(engine)[0] == ("hw-1", "ssd-1", BORN, LATER)
    observe(engine, ONE, OTHER, at=LATER + timedelta(minutes=5))
    assert spells(engine)[0] == ("hw-1", "ssd-1", BORN, None)


def test_a_listing_taken_before_an_order_was_carried_out_does_not_undo_it(engine: Engine) -> None:
    observe(engine, ONE, at=NOW)
    resized = replace(ONE, plan="ssd-2")
    observe(engine, resized, at=LATER, is_whole=False)
    observe(engine, ONE, at=LATER - timedelta(seconds=10))
    assert spells(engine) == [("hw-1", "ssd-1", BORN, LATER), ("hw-1", "ssd-2", LATER, None)]

    with engine.begin() as connection:
        instance_spells.record_end(connection, ["hw-1"], LATER + timedelta(hours=1))
    observe(engine, resized, at=LATER + timedelta(minutes=59))
    assert spells(engine)[1] == ("hw-1", "ssd-2", LATER, LATER + timedelta(hours=1))


def test_what_the_provider_says_of_one_instance_says_nothing_of_the_others(engine: Engine) -> None:
    observe(engine, ONE, OTHER, at=NOW)
    observe(engine, OTHER, at=LATER, is_whole=False)
    assert spells(engine)[0] == ("hw-1", "ssd-1", BORN, None)


@pytest.mark.parametrize("repeats", [1, 2])
def test_an_end_is_written_once(engine: Engine, repeats: int) -> None:
    observe(engine, ONE, OTHER, at=NOW)
    for number in range(repeats):
        with engine.begin() as connection:
            instance_spells.record_end(connection, ["hw-1"], LATER + timedelta(hours=number))
    assert spells(engine) == [("hw-1", "ssd-1", BORN, LATER), ("hw-2", "ssd-1", BORN, None)]
