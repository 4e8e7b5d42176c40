"""`penguin-infra nodes resize`: what it asks for, what it refuses, and what it says of the money."""

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import add_nodes, plan
from penguin_infra_tests.simulator_process import SimulatorProcess


@pytest.fixture(autouse=True)
def at_the_simulator(set_environment: Callable[..., None], simulator: SimulatorProcess, engine: Engine) -> None:
    """Three nodes on ssd-1, and the provider whose plans are on offer."""
    names = ("HOSTWIND_API_URL", "HOSTWIND_API_KEY", "HOSTWIND_API_SECRET")
    set_environment(HOSTWIND_REQUESTS_PER_SECOND="500", **{name: simulator.environment[name] for name in names})
    add_nodes(engine, 3)


def asked(engine: Engine) -> list[tuple[Any, ...]]:
    query = "SELECT kind, status, requested_by, reason, evidence FROM fleet.node_actions ORDER BY planned_at"
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def put_on(engine: Engine, name: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET plan = :plan"), {"plan": name})


def test_a_larger_plan_is_planned_in_the_persons_name_with_its_price(engine: Engine, run: Run) -> None:
    done = run("nodes", "resize", "node-001", "ssd-4", "--reason", "its queue grows")
    assert done.exit_code == 0, done.output
    first, second = done.stdout.splitlines()
    assert first == "node-001 from ssd-1 to ssd-4, 14.00 USD a month more."
    assert second.startswith("Planned: resize node-001 (action ")
    evidence = {"from_plan": "ssd-1", "to_plan": "ssd-4", "drain_minutes": 10}
    assert asked(engine) == [("resize", "planned", "person:ada", "its queue grows", evidence)]


def test_a_dry_run_says_the_same_and_asks_for_nothing(engine: Engine, run: Run) -> None:
    done = run("nodes", "resize", "node-001", "ssd-2", "--dry-run")
    assert done.stdout == "Would resize node-001 from ssd-1 to ssd-2, 5.00 USD a month more.\n"
    assert asked(engine) == []


def test_a_smaller_plan_is_refused_until_it_is_meant_and_then_waits(
    engine: Engine, run: Run, run_json: RunJson
) -> None:
    put_on(engine, "ssd-4")
    told = failure(run("nodes", "resize", "node-001", "ssd-1"))
    assert "ssd-1 is smaller than ssd-4, and the provider documents no downsizing" in told
    dry = run("nodes", "resize", "node-001", "ssd-1", "--allow-smaller", "--dry-run").stdout
    assert "14.00 USD a month less. It would wait for approval." in dry
    assert asked(engine) == []
    assert run_json("nodes", "resize", "node-001", "ssd-1", "--allow-smaller")["status"] == "proposed"


@pytest.mark.parametrize(
    ("plan_name", "words"),
    [("ssd-9", "the provider has no 'ssd-9'; it has ssd-1 (4.99 USD a month)"), ("ssd-1", "on ssd-1 already")],
)
def test_a_plan_that_makes_no_sense_is_refused(engine: Engine, run: Run, plan_name: str, words: str) -> None:
    assert words in failure(run("nodes", "resize", "node-001", plan_name))
    assert asked(engine) == []


def test_two_of_a_region_are_not_resized_at_once(engine: Engine, run: Run) -> None:
    with engine.connect() as connection:
        other = connection.scalar(text("SELECT id FROM fleet.sending_nodes WHERE label = 'node-002'"))
    plan(engine, [other], ActionKind.RESIZE)
    assert "node-002 of dallas is being resized" in failure(run("nodes", "resize", "node-001", "ssd-4"))


def test_one_that_still_drains_is_called_off(engine: Engine, run: Run) -> None:
    assert run("nodes", "resize", "node-001", "ssd-4").exit_code == 0
    done = run("nodes", "undrain", "node-001", "--reason", "wrong node")
    assert done.stdout == "resize of node-001 is called off; it stays warming.\n"
    assert asked(engine)[0][1] == "rejected"
