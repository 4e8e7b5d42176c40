"""`penguin-infra nodes`: what is listed and shown, and what pausing and resuming write to the ledger."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.judge_health import judge_health
from penguin_infra.operations.measure_warmups import measure_warmups
from penguin_infra.operations.refresh_alerts import refresh_alerts
from penguin_infra.store import actions as ledger
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address, plan, status_of
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.warmups import stand_at


def asked(engine: Engine) -> list[tuple[str, str, str, str, str]]:
    with engine.connect() as connection:
        rows = ledger.list_actions(connection)
    return [(row.label, row.kind, row.status, row.requested_by, row.reason) for row in rows]


def test_an_empty_fleet_is_told_how_to_begin(run: Run) -> None:
    done = run("nodes", "list")
    assert done.exit_code == 0
    assert "penguin-infra nodes provision" in done.stdout


def test_the_list_says_who_may_send(engine: Engine, run_json: RunJson) -> None:
    add_node(engine, 1)
    listed = add_node(engine, 2)
    add_node(engine, 3, NodeStatus.PAUSED)
    list_address(engine, listed, 2)
    shown = run_json("nodes", "list")
    assert [(row["label"], row["status"], row["is_sending"], row["ip_address"]) for row in shown] == [
        ("node-001", "warming", True, "127.77.0.1"),
        ("node-002", "warming", False, "127.77.0.2"),
        ("node-003", "paused", False, "127.77.0.3"),
    ]
    assert [row["label"] for row in run_json("nodes", "list", "--sending")] == ["node-001"]
    assert [row["label"] for row in run_json("nodes", "list", "--status", "paused")] == ["node-003"]


def test_a_warming_nodes_stage_allowance_and_reasons_are_shown(engine: Engine, run: Run, run_json: RunJson) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 100, NOW - timedelta(days=1), begun_at=NOW - timedelta(days=3))
    measure_warmups(engine, WarmupRules(), now=NOW)
    shown = run_json("nodes", "show", "node-001")
    # In the day's first hour five messages are due; later, what was left over before may be caught up with.
    assert shown["hour_left"] in {5, 10}
    told = ("warmup_stage", "allowed_today", "day_left", "full_capacity_on", "warmup_decision")
    assert [shown[name] for name in told] == ["2 of 14", 100, 100, "2026-12-05T12:00:00+00:00", "hold"]
    assert "0 of 100 messages were delivered in a day" in shown["warmup_reasons"]
    assert "0 of 100 messages" in run("nodes", "show", "node-001").stdout
    (row,) = run_json("nodes", "list")
    assert row["hour_left"] == shown["hour_left"]


def test_a_node_that_is_warmed_up_has_no_allowance_to_show(engine: Engine, run_json: RunJson) -> None:
    add_node(engine, status=NodeStatus.ACTIVE)
    shown = run_json("nodes", "show", "node-001")
    assert [shown[name] for name in ("warmup_stage", "allowed_today", "hour_left", "day_left")] == [None] * 4


def test_the_list_says_how_each_node_is_since_when_and_why(engine: Engine, run: Run, run_json: RunJson) -> None:
    well, ill = add_nodes(engine, 2)
    add_node(engine, 3, NodeStatus.DECOMMISSIONED)
    tick(engine)
    beat(engine, [well])
    beat(engine, [ill], silent_seconds=120, at=NOW - timedelta(minutes=2))
    judge_health(engine, now=NOW)
    shown = run_json("nodes", "list")
    assert [(row["health"], row["is_sending"]) for row in shown] == [
        ("healthy", True), ("unhealthy", False), (None, False),
    ]  # fmt: skip
    (row,) = run_json("nodes", "list", "--health", "unhealthy")
    assert (row["label"], row["health_since"], row["heard_at"]) == (
        "node-002", "2026-11-24T12:00:00+00:00", "2026-11-24T11:58:00+00:00",
    )  # fmt: skip
    assert "silent" in row["health_reason"]
    assert "unhealthy" in run("nodes", "list").stdout


def test_a_node_is_shown_with_its_health_and_what_is_told_of_it(engine: Engine, run: Run, run_json: RunJson) -> None:
    node_id = add_node(engine, 1, NodeStatus.MAINTENANCE)
    tick(engine)
    beat(engine, [node_id], mta_state="down")
    judge_health(engine, now=NOW)
    refresh_alerts(engine, limits=SilenceLimits(), now=NOW)
    shown = run_json("nodes", "show", "node-001")
    assert (shown["health"], shown["health_reason"]) == ("unhealthy", "the MTA is down, says its heartbeat")
    assert [(one["health"], one["happened_at"]) for one in shown["health_changes"]] == [
        ("unhealthy", "2026-11-24T12:00:00+00:00")
    ]
    assert [one["rule"] for one in shown["alerts"]] == ["maintenance"]
    for words in ("Health", "Alerts", "the MTA is down"):
        assert words in run("nodes", "show", "node-001").stdout


def test_the_table_shows_the_nodes_in_words(engine: Engine, run: Run) -> None:
    add_node(engine, 1, NodeStatus.PAUSED)
    done = run("nodes", "list")
    for words in ("node-001", "paused", "127.77.0.1", "dallas", "ssd-1", "2026-11-23 12:00:00"):
        assert words in done.stdout


@pytest.mark.parametrize("by", ["label", "address", "id"])
def test_a_node_is_shown_whole_by_any_of_its_names(engine: Engine, run_json: RunJson, by: str) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id])
    shown = run_json("nodes", "show", {"label": "node-001", "address": "127.77.0.1", "id": str(node_id)}[by])
    assert (shown["node_id"], shown["status"], shown["is_sending"]) == (str(node_id), "warming", False)
    assert [(each["zone"], each["severity"]) for each in shown["listings"]] == [("zen.spamhaus.org", "critical")]
    assert [(each["kind"], each["status"]) for each in shown["actions"]] == [("pause", "planned")]
    assert [each["to_status"] for each in shown["transitions"]] == ["provisioning", "warming"]
    assert shown["steps"] == []


def test_a_node_is_shown_to_people_with_all_its_tables(engine: Engine, run: Run) -> None:
    node_id = add_node(engine)
    list_address(engine, node_id)
    plan(engine, [node_id])
    done = run("nodes", "show", "node-001")
    assert done.exit_code == 0
    for words in ("Listed", "zen.spamhaus.org", "Actions", "person:test", "History", "warming", str(node_id)):
        assert words in done.stdout


@pytest.mark.parametrize("command", ["show", "pause", "resume"])
def test_a_node_that_nobody_has_is_told_with_near_names(engine: Engine, run: Run, command: str) -> None:
    add_node(engine)
    assert "no node has the label, address or id 'node-01'; near: node-001" in failure(run("nodes", command, "node-01"))


def test_a_pause_is_planned_in_the_persons_name(engine: Engine, run_json: RunJson) -> None:
    node_id = add_node(engine)
    done = run_json("nodes", "pause", "node-001", "--reason", "complaints")
    assert (done["node"], done["kind"]) == ("node-001", "pause")
    assert asked(engine) == [("node-001", "pause", "planned", "person:ada", "complaints")]
    with engine.connect() as connection:
        assert [str(row.id) for row in ledger.list_actions(connection)] == [done["action_id"]]
    assert status_of(engine, node_id) is NodeStatus.WARMING


def test_a_resume_is_planned_in_the_persons_name(engine: Engine, run: Run) -> None:
    add_node(engine, 1, NodeStatus.PAUSED)
    done = run("nodes", "resume", "127.77.0.1")
    assert (done.exit_code, done.stdout.startswith("Planned: resume node-001 (action ")) == (0, True)
    assert asked(engine) == [("node-001", "resume", "planned", "person:ada", "asked for by hand")]


@pytest.mark.parametrize(("command", "status"), [("pause", NodeStatus.WARMING), ("resume", NodeStatus.PAUSED)])
def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    engine: Engine, run: Run, run_json: RunJson, command: str, status: NodeStatus
) -> None:
    add_node(engine, 1, status)
    done = run("nodes", command, "node-001", "--dry-run", "--reason", "[just] looking")
    assert done.exit_code == 0
    assert done.stdout == f"Would {command} node-001 ({status}): [just] looking\n"
    assert run_json("nodes", command, "node-001", "--dry-run") == {
        "action_id": None, "node": "node-001", "kind": command
    }  # fmt: skip
    assert asked(engine) == []


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
@pytest.mark.parametrize(
    ("command", "status", "complaint"),
    [
        ("pause", NodeStatus.PAUSED, "a node that is paused cannot be paused"),
        ("pause", NodeStatus.PROVISIONING, "a node that is provisioning cannot be paused"),
        ("resume", NodeStatus.WARMING, "only a paused or maintained node can be resumed"),
    ],
)
def test_what_is_not_possible_is_refused_at_once(
    engine: Engine, run: Run, command: str, status: NodeStatus, complaint: str, dry: list[str]
) -> None:
    add_node(engine, 1, status)
    assert complaint in failure(run("nodes", command, "node-001", *dry))
    assert asked(engine) == []


def test_a_node_that_is_still_listed_is_not_resumed(engine: Engine, run: Run) -> None:
    node_id = add_node(engine, 1, NodeStatus.PAUSED)
    list_address(engine, node_id)
    assert "still listed by zen.spamhaus.org" in failure(run("nodes", "resume", "node-001"))


def test_a_second_pause_is_refused_by_its_rule(engine: Engine, run: Run) -> None:
    plan(engine, [add_node(engine)])
    assert "one_open_action: a pause of this node is open already" in failure(run("nodes", "pause", "node-001"))


def test_waiting_ends_with_the_actions_outcome(engine: Engine, run: Run) -> None:
    """The command looks once a second: the action is closed by another process meanwhile."""
    add_node(engine, 1, NodeStatus.PAUSED)
    close_at_once(engine)
    done = run("nodes", "resume", "node-001", "--wait")
    assert (done.exit_code, done.stderr.strip()) == (1, "penguin-infra: failed: it cannot be")


def close_at_once(engine: Engine) -> None:
    """Let the database itself close every new action as failed, as a quick run would."""
    with engine.begin() as connection:
        connection.exec_driver_sql(
            """
            CREATE FUNCTION fleet.close_at_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.status := 'failed'; NEW.outcome := 'it cannot be'; NEW.finished_at := now(); RETURN NEW;
            END $$;
            CREATE TRIGGER close_at_once BEFORE INSERT ON fleet.node_actions
                FOR EACH ROW EXECUTE FUNCTION fleet.close_at_once();
            """
        )
