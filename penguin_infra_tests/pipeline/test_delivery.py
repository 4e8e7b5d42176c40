"""Delivery end to end: counts become rates, alerts and checks; a proven rate pauses its node, and a day ends that."""

from datetime import timedelta
from typing import Any

import dagster as dg
from sqlalchemy import text

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.pause import pause_sensor
from penguin_infra.defs.remediation.resume import resume_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import actions
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring
from penguin_infra_tests.deliveries import add_complaint, add_counts
from penguin_infra_tests.feedback import feedback_report
from penguin_infra_tests.fleets import add_node, add_nodes, rotation, status_of
from penguin_infra_tests.operations.test_record_complaint import record
from penguin_infra_tests.pipeline.test_inventory import checks, figures, materialized
from penguin_infra_tests.pipeline.test_node_jobs import ask, run

FIGURES = {
    "dagster/row_count", "nodes", "attempted", "sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired",
    "deferrals", "complaints", "alerts_opened", "alerts_resolved",
}  # fmt: skip
RATES = {"bounce_rate", "complaint_rate", "policy_rejection_rate"}


def measure(fleet: Wiring, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(fleet).resolve_job_def("measure_telemetry")
    selection = [dg.AssetKey("delivery_rates")]
    return job.execute_in_process(instance=instance, asset_selection=selection, raise_on_error=False)


def count(fleet: Wiring, node_id: Any, *, minutes_ago: int = 5, provider: str = "gmail", **messages: int) -> None:
    at = fleet.clock.now() - timedelta(minutes=minutes_ago)
    add_counts(fleet.engine, node_id, at=at, provider=provider, **messages)


def newest_action(fleet: Wiring) -> AnyRow:
    with fleet.engine.connect() as connection:
        return actions.list_actions(connection, limit=1)[0]


def open_alerts(fleet: Wiring) -> list[tuple[str, str]]:
    with fleet.engine.connect() as connection:
        query = text("SELECT rule, subject FROM fleet.alerts WHERE resolved_at IS NULL ORDER BY rule, subject")
        return [(row.rule, row.subject) for row in connection.execute(query)]


def test_counts_become_rates_with_the_worst_node_first(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    good, bad = add_nodes(fleet.engine, 2)
    count(fleet, good, sent=990, hard_bounce=10)
    count(fleet, bad, sent=80, hard_bounce=10, policy_rejection=10)
    result = measure(fleet, instance)
    assert result.success
    shown = materialized(result)["delivery_rates"]
    assert figures(shown)["attempted"] == 1100
    assert figures(shown)["dagster/row_count"] == 8
    assert shown.metadata["bounce_rate"].value == 20 / 1100
    worst = str(shown.metadata["worst_nodes"].value).splitlines()[2]
    assert worst.startswith("| node-002 | 100 | 10.00% (10 of 100")
    assert "gmail: 10.00%" in worst
    assert "sent" in str(shown.metadata["results"].value)


def test_delivery_figures_keep_their_keys_whether_or_not_anything_was_sent(
    fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    empty = materialized(measure(fleet, instance))["delivery_rates"]
    count(fleet, add_node(fleet.engine), sent=1)
    full = materialized(measure(fleet, instance))["delivery_rates"]
    for each in (empty, full):
        assert set(figures(each)) == FIGURES
        assert set(each.metadata) >= RATES | {"results", "worst_nodes"}


def test_rates_open_alerts_and_resolve_them(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    node_id = add_node(fleet.engine)
    count(fleet, node_id, sent=900, hard_bounce=100, provider="yahoo")
    count(fleet, node_id, sent=90, policy_rejection=10, provider="microsoft")
    add_complaint(fleet.engine, node_id, at=fleet.clock.now() - timedelta(minutes=5), incidents=1)
    first = materialized(measure(fleet, instance))["delivery_rates"]
    # One complaint among 990 sent is too little mail to judge by.
    assert open_alerts(fleet) == [("bounce_rate", "node-001"), ("policy_rejections", "node-001 at microsoft")]
    assert figures(first)["alerts_opened"] == 2
    count(fleet, node_id, sent=10_000, provider="microsoft", minutes_ago=10)
    second = materialized(measure(fleet, instance))["delivery_rates"]
    assert open_alerts(fleet) == []
    assert figures(second)["alerts_resolved"] == 2


def test_silence_of_all_warns_while_nodes_send(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    assert checks(measure(fleet, instance))["deliveries_are_reported"].passed
    node_id = add_node(fleet.engine)
    count(fleet, node_id, sent=1, minutes_ago=70)
    silent = checks(measure(fleet, instance))["deliveries_are_reported"]
    assert (silent.passed, silent.severity) == (False, dg.AssetCheckSeverity.WARN)
    count(fleet, node_id, sent=1)
    assert checks(measure(fleet, instance))["deliveries_are_reported"].passed


def test_complaints_about_nobody_warn(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    now = fleet.clock.now()
    add_node(fleet.engine)
    record(fleet.engine, feedback_report(arrived_at=now), now)
    assert checks(measure(fleet, instance))["complaints_are_attributed"].passed
    record(fleet.engine, feedback_report(source_ip=None), now)
    check = checks(measure(fleet, instance))["complaints_are_attributed"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.metadata["reports"].value, check.metadata["unattributed"].value) == (2, 1)
    assert "no_source_ip" in str(check.metadata["why"].value)


def test_a_bouncing_node_is_paused_by_the_sensors_run_with_its_numbers(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    bad, good = add_nodes(fleet.engine, 2)
    count(fleet, bad, sent=700, hard_bounce=300)
    count(fleet, good, sent=99, hard_bounce=1)
    measure(fleet, instance)
    (request,) = ask(pause_sensor, fleet, instance)
    assert request.tags["penguin/cause"] == "policy:pause_bouncing"
    assert "30.00% (300 of 1000" in request.tags["penguin/reason"]
    assert newest_action(fleet).evidence["bounce"]["count"] == 300
    assert run("pause", request, definitions, instance).success
    assert status_of(fleet.engine, bad) is NodeStatus.PAUSED
    assert rotation(fleet.engine) == {good}


def test_a_node_that_was_paused_for_its_rates_a_day_ago_comes_back_by_itself(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine)
    count(fleet, node_id, hard_bounce=500)
    measure(fleet, instance)
    (request,) = ask(pause_sensor, fleet, instance)
    run("pause", request, definitions, instance)
    waiting: Any = resume_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert waiting.skip_message == "no node needs resume"
    with fleet.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.node_actions SET finished_at = finished_at - interval '24 hours'"))
    (request,) = ask(resume_sensor, fleet, instance)
    assert request.tags["penguin/cause"] == "policy:resume_recovered"
    assert run("resume", request, definitions, instance).success
    assert rotation(fleet.engine) == {node_id}
    measure(fleet, instance)
    again: Any = pause_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))
    assert again.skip_message == "no node needs pause"
