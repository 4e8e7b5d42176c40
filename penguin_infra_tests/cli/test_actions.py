"""`penguin-infra actions`, `freeze` and `thaw`: the ledger read, and the kill switch."""

from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import Refusal, Rule
from penguin_infra.store import switches
from penguin_infra.store.refusals import record_refusals
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import NOW, add_nodes, plan

ZEN = "zen.spamhaus.org"


def refuse(engine: Engine, node_id: UUID) -> None:
    action = PlannedAction(node_id, ActionKind.PAUSE, "listed [by] zen", "policy:test", {"zone": ZEN})
    with engine.begin() as connection:
        record_refusals(connection, [Refusal(action, Rule.DISRUPTION_BUDGET, "5 + 1 > 5 an hour")], NOW)


def test_actions_are_listed_by_status_and_node(engine: Engine, run_json: RunJson) -> None:
    first, second = add_nodes(engine, 2)
    (action_id,) = plan(engine, [first])
    refuse(engine, second)
    (planned,) = run_json("actions", "list", "--status", "planned")
    assert (planned["id"], planned["short_id"], planned["label"]) == (str(action_id), str(action_id)[:8], "node-001")
    (refused,) = run_json("actions", "list", "--node", "node-002")
    assert (refused["status"], refused["outcome"], refused["evidence"]) == (
        "refused", "5 + 1 > 5 an hour", {"zone": ZEN}
    )  # fmt: skip
    assert len(run_json("actions", "list")) == 2
    assert len(run_json("actions", "list", "--limit", "1")) == 1


def test_the_table_shows_who_asked_why_and_what_came_of_it(engine: Engine, run: Run) -> None:
    refuse(engine, add_nodes(engine, 1)[0])
    shown = " ".join(run("actions", "list").stdout.split())
    for words in ("node-001", "refused", "policy:test", "listed [by]", "5 + 1 > 5"):
        assert words in shown


def test_an_empty_ledger_says_so(run: Run) -> None:
    assert run("actions", "list").stdout == "No such actions.\n"


def test_an_action_is_shown_whole_by_the_beginning_of_its_id(engine: Engine, run: Run, run_json: RunJson) -> None:
    (action_id,) = plan(engine, add_nodes(engine, 1))
    shown = run_json("actions", "show", str(action_id)[:8])
    assert (shown["id"], shown["label"], shown["attempts"]) == (str(action_id), "node-001", [])
    people = run("actions", "show", str(action_id))
    assert str(action_id) in people.stdout
    assert "person:test" in people.stdout


def test_an_id_that_fits_none_or_several_is_told(engine: Engine, run: Run) -> None:
    plan(engine, add_nodes(engine, 2))
    unknown = str(uuid4())
    assert f"no action's id begins with '{unknown}'" in failure(run("actions", "show", unknown))
    assert "several actions' ids begin with ''" in failure(run("actions", "show", ""))


def test_a_node_that_nobody_has_is_told(run: Run) -> None:
    assert "no node has" in failure(run("actions", "list", "--node", "node-7"))


def test_a_fleet_is_frozen_in_the_persons_name_and_thawed(engine: Engine, run: Run) -> None:
    done = run("freeze", "--reason", "incident [4711]")
    assert (done.exit_code, "frozen by person:ada" in done.stdout, "(incident [4711])" in done.stdout) == (
        0,
        True,
        True,
    )
    with engine.connect() as connection:
        assert str(switches.frozen_by(connection)).startswith("person:ada at ")
    assert run("thaw").stdout == "The fleet acts again.\n"
    with engine.connect() as connection:
        assert switches.frozen_by(connection) is None
    assert run("thaw").stdout == "The fleet was not frozen.\n"


def test_a_freeze_without_a_reason_is_wrong_usage(engine: Engine, run: Run) -> None:
    assert run("freeze").exit_code == 2
    with engine.connect() as connection:
        assert switches.frozen_by(connection) is None


@pytest.mark.parametrize(
    "command", [["actions", "list"], ["freeze", "--reason", "x"], ["thaw"], ["lists", "trust", "x"]]
)
def test_without_a_fleet_a_command_says_how_to_get_one(run_bare: Run, command: list[str]) -> None:
    message = failure(run_bare(*command))
    assert "penguin-infra up" in message
    assert "PENGUIN_DATABASE_URL" in message
