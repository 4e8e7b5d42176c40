"""Stock is taken against a simulated Hostwind: an empty answer concludes nothing, what is foreign stays untouched."""

import dagster as dg
import pytest
from sqlalchemy import text

from penguin_infra.domain.node import InstanceLabel
from penguin_infra.store import node_places, nodes
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node
from penguin_infra_tests.simulator_process import SimulatorProcess

FIGURES = {
    "provider_instances": {"dagster/row_count", "running"},
    "node_inventory": {
        "dagster/row_count",
        "nodes",
        "orphan",
        "ghost",
        "changed_address",
        "changed_plan",
        "stray_record",
        "adopted",
        "foreign",
    },
}


def take_inventory(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def("take_inventory")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def materialized(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetMaterialization]:
    found = [event.materialization for event in result.get_asset_materialization_events() if event.is_step_event]
    return {each.asset_key.to_user_string(): each for each in found}


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def figures(materialization: dg.AssetMaterialization) -> dict[str, object]:
    return {key: entry.value for key, entry in materialization.metadata.items() if isinstance(entry.value, int)}


def create(fleet: Wiring, label: str) -> str:
    return fleet.provider.create_instance(label=label, region="dallas", plan="ssd-1").provider_id


def test_an_empty_listing_while_nodes_are_registered_stops_the_comparison(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    add_node(fleet.engine)
    result = take_inventory(definitions, instance)
    check = checks(result)["listing_is_not_empty"]
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert check.metadata["listed"].value == 0
    assert check.metadata["registered"].value == 1
    assert not result.success
    assert set(materialized(result)) == {"provider_instances", "plan_prices"}
    with fleet.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM fleet.instance_drift")) == 0


def test_an_empty_listing_of_an_empty_fleet_is_well(definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
    result = take_inventory(definitions, instance)
    assert result.success
    assert all(check.passed for check in checks(result).values())
    assert set(materialized(result)) == {"provider_instances", "node_inventory", "plan_prices"}


def test_figures_keep_their_keys_whether_or_not_there_is_anything_to_count(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    empty = materialized(take_inventory(definitions, instance))
    create(fleet, "somebody-elses")
    full = materialized(take_inventory(definitions, instance))
    for name, keys in FIGURES.items():
        assert set(figures(empty[name])) == set(figures(full[name])) == keys
    assert figures(full["provider_instances"])["dagster/row_count"] == 1
    assert figures(full["node_inventory"])["foreign"] == 1
    assert figures(full["node_inventory"])["dagster/row_count"] == 0


def test_an_orphan_warns_and_stands_in_the_table_with_its_label(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, simulator: SimulatorProcess
) -> None:
    orphan = create(fleet, "penguin-lost-0badcafe")
    result = take_inventory(definitions, instance)
    check = checks(result)["no_orphans"]
    assert (check.passed, check.severity, check.metadata["found"].value) == (False, dg.AssetCheckSeverity.WARN, 1)
    assert result.success
    shown = str(materialized(result)["node_inventory"].metadata["differences"].value)
    assert orphan in shown
    assert "penguin-lost-0badcafe" in shown
    assert [each["id"] for each in simulator.instances()] == [orphan]


@pytest.mark.parametrize("is_known", [True, False])
def test_a_node_without_its_instance_is_a_ghost(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance, is_known: bool
) -> None:
    node_id = add_node(fleet.engine)
    label = str(InstanceLabel.of(fleet_name="penguin", label="node-001", node_id=node_id))
    provider_id = create(fleet, label)
    if is_known:
        with fleet.engine.begin() as connection:
            node_places.record_instance(
                connection, node_id, provider_id, nodes.get_node(connection, node_id).updated_at
            )
    result = take_inventory(definitions, instance)
    ghosts = checks(result)["no_ghosts"]
    assert ghosts.severity is dg.AssetCheckSeverity.ERROR
    assert (ghosts.passed, checks(result)["no_orphans"].passed) == (is_known, is_known)
