"""`penguin-infra actions approve` and `reject`: what waits is shown first, decided once, and refused in words."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.store import actions as ledger
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, plan


def propose(engine: Engine, node_id: UUID) -> str:
    wanted = PlannedAction(node_id, ActionKind.DECOMMISSION, "its [instance] is gone", "policy:mend_drift")
    with engine.begin() as connection:
        return str(ledger.insert_proposed(connection, [wanted], NOW)[0])


@pytest.fixture
def proposal(engine: Engine) -> str:
    """The end of one of three nodes, which waits."""
    return propose(engine, add_nodes(engine, 3)[0])


def test_what_waits_is_listed_first_with_how_it_is_decided(
    engine: Engine, run: Run, run_json: RunJson, proposal: str
) -> None:
    plan(engine, [add_node(engine, 9)], at=NOW + timedelta(hours=1))
    assert [row["status"] for row in run_json("actions", "list")] == ["proposed", "planned"]
    told = " ".join(run("actions", "list").stdout.split())
    assert "waits for approval" in told
    assert (
        "1 of them wait for a person: `penguin-infra actions approve ID`, or `penguin-infra actions reject ID" in told
    )
    assert [row["id"] for row in run_json("actions", "list", "--status", "proposed")] == [proposal]


def test_where_nothing_waits_nothing_is_said_of_it(engine: Engine, run: Run) -> None:
    plan(engine, [add_node(engine)])
    assert "approve" not in run("actions", "list").stdout


def test_a_proposal_is_approved_in_the_persons_name(run: Run, run_json: RunJson, proposal: str) -> None:
    done = run("actions", "approve", proposal[:8])
    assert (done.exit_code, done.stdout) == (0, f"Approved: decommission node-001 (action {proposal}).\n")
    shown = run_json("actions", "show", proposal)
    assert (shown["status"], shown["decided_by"]) == ("planned", "person:ada")
    assert shown["decided_at"]


def test_a_proposal_is_rejected_with_the_reason(run: Run, run_json: RunJson, proposal: str) -> None:
    done = run("actions", "reject", proposal[:8], "--reason", "still [needed]")
    assert (done.exit_code, done.stdout) == (0, f"Rejected: decommission node-001 (action {proposal}).\n")
    shown = run_json("actions", "show", proposal)
    assert (shown["status"], shown["outcome"]) == ("rejected", "rejected by person:ada: still [needed]")


def test_a_rejection_without_a_reason_is_wrong_usage(run: Run, run_json: RunJson, proposal: str) -> None:
    assert run("actions", "reject", proposal).exit_code == 2
    assert run_json("actions", "show", proposal)["status"] == "proposed"


def test_a_decision_is_taken_once(run: Run, proposal: str) -> None:
    assert run("actions", "approve", proposal).exit_code == 0
    for command in (["approve", proposal], ["reject", proposal, "--reason", "no"]):
        told = failure(run("actions", *command))
        assert "decommission of node-001 is planned, decided by person:ada at" in told
        assert "only what is proposed waits for a decision" in told


def test_too_few_nodes_left_by_now_are_told_and_forced(engine: Engine, run: Run, run_json: RunJson) -> None:
    proposal = propose(engine, add_node(engine))
    told = failure(run("actions", "approve", proposal))
    assert "decommission of node-001 is not approved: capacity_floor: 1 - 1 < 1 nodes in the rotation" in told
    assert run_json("actions", "show", proposal)["status"] == "proposed"
    assert run("actions", "approve", proposal, "--force").exit_code == 0
    assert run_json("actions", "show", proposal)["evidence"] == {"forced": True}


@pytest.mark.parametrize("command", [["approve"], ["reject", "--reason", "no"]])
def test_an_id_that_fits_none_or_several_is_told(engine: Engine, run: Run, command: list[str]) -> None:
    first, second = add_nodes(engine, 2)
    propose(engine, first)
    propose(engine, second)
    unknown = str(uuid4())
    assert f"no action's id begins with '{unknown}'" in failure(run("actions", *command, unknown))
    assert "several actions' ids begin with ''" in failure(run("actions", *command, ""))
