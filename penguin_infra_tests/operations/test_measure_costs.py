"""The days' costs out of what the fleet wrote down: what hours went to, what is nobody's, and what cannot be told."""

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.inventory import Drift, DriftKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.pricing import CostLimits
from penguin_infra.operations.cost_lines import CostLine
from penguin_infra.operations.forecast_costs import forecast_costs, tell_budget
from penguin_infra.operations.measure_costs import (
    CostReport,
    DayToCome,
    NothingBilled,
    UnpricedPlans,
    measure_costs,
)
from penguin_infra.store import alerts as alert_store
from penguin_infra.store import inventory
from penguin_infra.store.analytics_tables import instance_spells, node_costs
from penguin_infra.store.copied_rows import replace_rows
from penguin_infra_tests.fleets import NOW, add_node
from penguin_infra_tests.loads import deliver, know_prices

TODAY = NOW.date()
YESTERDAY = TODAY - timedelta(days=1)
MIDNIGHT = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
HOUR = timedelta(hours=1)
SSD_1 = Decimal("0.006931")


def spell(
    engine: Engine,
    provider_id: str,
    began_at: datetime,
    ended_at: datetime | None = None,
    *,
    node_id: UUID | None = None,
    label: str = "somebody-elses",
    plan: str = "ssd-1",
    extra: int = 0,
) -> None:
    with engine.begin() as connection:
        connection.execute(
            instance_spells.insert().values(
                provider_id=provider_id,
                began_at=began_at,
                ended_at=ended_at,
                plan=plan,
                extra_addresses=extra,
                label=label,
                region="dallas",
                node_id=node_id,
            )
        )


def measure(
    engine: Engine, first: date = TODAY, last: date = TODAY, *, limits: CostLimits | None = None, now: datetime = NOW
) -> CostReport:
    return measure_costs(engine, limits or CostLimits(), first_day=first, last_day=last, fleet_name="fleet", now=now)


def told(lines: Iterable[CostLine]) -> set[tuple[str, str, int, int, int]]:
    return {(line.provider_id, line.usage, line.hours, line.unhealthy_hours, line.idle_hours) for line in lines}


def test_today_is_summed_up_until_now_by_what_hours_went_to(engine: Engine) -> None:
    know_prices(engine)
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)  # since yesterday's noon
    spell(engine, "hw-1", MIDNIGHT - 2 * HOUR, node_id=node_id, label="fleet-node-001-aaaaaaaa")
    deliver(engine, node_id, MIDNIGHT + 3 * HOUR, 10)
    with engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO fleet.node_health_events (node_id, health, reason, happened_at) VALUES "
                "(:node, 'unhealthy', 'test', :fell), (:node, 'healthy', 'test', :rose)"
            ),
            {"node": node_id, "fell": MIDNIGHT + 5 * HOUR, "rose": MIDNIGHT + 7 * HOUR},
        )
    report = measure(engine)
    (line,) = report.lines
    assert told(report.lines) == {("hw-1", "active", 12, 2, 11)}
    assert (line.node_id, line.label, line.amount_usd) == (node_id, "node-001", 12 * SSD_1)
    assert (report.billed_hours, report.spell_hours) == (12, 12)
    assert measure(engine, YESTERDAY, YESTERDAY).billed_hours == 2


def test_what_no_node_holds_is_an_orphan_s_or_foreign_and_a_ghost_costs_nothing(engine: Engine) -> None:
    know_prices(engine)
    gone = add_node(engine, 1, NodeStatus.DECOMMISSIONED)
    ghost = add_node(engine, 2, NodeStatus.ACTIVE)
    spell(engine, "hw-1", MIDNIGHT, node_id=gone, label="fleet-node-001-aaaaaaaa")
    spell(engine, "hw-8", MIDNIGHT, label="fleet-node-008-bbbbbbbb")
    spell(engine, "hw-9", MIDNIGHT)
    with engine.begin() as connection:
        inventory.save_drift(connection, [Drift(DriftKind.GHOST, ghost, "hw-2", "it is gone")], NOW - HOUR)
    report = measure(engine)
    assert told(report.lines) == {
        ("hw-1", "orphan", 12, 0, 0), ("hw-8", "orphan", 12, 0, 0), ("hw-9", "foreign", 12, 0, 0),
        ("hw-2", "ghost", 0, 0, 0),
    }  # fmt: skip
    owners = {line.provider_id: (line.node_id, line.label) for line in report.lines}
    assert owners["hw-1"] == (None, "fleet-node-001-aaaaaaaa")
    assert owners["hw-2"] == (ghost, "node-002")


