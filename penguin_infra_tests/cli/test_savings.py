"""Savings as they are typed: the list, a plan with its before and after, and what a wrong id is answered."""

from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.inventory import Drift, DriftKind, SeenInstance
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import inventory
from penguin_infra.wiring import SystemClock
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import add_nodes
from penguin_infra_tests.saving import age, sell, send, speak

# Five nodes of 60,000 a day by the policy's own limits; a spare of them is kept.
AN_HOUR = 1_000


@pytest.fixture
def idle(engine: Engine) -> list[UUID]:
    """Five nodes, the first of which has nothing to do."""
    now = SystemClock().now()
    ids = add_nodes(engine, 5, NodeStatus.ACTIVE)
    sell(engine, now)
    age(engine, now=now)
    speak(engine, ids, cpu=80, now=now)
    send(engine, ids[1:], AN_HOUR, now=now)
    return ids


def proposals(engine: Engine) -> list[tuple[str, str, str]]:
    query = "SELECT kind, status, requested_by FROM fleet.node_actions"
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def saving_id(run_json: RunJson) -> str:
    (one,) = run_json("actions", "savings")["savings"]
    return str(one["id"])


def test_what_can_be_saved_is_listed_with_the_fleet_before_and_after(
    run: Run, run_json: RunJson, idle: list[UUID]
) -> None:
    done = run("actions", "savings")
    assert done.exit_code == 0, done.output
    assert "retire" in done.stdout
    assert "node-001" in done.stdout
    assert "Now $36.50 a month, 300,000 messages a day, 32% of it on the highest day; with all of them $29.20" in (
        " ".join(done.stdout.split())
    )
    told = run_json("actions", "savings")
    assert (float(told["saving_monthly_usd"]), told["together"]["capacity_per_day"]) == (7.3, 240_000)
    assert told["savings"][0]["command"] == f"penguin-infra actions plan {told['savings'][0]['id'][:8]}"


def test_a_fleet_with_nothing_to_save_says_so_and_why(run: Run) -> None:
    done = run("actions", "savings")
    assert "Nothing is worth saving now." in done.stdout
    assert "No capacity is given up" in done.stdout


def test_a_saving_is_proposed_in_the_persons_name_with_its_figures(
    run: Run, run_json: RunJson, engine: Engine, idle: list[UUID]
) -> None:
    short = saving_id(run_json)[:8]
    done = run("actions", "plan", short)
    assert done.exit_code == 0, done.output
    for said in (
        "Saves $7.30 a month",
        "Now   $36.50 a month, 300,000 messages a day",
        "Then  $29.20 a month, 240,000 messages a day",
        "Risk",
        "Proposed: decommission node-001 (action ",
        "penguin-infra actions approve ",
    ):
        assert said in done.stdout, done.stdout
    assert proposals(engine) == [("decommission", "proposed", "person:ada")]
    assert "It is there already, proposed: decommission node-001" in run("actions", "plan", short).stdout
    assert len(proposals(engine)) == 1


def test_a_dry_run_shows_the_same_and_proposes_nothing(
    run: Run, run_json: RunJson, engine: Engine, idle: list[UUID]
) -> None:
    done = run("actions", "plan", saving_id(run_json), "--dry-run")
    assert "Then  $29.20 a month" in done.stdout
    assert "Would propose: decommission node-001. It would wait for approval." in done.stdout
    told = run_json("actions", "plan", saving_id(run_json), "--dry-run")
    assert (told["action_id"], told["action"], told["is_new"]) == (None, "decommission", False)
    assert proposals(engine) == []
    assert run_json("actions", "plan", saving_id(run_json))["status"] == "proposed"


def test_what_is_done_by_hand_is_said_and_ends_well(
    run: Run, run_json: RunJson, engine: Engine, idle: list[UUID]
) -> None:
    now = SystemClock().now()
    send(engine, idle[:1], AN_HOUR, days=1, now=now)
    seen = SeenInstance("hw-99", "penguin-lost-12345678", "dallas", "ssd-2", "running", None, now, 0)
    with engine.begin() as connection:
        inventory.replace_listing(connection, [seen], now)
        inventory.save_drift(connection, [Drift(DriftKind.ORPHAN, None, "hw-99", "test")], now)
    done = run("actions", "plan", saving_id(run_json))
    assert done.exit_code == 0, done.output
    assert "Nothing is proposed: look at hw-99" in done.stdout
    assert run_json("actions", "plan", saving_id(run_json))["action_id"] is None
    assert proposals(engine) == []


def test_an_unknown_id_is_answered_in_one_line(run: Run, idle: list[UUID]) -> None:
    assert "no saving's id begins with 'ffffffffffff'" in failure(run("actions", "plan", "ffffffffffff"))


def test_a_node_that_is_engaged_meanwhile_is_no_saving_any_more(
    run: Run, run_json: RunJson, engine: Engine, idle: list[UUID]
) -> None:
    known = saving_id(run_json)
    assert run("nodes", "maintain", "node-001", "--force").exit_code == 0
    assert "no saving's id begins with" in failure(run("actions", "plan", known))
