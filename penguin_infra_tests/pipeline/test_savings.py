"""Savings in the pipeline: the list with its figures, and a downsize that is planned, approved and really done."""

from typing import Any
from uuid import UUID

import dagster as dg
import pytest
from sqlalchemy import text

from penguin_infra.defs.remediation.resize import resize_sensor
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra.domain.savings import SavingKind
from penguin_infra.operations.approve_action import approve_action
from penguin_infra.operations.plan_saving import plan_saving
from penguin_infra.store import node_places, nodes
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes
from penguin_infra_tests.pipeline.conftest import POLICY
from penguin_infra_tests.pipeline.test_inventory import materialized
from penguin_infra_tests.pipeline.test_leaving_jobs import skip_reason
from penguin_infra_tests.pipeline.test_node_jobs import ask, ledger, run
from penguin_infra_tests.pulses import beat, tick
from penguin_infra_tests.saving import age, one_of, put_on, sell, send, speak

# Nodes carry 24,000 a day, and no spare is kept: a small fleet saves in plain numbers.
SAVING = """
[warmup]
curve = "quick"
curves = { quick = [6000, 12000, 18000, 24000] }
[capacity]
messages_per_hour = { ssd-1 = 1000, ssd-2 = 2000 }
[growth]
warm_spares = 0
[resize]
drain_minutes = 0
"""


@pytest.fixture
def policy_file(tmp_path: Any) -> Any:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY + SAVING)
    return path


@pytest.fixture
def oversized(fleet: Wiring) -> UUID:
    """A node with an instance on a plan twice as large as it needs, beside three others that are well used."""
    now = fleet.clock.now()
    made = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    others = [add_node(fleet.engine, number, NodeStatus.ACTIVE) for number in (77_771, 77_772, 77_773)]
    label = InstanceLabel.of(fleet_name=fleet.settings.fleet_name, label="node-001", node_id=made)
    provider_id = fleet.provider.create_instance(label=str(label), region="dallas", plan="ssd-2").provider_id
    while (address := fleet.provider.get_instance(provider_id).ip_address) is None:
        fleet.clock.sleep(0.05)
    with fleet.engine.begin() as connection:
        node_places.record_instance(connection, made, provider_id, now)
        node_places.record_address(connection, made, address, now)
    sell(fleet.engine, now)
    put_on(fleet.engine, made, "ssd-2")
    age(fleet.engine, days=50, now=now)
    speak(fleet.engine, others, cpu=80, now=now)
    speak(fleet.engine, [made], cpu=20, memory=25, now=now)
    send(fleet.engine, [made, *others], 590, now=now)
    return made


@pytest.fixture
def hears_of_it(fleet: Wiring, oversized: UUID, monkeypatch: pytest.MonkeyPatch) -> None:
    """The node speaks at every wait of a run: an agent lives on its own."""
    sleep = type(fleet.clock).sleep

    def speaking(clock: object, seconds: float) -> None:
        sleep(clock, seconds)  # type: ignore[arg-type]
        tick(fleet.engine, at=fleet.clock.now())
        beat(fleet.engine, [oversized], silent_seconds=100, at=fleet.clock.now())

    monkeypatch.setattr(type(fleet.clock), "sleep", speaking)


def list_savings(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.AssetMaterialization:
    job = definitions.resolve_job_def("report_days")
    result = job.execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey("cost_optimisation")],
        tags={"dagster/asset_partition_range_start": "2026-01-01", "dagster/asset_partition_range_end": "2026-01-02"},
    )
    found: dg.AssetMaterialization = materialized(result)["cost_optimisation"]
    return found


def rows(fleet: Wiring) -> list[AnyRow]:
    with fleet.engine.connect() as connection:
        return list(connection.execute(text("SELECT * FROM analytics.cost_optimisation ORDER BY label")))


def make(fleet: Wiring, saving_id: UUID) -> UUID:
    """Plan a saving as a person does."""
    with fleet.engine.begin() as connection:
        step = plan_saving(
            connection,
            str(saving_id),
            search=fleet.saving_search,
            guardrails=fleet.policy.guardrails,
            drain_minutes=0,
            requested_by="person:ada",
            now=fleet.clock.now(),
        )
    assert step.action_id
    return step.action_id


def test_the_list_takes_the_place_of_the_last_one_and_is_shown_with_its_figures(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, oversized: UUID
) -> None:
    shown = list_savings(definitions, instance).metadata
    (row,) = rows(fleet)
    assert (row.kind, row.node_id, row.plan, row.to_plan) == ("downsize", oversized, "ssd-2", "ssd-1")
    assert float(row.saving_monthly_usd) == shown["saving_monthly_usd"].value == pytest.approx(7.3)
    assert (shown["downsize_count"].value, shown["retire_count"].value) == (1, 0)
    assert shown["cost_after_monthly_usd"].value == pytest.approx(29.2)
    assert shown["dagster/row_count"].value == 1
    assert "now, US cents a month" in str(shown["before_and_after"].value)
    assert row.command in str(shown["savings"].value)
    assert "saving_monthly_usd" in shown["dagster/column_lineage"].value.deps_by_column  # type: ignore[union-attr]
    put_on(fleet.engine, oversized, "ssd-1")
    list_savings(definitions, instance)
    assert rows(fleet) == []


def test_a_fleet_without_anything_has_an_empty_list(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    add_nodes(fleet.engine, 2, NodeStatus.ACTIVE)
    shown = list_savings(definitions, instance).metadata
    assert (shown["dagster/row_count"].value, shown["saving_monthly_usd"].value) == (0, 0.0)
    assert "no capacity is given up" in str(shown["not_judged"].value)


def test_a_planned_downsize_waits_for_approval_and_is_then_really_done(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, oversized: UUID, hears_of_it: None
) -> None:
    list_savings(definitions, instance)
    saving = one_of(fleet.engine, SavingKind.DOWNSIZE, fleet.saving_search, fleet.clock.now())
    action_id = make(fleet, saving.id)
    list_savings(definitions, instance)
    assert [(row.id, row.action_id) for row in rows(fleet)] == [(saving.id, action_id)]
    assert "waiting for approval" in skip_reason(resize_sensor, fleet, instance)
    with fleet.engine.begin() as connection:
        limits = fleet.policy.guardrails
        approve_action(connection, action_id, decided_by="person:bob", limits=limits, now=fleet.clock.now())
    (request,) = ask(resize_sensor, fleet, instance)
    assert run("resize", request, definitions, instance).success
    assert ledger(fleet) == [("resize", "succeeded")]
    with fleet.engine.connect() as connection:
        node = nodes.get_node(connection, oversized)
    assert (node.status, node.plan) == (NodeStatus.ACTIVE, "ssd-1")
    assert fleet.provider.get_instance(str(node.provider_id)).plan == "ssd-1"
    list_savings(definitions, instance)
    assert rows(fleet) == []
