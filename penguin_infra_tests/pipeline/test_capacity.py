"""Capacity and prices end to end: figures, words and charts in the UI, and checks that warn of what is not known."""

from datetime import timedelta

import dagster as dg
from sqlalchemy import text

from penguin_infra.defs.build import build_definitions
from penguin_infra.domain.node import NodeStatus
from penguin_infra.hostwind.provider import Plan
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_node
from penguin_infra_tests.loads import deliver, heartbeat, know_prices
from penguin_infra_tests.pipeline.test_inventory import checks, materialized
from penguin_infra_tests.pulses import tick

# What the UI plots whether or not there is anything to count.
FIGURES = {
    "dagster/row_count", "nodes", "nodes_in_rotation", "capacity_per_day", "ended_last_day", "demand_per_day",
    "refused_last_day", "queue_growth", "queue_depth", "windows_added", "alerts_opened", "alerts_resolved",
}  # fmt: skip
SHARES = {"throughput_share", "demand_share"}
FORECAST = {"forecast_typical_error", "present_demand"}


def run(fleet: Wiring, instance: dg.DagsterInstance, job: str, asset: str) -> dg.ExecuteInProcessResult:
    found = build_definitions(fleet).resolve_job_def(job)
    return found.execute_in_process(instance=instance, asset_selection=[dg.AssetKey(asset)], raise_on_error=False)


def measure(fleet: Wiring, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return run(fleet, instance, "measure_telemetry", "capacity_utilisation")


def numbers(shown: dg.AssetMaterialization) -> dict[str, float]:
    return {key: entry.value for key, entry in shown.metadata.items() if isinstance(entry.value, (int, float))}


def words(shown: dg.AssetMaterialization, key: str) -> str:
    return str(shown.metadata[key].value)


def test_a_fleet_with_a_past_shows_its_load_its_nodes_and_the_days_ahead(
    fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    now = fleet.clock.now()
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    tick(fleet.engine, at=now)
    know_prices(fleet.engine)
    quiet, worst = add_node(fleet.engine, 1, NodeStatus.ACTIVE), add_node(fleet.engine, 2, NodeStatus.ACTIVE)
    for hour in range(24 * 36):
        deliver(fleet.engine, worst, this_hour - timedelta(hours=hour), 2_000)
    for node_id in (quiet, worst):
        # One of them is within the last closed window, wherever in a window now is.
        for minutes_ago in (6, 4, 2, 0):
            heartbeat(fleet.engine, node_id, now - timedelta(minutes=minutes_ago))
    result = measure(fleet, instance)
    assert result.success
    assert all(check.passed for check in checks(result).values())
    shown = materialized(result)["capacity_utilisation"]
    found = numbers(shown)
    assert found.keys() >= FIGURES | SHARES | FORECAST
    assert (found["capacity_per_day"], found["nodes"], found["queue_depth"]) == (120_000, 2, 30)
    assert found["present_demand"] == 48_000
    assert words(shown, "utilisation").startswith(f"{found['demand_share']:.1%} (demand ")
    assert words(shown, "worst_nodes").index("node-002") < words(shown, "worst_nodes").index("node-001")
    assert "| dallas |" in words(shown, "by_region")
    assert words(shown, "until_trigger").startswith("80% of capacity: not within the ")
    assert "typical error" in words(shown, "days_ahead")
    assert all(name in words(shown, "last_day") for name in ("ended", "refused", "capacity an hour"))


def test_without_prices_and_windows_both_checks_warn_and_the_run_goes_on(
    fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    heartbeat(fleet.engine, node_id, fleet.clock.now())
    result = measure(fleet, instance)
    assert result.success
    warned = {name: (check.passed, check.severity, check.blocking) for name, check in checks(result).items()}
    assert warned == dict.fromkeys(
        ["plans_are_priced", "nodes_are_windowed"], (False, dg.AssetCheckSeverity.WARN, False)
    )
    shown = materialized(result)["capacity_utilisation"]
    assert words(shown, "until_trigger").startswith("not known")
    assert numbers(shown).keys() == FIGURES | SHARES


def test_an_empty_fleet_is_well_and_keeps_its_figures(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    result = measure(fleet, instance)
    assert result.success
    assert all(check.passed for check in checks(result).values())
    assert numbers(materialized(result)["capacity_utilisation"]).keys() == FIGURES


def refresh(fleet: Wiring, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return run(fleet, instance, "take_inventory", "plan_prices")


def test_prices_are_taken_from_the_provider_and_charted(fleet: Wiring, instance: dg.DagsterInstance) -> None:
    result = refresh(fleet, instance)
    assert result.success
    shown = materialized(result)["plan_prices"]
    assert numbers(shown) == {
        "dagster/row_count": 3, "offered": 3, "changed": 3, "cheapest_monthly_usd": 4.99, "dearest_monthly_usd": 18.99,
    }  # fmt: skip
    assert "ssd-4, US cents a month ██████████████████████████████ 1899" in words(shown, "price_by_plan")
    assert numbers(materialized(refresh(fleet, instance))["plan_prices"])["changed"] == 0


class NothingOnOffer:
    """A provider that answers, and sells nothing."""

    def list_plans(self) -> list[Plan]:
        return []


def test_an_empty_price_list_fails_its_check_and_leaves_the_known_prices(
    fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    assert refresh(fleet, instance).success
    known = fleet.provider
    vars(fleet)["provider"] = NothingOnOffer()
    result = refresh(fleet, instance)
    vars(fleet)["provider"] = known
    check = checks(result)["prices_are_sound"]
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    with fleet.engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM fleet.plan_prices")) == 3
