"""The fleet's switches: who froze it, and which provider its nodes live at."""

from datetime import timedelta

from sqlalchemy import Engine

from penguin_infra.store import switches
from penguin_infra_tests.fleets import NOW


def test_a_frozen_fleet_says_who_froze_it_when_and_why(engine: Engine) -> None:
    with engine.begin() as connection:
        assert switches.frozen_by(connection) is None
        switches.freeze(connection, reason="incident 4711", requested_by="person:ada", now=NOW)
        assert switches.frozen_by(connection) == "person:ada at 2026-11-24 12:00 UTC (incident 4711)"


def test_a_second_freeze_keeps_the_first_ones_name_and_reason(engine: Engine) -> None:
    with engine.begin() as connection:
        switches.freeze(connection, reason="first", requested_by="person:ada", now=NOW)
        switches.freeze(connection, reason="second", requested_by="person:bob", now=NOW + timedelta(hours=1))
        assert switches.frozen_by(connection) == "person:ada at 2026-11-24 12:00 UTC (first)"


def test_a_fleet_is_thawed_once(engine: Engine) -> None:
    with engine.begin() as connection:
        assert not switches.thaw(connection)
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
        assert switches.thaw(connection)
        assert switches.frozen_by(connection) is None
        assert not switches.thaw(connection)


def test_a_database_stays_tied_to_its_first_provider_through_freeze_and_thaw(engine: Engine) -> None:
    with engine.begin() as connection:
        assert switches.claim_provider(connection, "the lab", NOW) == "the lab"
        switches.freeze(connection, reason="incident", requested_by="person:ada", now=NOW)
        switches.thaw(connection)
        assert switches.claim_provider(connection, "https://api.example", NOW) == "the lab"
