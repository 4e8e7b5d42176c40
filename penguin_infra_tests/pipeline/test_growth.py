"""Growth and shrinking as Dagster sees them: run requests that carry the sums, proposals, and the plan in the UI."""

from typing import Any

import dagster as dg
import pytest
from sqlalchemy import text

from penguin_infra.defs.remediation.decommission import decommission_sensor
from penguin_infra.defs.remediation.provision import provision_sensor
from penguin_infra.domain.guardrails import Rule
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import actions, nodes, switches
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_nodes
from penguin_infra_tests.growing import ask_for, sell
from penguin_infra_tests.pipeline.conftest import POLICY
from penguin_infra_tests.pipeline.test_inventory import figures, materialized

GROWTH = """
[warmup]
curve = "quick"
curves = { quick = [6000, 12000, 18000, 24000] }
[capacity]
messages_per_hour = { ssd-1 = 1000 }
[growth]
warm_spares = 0
"""


@pytest.fixture
def policy_file(tmp_path: Any) -> Any:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY + GROWTH)
    return path


@pytest.fixture
def old_fleet(fleet: Wiring) -> Wiring:
    """Five nodes that carry 24,000 a day each, asked for long ago."""
    sell(fleet.engine, fleet.clock.now())
    add_nodes(fleet.engine, 5, NodeStatus.ACTIVE)
    with fleet.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET created_at = now() - interval '100 days'"))
    return fleet


def evaluate(sensor: dg.SensorDefinition, fleet: Wiring, instance: dg.DagsterInstance) -> Any:
    return sensor(dg.build_sensor_context(instance=instance, resources={"fleet": fleet}))


def materialize_plan(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.AssetMaterialization:
    job = definitions.resolve_job_def("measure_telemetry")
    result = job.execute_in_process(instance=instance, asset_selection=[dg.AssetKey("remediation_plan")])
    found: dg.AssetMaterialization = materialized(result)["remediation_plan"]
    return found


def test_at_80_percent_the_sensor_asks_for_nodes_and_their_runs_carry_the_sums(
    old_fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    ask_for(old_fleet.engine, 96_000, now=old_fleet.clock.now())
    requests = evaluate(provision_sensor, old_fleet, instance)
    # Asked for at one moment: in no order.
    assert {request.tags["penguin/node"] for request in requests} == {"node-dallas-001", "node-dallas-002"}
    for request in requests:
        why = request.tags["penguin/reason"]
        assert "was requested by policy:grow_fleet" in why
        assert "96,000 of 120,000 a day; in 3 days 96,000 / 0.65 - 120,000 usable" in why
        assert "2 of 2 needed are asked for" in why
    # Once: what was asked for counts, and the next ticks ask for its runs only.
    evaluate(provision_sensor, old_fleet, instance)
    with old_fleet.engine.connect() as connection:
        assert len(nodes.list_nodes(connection, {NodeStatus.PROVISIONING})) == 2


def test_below_80_percent_and_while_frozen_it_asks_for_none(old_fleet: Wiring, instance: dg.DagsterInstance) -> None:
    ask_for(old_fleet.engine, 95_904, now=old_fleet.clock.now())
    assert isinstance(evaluate(provision_sensor, old_fleet, instance), dg.SkipReason)
    ask_for(old_fleet.engine, 24_000, now=old_fleet.clock.now(), region="more")
    with old_fleet.engine.begin() as connection:
        switches.freeze(connection, reason="a drill", requested_by="person:anna", now=old_fleet.clock.now())
    assert isinstance(evaluate(provision_sensor, old_fleet, instance), dg.SkipReason)
    with old_fleet.engine.connect() as connection:
        assert nodes.list_nodes(connection, {NodeStatus.PROVISIONING}) == []


def test_what_the_fleet_could_spare_is_proposed_and_never_run(old_fleet: Wiring, instance: dg.DagsterInstance) -> None:
    ask_for(old_fleet.engine, 24_000, days=30, now=old_fleet.clock.now())
    answer = evaluate(decommission_sensor, old_fleet, instance)
    assert isinstance(answer, dg.SkipReason)
    assert str(answer.skip_message).startswith("1 decommission waiting for approval")
    with old_fleet.engine.connect() as connection:
        (proposal,) = actions.list_actions(connection)
    assert (proposal.status, proposal.requested_by) == ("proposed", "policy:shrink_fleet")
    assert "could be given up for $4.99 a month" in proposal.reason


def test_the_plan_is_shown_with_its_sums_and_the_rules_in_their_order(
    old_fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    ask_for(old_fleet.engine, 96_000, now=old_fleet.clock.now())
    shown = materialize_plan(definitions, instance)
    numbers = figures(shown)
    assert {key: numbers[key] for key in ("would_do", "nodes_lacking", "nodes_to_ask_for", "refused")} == {
        "would_do": 1, "nodes_lacking": 2, "nodes_to_ask_for": 2, "refused": 0,
    }  # fmt: skip
    assert "2 new in dallas" in str(shown.metadata["what_would_be_done"].value)
    assert "Growth: demand has reached 80%" in str(shown.metadata["fleet_size"].value)
    (spec,) = [s for s in definitions.resolve_all_asset_specs() if s.key == dg.AssetKey("remediation_plan")]
    told = [str(spec.description).index(f"`{rule}`: {rule.meaning}") for rule in Rule]
    assert told == sorted(told)
    with old_fleet.engine.connect() as connection:
        assert len(nodes.list_nodes(connection)) == 5
