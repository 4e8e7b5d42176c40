"""How the fleet's warm-ups come on, against their plan. What carries their steps out is `remediation/warmup.py`'s."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.warmup import WarmupDecision
from penguin_infra.operations.measure_warmups import JudgedWarmup, WarmupReport, measure_warmups
from penguin_infra.store.capacity_tables import warmup_progress as warmup_progress_table
from penguin_infra.store.warmup_progress import WarmupProgress
from penguin_infra.wiring import Wiring


@dg.asset(
    group_name="telemetry",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators-analysts"},
    # Ten minutes are what the warm-up sensor takes for fresh.
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
    metadata=table_metadata(warmup_progress_table),
)
def warmup_progress(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """How far each warming node is: its stage, plan against fact, and what it waits for, a row a node.

    Source: `fleet.delivery_hours` and `fleet.complaints` since each stage began, judged every minute by the bounds of
    `[warmup]` in the policy file. Nodes that are warmed up are in it only when they went cold. Readers: the warm-up
    sensor, operators, analysts. A node that is stuck opens an alert (low): look at its reasons, then at its mail.
    """
    report = measure_warmups(fleet.engine, fleet.policy.warmups, now=fleet.clock.now(), run_id=context.run.run_id)
    context.log.info("%d warm-ups judged, %d steps are due", len(report.judged), _count_steps(report))
    return dg.MaterializeResult(metadata=_metadata(report))


def _metadata(report: WarmupReport) -> dict[str, int | dg.MarkdownMetadataValue | dg.TextMetadataValue]:
    rows = report.progress
    full_days = Counter(f"{row.expected_full_at:%Y-%m-%d}" for row in rows)
    late = [pair for pair in zip(report.judged, rows, strict=True) if _is_late(pair[1])]
    return {
        "dagster/row_count": len(rows),
        "stuck": sum(row.decision == WarmupDecision.STUCK for row in rows),
        "late": len(late),
        "steps_due": _count_steps(report),
        "begun": report.begun,
        "allowed_per_day": sum(row.daily for row in rows),
        "planned_per_day": sum(row.planned_daily for row in rows),
        "full_per_day": sum(row.full_daily for row in rows),
        "delivered_last_day": sum(row.delivered_last_day for row in rows),
        "alerts_opened": report.opened_alerts,
        "alerts_resolved": report.resolved_alerts,
        "all_full_on": dg.MetadataValue.text(max(full_days, default="no node is warming")),
        "decisions": bars(Counter(row.decision for row in rows)),
        "cohorts": bars(_cohorts(rows)),
        "full_capacity_by_day": bars(dict(sorted(full_days.items()))),
        "stuck_and_late_nodes": markdown_table(
            ["node", "stage", "allowed", "planned", "delivered in a day", "full on", "decision", "why"],
            [_late_row(*pair) for pair in sorted(late, key=lambda pair: pair[1].daily / pair[1].planned_daily)],
        ),
    }


def _is_late(row: WarmupProgress) -> bool:
    return row.decision == WarmupDecision.STUCK or row.daily < row.planned_daily


def _count_steps(report: WarmupReport) -> int:
    return sum(row.is_step for row in report.progress)


def _cohorts(rows: Iterable[WarmupProgress]) -> dict[str, int]:
    """What the nodes of each week are allowed a day together, above what they were to be by now."""
    weeks: dict[str, list[WarmupProgress]] = defaultdict(list)
    for row in rows:
        weeks[f"{row.begun_at:%G-W%V}"].append(row)
    shown = {}
    for week in sorted(weeks):
        shown[f"{week} allowed"] = sum(row.daily for row in weeks[week])
        shown[f"{week} planned"] = sum(row.planned_daily for row in weeks[week])
    return shown


def _late_row(judged: JudgedWarmup, row: WarmupProgress) -> tuple[object, ...]:
    return (
        judged.subject.label, f"{row.stage}/{row.stages}", row.daily, row.planned_daily, row.delivered_last_day,
        f"{row.expected_full_at:%Y-%m-%d}", row.decision, " ".join(row.reasons),
    )  # fmt: skip