def test_extra_addresses_are_a_charge_of_their_own(engine: Engine) -> None:
    know_prices(engine)
    spell(engine, "hw-1", MIDNIGHT, extra=2)
    lines = {line.charge: (line.hours, line.amount_usd, line.price_source) for line in measure(engine).lines}
    assert lines == {
        "plan": (12, 12 * SSD_1, "provider"), "extra_addresses": (24, 24 * SSD_1, "policy"),
    }  # fmt: skip


def test_a_plan_in_no_price_list_costs_the_built_in_price_and_says_so(engine: Engine) -> None:
    spell(engine, "hw-1", MIDNIGHT, plan="ssd-2")
    (line,) = measure(engine).lines
    assert (line.amount_usd, line.price_source) == (12 * Decimal("0.013875"), "fallback")


def test_a_plan_whose_price_nobody_knows_stops_all_and_is_named_with_its_instances(engine: Engine) -> None:
    for number in (1, 2):
        spell(engine, f"hw-{number}", MIDNIGHT, plan="ssd-9")
    with pytest.raises(UnpricedPlans, match=r"ssd-9: hw-1, hw-2\)") as failure:
        measure(engine)
    assert failure.value.instances == {"ssd-9": ["hw-1", "hw-2"]}


def test_a_day_without_an_instance_stops_all_while_nodes_hold_some(engine: Engine) -> None:
    assert measure(engine).lines == ()
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)
    with pytest.raises(NothingBilled, match=f"no instance was billed on {TODAY}, though 1 nodes held one"):
        measure(engine)
    with engine.begin() as connection:
        inventory.save_drift(connection, [Drift(DriftKind.GHOST, node_id, "hw-1", "it is gone")], NOW - HOUR)
    assert [line.usage for line in measure(engine).lines] == ["ghost"]


def test_just_after_midnight_no_hour_of_the_day_has_begun_and_that_is_no_fault(engine: Engine) -> None:
    node_id = add_node(engine, 1, NodeStatus.ACTIVE)
    spell(engine, "hw-1", MIDNIGHT - timedelta(minutes=40), node_id=node_id)
    assert measure(engine, now=MIDNIGHT + timedelta(minutes=5)).lines == ()
    assert measure(engine, now=MIDNIGHT + timedelta(minutes=21)).billed_hours == 1


def test_a_day_to_come_is_refused_by_its_name(engine: Engine) -> None:
    with pytest.raises(DayToCome, match=f"{TODAY + timedelta(days=1)} is yet to come"):
        measure(engine, YESTERDAY, TODAY + timedelta(days=1))


def put(engine: Engine, report: CostReport) -> None:
    with engine.begin() as connection:
        replace_rows(connection, node_costs, report.lines)


def test_the_budget_s_alert_opens_with_the_forecast_and_resolves_by_itself(engine: Engine) -> None:
    know_prices(engine)
    spell(engine, "hw-1", MIDNIGHT - timedelta(days=40))
    put(engine, measure(engine, TODAY - timedelta(days=30), TODAY))
    forecasts = forecast_costs(engine, first_day=YESTERDAY, last_day=TODAY, now=NOW)
    assert [one.day for one in forecasts] == [YESTERDAY, TODAY]
    # November has 720 hours, and the instance runs in all of them.
    assert [one.forecast_usd for one in forecasts] == [720 * SSD_1] * 2
    assert forecasts[1].month_to_date_usd == (23 * 24 + 12) * SSD_1

    def alerts(budget: str) -> list[str]:
        tell_budget(engine, forecasts, CostLimits(monthly_budget_usd=Decimal(budget)), now=NOW)
        with engine.connect() as connection:
            return [row.rule for row in alert_store.list_alerts(connection)]

    assert alerts("4.98") == ["budget"]
    tell_budget(engine, forecasts[:1], CostLimits(monthly_budget_usd=Decimal(9)), now=NOW)
    # A back-fill of the past is no news of today.
    assert alerts("4.98") == ["budget"]
    assert alerts("4.991") == []
