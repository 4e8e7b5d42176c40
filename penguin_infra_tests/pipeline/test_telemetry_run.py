"""The minute's run: health is judged and shown, people are told, and a sleeping gateway stops no alert."""

from datetime import timedelta

import dagster as dg
from sqlalchemy import text

from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node, add_nodes, list_address
from penguin_infra_tests.pipeline.test_inventory import checks, figures, materialized
from penguin_infra_tests.pulses import beat, tick

HEALTH_FIGURES = {"dagster/row_count", "healthy", "unhealthy", "unknown", "silent", "changed"}
ALERT_FIGURES = {"dagster/row_count", "high", "medium", "low", "opened", "resolved"}


def measure(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = definitions.resolve_job_def("measure_telemetry")
    selected = [dg.AssetKey("node_health"), dg.AssetKey("alerts_open")]
    return job.execute_in_process(instance=instance, asset_selection=selected, raise_on_error=False)


def test_the_fleets_health_is_shown_in_figures_and_a_table_of_the_ill(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    well, ill, _mute = add_nodes(fleet.engine, 3)
    now = fleet.clock.now()
    tick(fleet.engine, at=now)
    beat(fleet.engine, [well], at=now)
    beat(fleet.engine, [ill], silent_seconds=120, at=now)
    result = measure(definitions, instance)
    assert result.success
    shown = materialized(result)["node_health"]
    assert figures(shown) == {
        "dagster/row_count": 2, "healthy": 1, "unhealthy": 1, "unknown": 1, "silent": 1, "changed": 3,
    }  # fmt: skip
    table = str(shown.metadata["unhealthy_nodes"].value)
    assert ("node-002" in table, "node-001" in table, "silent" in table) == (True, False, True)
    assert all(check.passed for check in checks(result).values())
    with fleet.engine.connect() as connection:
        rows = connection.execute(text("SELECT label, health FROM fleet.sending_nodes ORDER BY label"))
        assert [row.health for row in rows] == ["healthy", "unhealthy", "unknown"]


def test_many_silent_nodes_warn_and_the_run_goes_on(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    now = fleet.clock.now()
    tick(fleet.engine, at=now)
    beat(fleet.engine, add_nodes(fleet.engine, 3), silent_seconds=120, at=now)
    result = measure(definitions, instance)
    check = checks(result)["few_are_silent"]
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.WARN, False)
    assert result.success
    assert "many_silent" in str(materialized(result)["alerts_open"].metadata["open_alerts"].value)


def test_without_a_living_observer_the_run_fails_and_people_are_told_all_the_same(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine)
    tick(fleet.engine, at=fleet.clock.now() - timedelta(hours=1))
    beat(fleet.engine, [node_id], silent_seconds=500)
    result = measure(definitions, instance)
    check = checks(result)["observer_is_alive"]
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert not result.success
    assert figures(materialized(result)["node_health"])["unknown"] == 1
    assert "observer_lost" in str(materialized(result)["alerts_open"].metadata["open_alerts"].value)


def test_figures_keep_their_keys_whether_or_not_there_is_anything_to_count(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    tick(fleet.engine, at=fleet.clock.now())
    empty = materialized(measure(definitions, instance))
    node_id = add_node(fleet.engine)
    list_address(fleet.engine, node_id)
    tick(fleet.engine, at=fleet.clock.now())
    full = materialized(measure(definitions, instance))
    for found in (empty, full):
        assert set(figures(found["node_health"])) == HEALTH_FIGURES
        assert set(figures(found["alerts_open"])) == ALERT_FIGURES
    assert figures(full["alerts_open"]) == {
        "dagster/row_count": 1, "high": 1, "medium": 0, "low": 0, "opened": 1, "resolved": 0,
    }  # fmt: skip
