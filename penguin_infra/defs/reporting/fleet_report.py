"""The daily report as an asset: a file a day. What stands in it is `analytics/fleet_report.py`'s."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.column_lineage import column_lineage
from penguin_infra.defs.reporting.days import daily_asset, days_of
from penguin_infra.defs.tables import bars, markdown_table
from penguin_infra.domain.node import NodeStatus
from penguin_infra.wiring import Wiring

if TYPE_CHECKING:
    from penguin_infra.analytics.fleet_report import WrittenReport

_Metadata = dict[
    str,
    int | float | dg.MarkdownMetadataValue | dg.PathMetadataValue | dg.UrlMetadataValue | dg.TableColumnLineage,
]

# What late agents may still change, and today: of a back-fill's older days the tables tell as much.
_MOST_WRITTEN = 9

# The sections, and the columns that they are made of.
_SECTIONS: Mapping[str, tuple[str, Sequence[str]]] = {
    "glance": (
        "nodes by status, deliveries, alerts and costs in a few numbers",
        ["alerts_open.severity", "capacity_utilisation.capacity_per_day", "reputation_history.sent"],
    ),
    "cost": (
        "costs by day, region and plan, what brought no mail, the month's forecast, savings; US dollars",
        [
            "node_costs.amount_usd",
            "node_costs.usage",
            "cost_forecasts.forecast_usd",
            "cost_optimisation.saving_monthly_usd",
        ],
    ),
    "reputation": (
        "scores and why, listings and the mail they cost, how mailbox providers take the mail",
        [
            "reputation_scores.score",
            "reputation_scores.explanation",
            "reputation_history.score_last",
            "listing_impacts.lost_messages",
            "provider_reputation.deferral_rate",
        ],
    ),
    "warmup": (
        "warm-ups by the day on which they began, and stuck ones; messages a day",
        ["warmup_progress.daily", "warmup_progress.planned_daily"],
    ),
    "capacity": (
        "demand of 30 days and of those ahead; messages a day",
        ["capacity_utilisation.capacity_per_day"],
    ),
    "done": ("the day's actions with reason and outcome, and what a rule refused", ["remediation_plan.why"]),
    "waiting": (
        "what only a person can do: proposed actions, high alerts, savings",
        ["remediation_plan.verdict", "alerts_open.summary", "cost_optimisation.command"],
    ),
}

_LINEAGE = column_lineage({section: sources for section, (_, sources) in _SECTIONS.items()})


@daily_asset(
    group_name="reporting",
    owners=["team:sre"],
    kinds={"html"},
    tags={"cadence": "1h", "reader": "owners"},
    io_manager_key=None,
    deps=[
        "node_costs",
        "cost_forecasts",
        "cost_optimisation",
        "reputation_scores",
        "reputation_history",
        "provider_reputation",
        "listing_impacts",
        "warmup_progress",
        "capacity_utilisation",
        "alerts_open",
        "remediation_plan",
    ],
    freshness_policy=dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3)),
    metadata={
        "dagster/column_schema": dg.TableSchema(
            columns=[
                dg.TableColumn(section, "section", description=meaning) for section, (meaning, _) in _SECTIONS.items()
            ]
        )
    },
)
def fleet_report(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """The fleet's day on one page: what it is, cost, sent, did and why, and what waits for a person.

    Source: the tables that analysts read, and the fleet's own facts; every hour, a file a day (UTC) in the report's
    folder, today's with what is so now. Readers: owners, operators (`GET /api/v1/reports/latest`, `penguin-infra
    report`). One HTML file that needs no network; of a longer span the last nine days are written.
    """
    from penguin_infra.analytics.fleet_report import write_report  # noqa: PLC0415 - plotly: not for whoever loads this
    from penguin_infra.analytics.report_files import ReportError, remove_old  # noqa: PLC0415 - as above

    first_day, last_day = days_of(context)
    first_day = max(first_day, last_day - timedelta(days=_MOST_WRITTEN - 1))
    days = [first_day + timedelta(days=number) for number in range((last_day - first_day).days + 1)]
    engine, folder, name = fleet.engine, fleet.report_folder, fleet.settings.fleet_name
    try:
        written = [write_report(engine, day, now=fleet.clock.now(), fleet_name=name, folder=folder) for day in days]
        removed = remove_old(folder)
    except ReportError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    context.log.info("%s to %s: %d reports in %s, %d old ones removed", days[0], last_day, len(days), folder, removed)
    return dg.MaterializeResult(metadata=_metadata(written, link=_link(fleet, last_day)))


def _link(fleet: Wiring, day: date) -> str:
    known = fleet.settings
    gateway = str(known.gateway_url or f"http://127.0.0.1:{known.gateway_port}").rstrip("/")
    return f"{gateway}/api/v1/reports/{day}"


def _metadata(written: "Sequence[WrittenReport]", *, link: str) -> _Metadata:
    newest = written[-1]
    living = [status for status in NodeStatus if status is not NodeStatus.DECOMMISSIONED]
    return {
        **_LINEAGE,
        "path": dg.MetadataValue.path(newest.path),
        "link": dg.MetadataValue.url(link),
        "bytes": newest.size,
        "reports_written": len(written),
        **newest.numbers,
        "nodes_by_status": bars({status.value: int(newest.numbers[f"nodes_{status}"]) for status in living}),
        "written": markdown_table(
            ["day", "file", "bytes"], [(one.day, one.path, f"{one.size:,}") for one in reversed(written)]
        ),
    }
