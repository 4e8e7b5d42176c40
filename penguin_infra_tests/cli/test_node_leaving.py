"""`penguin-infra nodes maintain`, `decommission`, `undrain`: what they ask for, what they refuse, what they tell."""

import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import drains
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import add_node, add_nodes, plan, rotation, status_of
from penguin_infra_tests.operations.leaving import Leaving, tell_queue
from penguin_infra_tests.pulses import tick
from penguin_infra_tests.waiting import until

BOTH = pytest.mark.parametrize("command", ["maintain", "decommission"])


def asked(engine: Engine) -> list[tuple[Any, ...]]:
    query = (
        "SELECT kind, status, requested_by, decided_by, reason, evidence FROM fleet.node_actions ORDER BY planned_at"
    )
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


@pytest.fixture
def type_line(engine: Engine, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command as a process, which ends in time also where it waits for ever."""
    told = {
        "PENGUIN_DATABASE_URL": engine.url.render_as_string(hide_password=False),
        "PENGUIN_HOME": str(tmp_path),
        "LOGNAME": "ada",
    }

    def typing(*line: str, policy: str = "", stdin: int = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
        (tmp_path / "policy.toml").write_text(policy)
        return subprocess.run(
            [sys.executable, "-m", "penguin_infra", *line],
            stdin=stdin,
            capture_output=True,
            env=os.environ | told | {"PENGUIN_POLICY_FILE": str(tmp_path / "policy.toml")},
            timeout=90,
            text=True,
            check=False,
        )

    return typing


def test_a_maintenance_is_planned_in_the_persons_name_with_its_deadline(engine: Engine, run: Run) -> None:
    add_nodes(engine, 3)
    done = run("nodes", "maintain", "node-001", "--reason", "kernel update", "--drain-minutes", "5")
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith("Planned: maintenance node-001 (action ")
    assert asked(engine) == [("maintenance", "planned", "person:ada", None, "kernel update", {"drain_minutes": 5.0})]


def test_a_decommission_waits_for_a_person_and_says_how_it_is_approved(engine: Engine, type_line: Any) -> None:
    """Also with `--wait`: nobody knows when it is decided."""
    node_id, *_ = add_nodes(engine, 3)
    done = type_line("nodes", "decommission", "node-001", "--reason", "burnt", "--wait")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("Proposed: decommission node-001 (action ")
    assert "`penguin-infra actions approve " in second
    assert asked(engine) == [("decommission", "proposed", "person:ada", None, "burnt", {"drain_minutes": 30.0})]
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_yes_approves_it_at_once_in_the_same_name(engine: Engine, run: Run, run_json: RunJson) -> None:
    add_nodes(engine, 4)
    done = run("nodes", "decommission", "node-001", "--yes")
    assert done.stdout.startswith("Planned: decommission node-001 (action ")
    assert asked(engine)[0][:4] == ("decommission", "planned", "person:ada", "person:ada")
    told = run_json("nodes", "decommission", "node-002", "--yes")
    assert (told["node"], told["kind"], told["status"]) == ("node-002", "decommission", "planned")


def test_where_nothing_waits_for_approval_it_is_planned(
    engine: Engine, run: Run, set_environment: Any, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[guardrails]\napprove = []\n")
    set_environment(PENGUIN_POLICY_FILE=str(path))
    add_nodes(engine, 3)
    assert run("nodes", "decommission", "node-001").stdout.startswith("Planned: decommission node-001")
    assert asked(engine)[0][:4] == ("decommission", "planned", "person:ada", None)


def test_a_pause_waits_too_where_the_policy_says_so(engine: Engine, type_line: Any) -> None:
    add_nodes(engine, 3)
    done = type_line("nodes", "pause", "node-001", "--wait", policy='[guardrails]\napprove = ["pause"]\n')
    assert (done.returncode, done.stdout.startswith("Proposed: pause node-001")) == (0, True), done.stderr


@BOTH
def test_too_few_nodes_left_are_refused_with_the_sum_and_the_way_past(engine: Engine, run: Run, command: str) -> None:
    add_node(engine)
    refusal = failure(run("nodes", command, "node-001"))
    assert "capacity_floor: 1 - 1 < 1 nodes in the rotation (50% of 1 in service, rounded up)" in refusal
    assert "`--force` does it all the same" in refusal
    assert [row[1] for row in asked(engine)] == ["refused"]


def test_force_does_it_all_the_same_and_the_ledger_says_so(engine: Engine, run: Run) -> None:
    add_node(engine)
    assert run("nodes", "maintain", "node-001", "--force", "--drain-minutes", "0").exit_code == 0
    assert asked(engine)[0][5] == {"drain_minutes": 0.0, "forced": True}


def test_force_and_yes_together_are_approved(engine: Engine, run: Run) -> None:
    add_node(engine)
    assert run("nodes", "decommission", "node-001", "--force", "--yes").exit_code == 0
    assert asked(engine)[0][1:4] == ("planned", "person:ada", "person:ada")


def test_a_dry_run_says_what_would_be_done_and_does_nothing(engine: Engine, run: Run, run_json: RunJson) -> None:
    add_nodes(engine, 3)
    assert run("nodes", "maintain", "node-001", "--dry-run", "--drain-minutes", "0").stdout == (
        "Would maintain: node-001 (warming, 127.77.0.1) is held at once.\n"
    )
    assert run("nodes", "decommission", "node-001", "--dry-run").stdout == (
        "Would decommission: node-001 (warming, 127.77.0.1) is drained for up to 30 min. It would wait for approval.\n"
    )
    assert run_json("nodes", "maintain", "node-001", "--dry-run") == {
        "action_id": None, "node": "node-001", "kind": "maintenance",
    }  # fmt: skip
    assert asked(engine) == []


@BOTH
def test_a_dry_run_tells_of_the_rule_that_would_refuse_it_and_keeps_nothing(
    engine: Engine, run: Run, command: str
) -> None:
    add_node(engine)
    assert "capacity_floor" in failure(run("nodes", command, "node-001", "--dry-run"))
    assert asked(engine) == []


@pytest.mark.parametrize(
    ("command", "status", "complaint"),
    [
        ("maintain", NodeStatus.MAINTENANCE, "a node that is maintenance cannot be maintenance_begun"),
        ("maintain", NodeStatus.PROVISIONING, "cancel its provision run in the UI"),
        ("decommission", NodeStatus.PROVISIONING, "cancel its provision run in the UI"),
        ("decommission", NodeStatus.DECOMMISSIONED, "none: it is final"),
        ("undrain", NodeStatus.WARMING, "nothing takes it out of service"),
    ],
)
def test_what_is_not_possible_is_refused_at_once(
    engine: Engine, run: Run, command: str, status: NodeStatus, complaint: str
) -> None:
    add_node(engine, 1, status)
    assert complaint in failure(run("nodes", command, "node-001"))
    assert asked(engine) == []


@BOTH
@pytest.mark.parametrize("minutes", ["-1", "241", "nan"])
def test_a_drain_has_its_bounds(engine: Engine, run: Run, command: str, minutes: str) -> None:
    add_nodes(engine, 3)
    assert run("nodes", command, "node-001", "--drain-minutes", minutes).exit_code != 0
    assert asked(engine) == []


def test_a_policys_drain_beyond_the_bounds_is_told(
    engine: Engine, run: Run, set_environment: Any, tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[provisioning]\ndrain_minutes = 600\n")
    set_environment(PENGUIN_POLICY_FILE=str(path))
    add_nodes(engine, 3)
    assert "drain_minutes: 600 is not between 0 (at once) and 240" in failure(run("nodes", "maintain", "node-001"))


def test_a_drain_is_shown_and_called_off(engine: Engine, run: Run, run_json: RunJson) -> None:
    node_id, *_ = add_nodes(engine, 3)
    plan(engine, [node_id], ActionKind.MAINTENANCE)
    with engine.begin() as connection:
        drains.begin_drain(connection, node_id, datetime.now(UTC) + timedelta(minutes=30))
    assert node_id not in rotation(engine)
    shown = run_json("nodes", "show", "node-001")
    assert (shown["is_sending"], bool(shown["drains_until"])) == (False, True)
    done = run("nodes", "undrain", "node-001", "--reason", "wrong [node]")
    assert done.stdout == "maintenance of node-001 is called off; it stays warming.\n"
    assert node_id in rotation(engine)
    assert asked(engine)[0][1:4] == ("rejected", "person:test", "person:ada")


@contextmanager
def a_run_of(engine: Engine, node_id: Any) -> Iterator[Leaving]:
    """What the fleet's job does, in a thread: the queue empties in its fast time, at a person's pace."""
    tick(engine)
    world = Leaving(engine, None, node_id, at=datetime.now(UTC))  # type: ignore[arg-type]
    tell_queue(world, deferred=5)

    def meanwhile(world: Leaving) -> None:
        time.sleep(1.2)
        tell_queue(world, deferred=5 if len(world.said) < 3 else 0)

    world.meanwhile = meanwhile

    def work() -> None:
        until("it is asked for", lambda: asked(engine))
        world.maintain()

    thread = Thread(target=work)
    thread.start()
    try:
        yield world
    finally:
        thread.join(60)


def test_waiting_shows_what_the_drain_waits_for_and_ends_with_the_outcome(engine: Engine, type_line: Any) -> None:
    node_id, *_ = add_nodes(engine, 3)
    with a_run_of(engine, node_id):
        done = type_line("nodes", "maintain", "node-001", "--wait", "--drain-minutes", "10")
    assert done.returncode == 0, done.stderr
    told = " ".join(done.stderr.split())
    assert "drain running: 5 mails wait (0 active, 5 deferred, 0 held), as it said at" in told
    assert "10 min left" in told
    assert "node-001 is in maintenance; its queue was empty after" in told


@pytest.mark.parametrize(("answer", "status"), [(b"y\n", "planned"), (b"n\n", None)])
def test_on_a_terminal_the_person_is_asked_and_yes_approves_it(
    engine: Engine, type_line: Any, answer: bytes, status: str | None
) -> None:
    add_nodes(engine, 3)
    terminal, stdin = pty.openpty()
    try:
        os.write(terminal, answer)
        done = type_line("nodes", "decommission", "node-001", stdin=stdin)
    finally:
        os.close(terminal)
        os.close(stdin)
    question = "node-001 (warming, 127.77.0.1) is drained for up to 30 min, and then destroyed for good. Go on?"
    assert question in done.stderr
    if status is None:
        assert (done.returncode, asked(engine)) == (1, [])
        assert "nothing was asked for" in done.stderr
    else:
        assert done.returncode == 0, done.stderr
        assert asked(engine)[0][1:4] == (status, "person:ada", "person:ada")
