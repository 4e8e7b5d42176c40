"""`penguin-infra lists`: each list with what it may be asked and was, how it does, and the trust that persons give."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from penguin_infra.domain.list_health import Fault, ListFault, ListHealth
from penguin_infra.domain.list_pace import Pace
from penguin_infra.store import list_health, list_paces, listings
from penguin_infra.store.list_paces import ListPace
from penguin_infra_tests.cli.conftest import Run, RunJson

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"


def by_zone(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["zone"]: row for row in rows}


def test_without_a_fleet_the_lists_are_shown_with_what_they_may_be_asked(run_bare: Run) -> None:
    done = run_bare("lists", "show")
    assert done.exit_code == 0
    for words in ("Spamhaus ZEN", "300,000", "combined.mail.abusix.zone: off. It needs a key", "not asked yet"):
        assert words in done.stdout
    assert "penguin-infra up" in done.stderr


def test_each_list_says_what_was_asked_and_how_often_each_address_comes_by(engine: Engine, run_json: RunJson) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        list_paces.add_questions(connection, {ZEN: 1234}, now - timedelta(hours=2))
        list_paces.add_questions(connection, {ZEN: 9999}, now - timedelta(hours=30))
        pace = Pace(0.0, now, rests_until=now + timedelta(hours=1), rest_count=1)
        list_paces.save_paces(connection, [ListPace(ZEN, pace, interval_seconds=600.0)])
    shown = by_zone(run_json("lists", "show"))[ZEN]
    assert (shown["is_on"], shown["budget_per_day"], shown["asked_in_24_hours"]) == (True, 300_000, 1234)
    assert shown["budget_source"] == "its terms allow 300,000 a day"
    assert shown["interval_seconds"] == 600.0
    assert datetime.fromisoformat(shown["rests_until"]) == pace.rests_until


def test_an_ill_list_is_shown_by_resolver_with_its_fault(engine: Engine, run: Run, run_json: RunJson) -> None:
    now = datetime.now(UTC)
    fault = Fault(ListFault.WILDCARDED, "lists 192.0.2.1, which no list has cause to")
    with engine.begin() as connection:
        list_health.save_health(
            connection,
            [ListHealth(SPAMCOP, "127.0.0.1:53", 4, now, fault), ListHealth(SPAMCOP, "127.0.0.2:53", 4, now)],
        )
    seen = {one["resolver"]: one for one in by_zone(run_json("lists", "show"))[SPAMCOP]["health"]}
    assert (seen["127.0.0.1:53"]["is_healthy"], seen["127.0.0.1:53"]["fault"]) == (False, "wildcarded")
    assert seen["127.0.0.2:53"]["is_healthy"]
    people = run("lists", "show").stdout
    assert "wildcarded through 1 of 2 ways" in " ".join(people.split())
    assert f"{SPAMCOP}: quarantined through 127.0.0.1:53 (IPv4): {fault.reason}" in people


def test_a_list_whose_terms_the_fleet_breaks_is_shown_with_the_sum(engine: Engine, run: Run) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        list_paces.save_paces(connection, [ListPace(ZEN, Pace(0.0, now), None, "800,000 questions a day are too many")])
    assert f"{ZEN}: not asked. 800,000 questions a day are too many" in run("lists", "show").stdout


def test_a_frozen_list_is_shown_with_its_reason_and_trusted_again(engine: Engine, run: Run, run_json: RunJson) -> None:
    with engine.begin() as connection:
        listings.freeze_list(connection, ZEN, reason="lists everybody", now=datetime.now(UTC))
    assert by_zone(run_json("lists", "show"))[ZEN]["frozen"] == "lists everybody"
    assert "frozen, it pauses nobody: lists everybody" in run("lists", "show").stdout
    assert run("lists", "trust", ZEN).stdout == f"{ZEN} is trusted again.\n"
    assert by_zone(run_json("lists", "show"))[ZEN]["frozen"] is None
    assert run("lists", "trust", ZEN).stdout == f"{ZEN} was not frozen.\n"


def test_a_key_opens_its_list_and_is_never_shown(run_bare: Run, set_environment: Callable[..., None]) -> None:
    set_environment(PENGUIN_BLACKLIST_KEYS="abusix=hush4711,spamrats=hush4712")
    for arguments in (("lists", "show"), ("lists", "show", "--json")):
        done = run_bare(*arguments)
        assert done.exit_code == 0
        assert "hush" not in done.output
    people = run_bare("lists", "show").stdout
    assert "combined.mail.abusix.zone: off" not in people
    assert "all.spamrats.com: off. The lists that your key opens take its place." in people


def test_a_list_that_the_policy_leaves_out_says_so_with_its_own_limit_beside(
    run_bare: Run, set_environment: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(f'[blacklists]\nzones = ["{ZEN}"]\n[blacklists.budgets]\n"{ZEN}" = 1000\n')
    set_environment(PENGUIN_POLICY_FILE=str(path))
    people = run_bare("lists", "show").stdout
    assert f"{SPAMCOP}: off. [blacklists] zones of the policy file does not name it." in people
    assert " 1,000 " in people


def test_a_file_of_lists_that_is_wrong_is_named(
    run_bare: Run, set_environment: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "lists.toml"
    path.write_text("[[lists]]\n")
    set_environment(PENGUIN_BLACKLIST_FILE=str(path))
    done = run_bare("lists", "show")
    assert done.exit_code == 1
    assert str(path) in done.stderr
