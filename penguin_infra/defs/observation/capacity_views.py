"""How a measurement of capacity is shown: figures, charts and tables. What is measured is `capacity.py`'s."""

from datetime import timedelta
from math import inf

import dagster as dg

from penguin_infra.defs.tables import lines_over_time, markdown_table
from penguin_infra.domain.capacity import HOURS_A_DAY, Utilisation
from penguin_infra.domain.forecast import Forecast
from penguin_infra.operations.measure_capacity import CapacityReport, MeasuredNode

Metadata = dict[str, int | float | str | dg.MarkdownMetadataValue]


def capacity_metadata(report: CapacityReport, *, trigger_share: float) -> Metadata:
    """Keys of what is not known are left out: a zero would be drawn as one."""
    system, forecast = report.system, report.forecast
    known: dict[str, int | float | None] = {
        "throughput_share": system.throughput_share,
        "demand_share": system.demand_share,
        "present_demand": report.rotation.present_demand,
        "days_until_trigger": report.days_until_trigger,
        "forecast_typical_error": forecast.typical_error if isinstance(forecast, Forecast) else None,
        "forecast_scaled_error": forecast.scaled_error if isinstance(forecast, Forecast) else None,
    }
    return {
        "dagster/row_count": len(report.nodes),
        "nodes": len(report.nodes),
        "nodes_in_rotation": report.rotation.nodes,
        "capacity_per_day": system.capacity,
        "ended_last_day": system.load.ended,
        "demand_per_day": system.load.demand,
        "refused_last_day": system.load.refused,
        "queue_growth": system.load.queue_growth,
        "queue_depth": sum(node.facts.queue_depth or 0 for node in report.nodes),
        "windows_added": report.added_windows,
        "alerts_opened": report.opened_alerts,
        "alerts_resolved": report.resolved_alerts,
        **{key: value for key, value in known.items() if value is not None},
        "utilisation": str(system),
        "until_trigger": _until_trigger(report, trigger_share),
        "by_region": markdown_table(
            ["region", "throughput", "demand", "in words"],
            [
                (name, _share(one.throughput_share), _share(one.demand_share), one)
                for name, one in report.regions.items()
            ],
        ),
        "worst_nodes": _worst(report),
        "last_day": _last_day(report),
        "days_ahead": _days_ahead(report),
    }


def _until_trigger(report: CapacityReport, trigger_share: float) -> str:
    if report.figures is None or report.outlook is None:
        return "not known: there is no price list, or it lacks the plan of new nodes"
    seen = len(report.outlook.demand) - 1
    if report.days_until_trigger is None:
        when = f"not within the {seen} days ahead"
    else:
        when = "reached today" if report.days_until_trigger == 0 else f"in {report.days_until_trigger} days"
    return f"{trigger_share:.0%} of capacity: {when} ({report.outlook.note})"


def _last_day(report: CapacityReport) -> dg.MarkdownMetadataValue:
    """Messages by the hour; an hour that nobody measured stands as none."""
    if not report.hours:
        return dg.MetadataValue.md("no hour is measured yet")
    last_at = report.hours[-1].hour_at
    by_hour = {hour.hour_at: hour for hour in report.hours}
    hours = [by_hour.get(last_at - timedelta(hours=back)) for back in range(HOURS_A_DAY - 1, -1, -1)]
    return lines_over_time(
        {
            "ended": [hour.ended if hour else 0 for hour in hours],
            "refused": [hour.refused if hour else 0 for hour in hours],
            "waiting at the end": [(hour.queue_depth or 0) if hour else 0 for hour in hours],
            "capacity an hour": [report.system.capacity // HOURS_A_DAY] * HOURS_A_DAY,
        }
    )


def _days_ahead(report: CapacityReport) -> dg.MarkdownMetadataValue:
    if report.figures is None or report.outlook is None:
        return dg.MetadataValue.md(str(report.forecast))
    demand = [round(asked) for asked in report.outlook.demand]
    capacity = [*report.figures.size.capacity_by_day]
    chart = lines_over_time({"demand": demand, "capacity": capacity[: len(demand)]})
    return dg.MetadataValue.md(f"{chart.value}\n\nToday first, a day a sign. {report.outlook.note}")


def _worst(report: CapacityReport) -> dg.MarkdownMetadataValue:
    worst = sorted(report.nodes, key=_rank, reverse=True)
    return markdown_table(
        ["node", "region", "plan", "status", "demand", "ended, last day", "capacity a day", "queue", "CPU", "memory"],
        map(_row, worst),
    )


def _rank(node: MeasuredNode) -> tuple[float, int]:
    measured = node.capacity.utilisation
    # What is asked of a node without any capacity is above every share.
    without = inf if measured.load.demand else 0.0
    share = measured.demand_share
    return without if share is None else share, node.facts.queue_depth or 0


def _row(node: MeasuredNode) -> tuple[object, ...]:
    facts, measured = node.facts, node.capacity.utilisation
    return (
        facts.label,
        facts.region,
        facts.plan,
        facts.status.value if facts.is_in_rotation else f"{facts.status.value}, not in the rotation",
        _demand(measured),
        facts.ended_last_day,
        measured.capacity,
        facts.queue_depth,
        None if facts.cpu_percent is None else f"{facts.cpu_percent:.0f} %",
        None if facts.memory_percent is None else f"{facts.memory_percent:.0f} %",
    )


def _demand(measured: Utilisation) -> str:
    return f"{measured.load.demand:,}" + ("" if measured.demand_share is None else f" ({measured.demand_share:.0%})")


def _share(share: float | None) -> str:
    return "no capacity" if share is None else f"{share:.1%}"
