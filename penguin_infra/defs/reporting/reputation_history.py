"""Reputation day by day, by address and by mailbox provider, and what listings cost. How it is now, `observation/`."""

from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.postgres_io import ANALYTICS_TABLE
from penguin_infra.defs.reporting.days import daily_asset, days_of
from penguin_infra.defs.reporting.reputation_views import (
    HISTORY_LINEAGE,
    IMPACT_LINEAGE,
    PROVIDER_LINEAGE,
    history_metadata,
    impact_metadata,
    provider_metadata,
)
from penguin_infra.defs.tables import markdown_table, table_metadata
from penguin_infra.operations.sum_up_reputation import (
    HistoryReport,
    sum_up_history,
    sum_up_impacts,
    sum_up_providers,
)
from penguin_infra.store import analytics_tables
from penguin_infra.store.reputation_facts import Days
from penguin_infra.wiring import Wiring

_FRESH = dg.FreshnessPolicy.time_window(fail_window=timedelta(hours=26), warn_window=timedelta(hours=3))


@daily_asset(
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    freshness_policy=_FRESH,
    deps=["reputation_scores", "blacklist_status", "delivery_rates"],
    metadata=table_metadata(analytics_tables.reputation_history),
    check_specs=[
        dg.AssetCheckSpec(
            "history_is_whole",
            asset="reputation_history",
            blocking=True,
            description="Every message that was sent in these days is in a row, or known to be of a node that held no "
            "address: else nothing is written, and the days stay as they were.",
        ),
        dg.AssetCheckSpec(
            "mail_is_attributed",
            asset="reputation_history",
            description="No node reported mail of hours in which it held no address: else that mail is in no row, and "
            "the node's tenures or its agent's clock are wrong.",
        ),
    ],
)
def reputation_history(
    context: AssetExecutionContext, fleet: ResourceParam[Wiring]
) -> Iterator[dg.AssetCheckResult | dg.MaterializeResult]:
    """Each address's scores, listings and mail, a day and tenure a row: an address has a row for each node it served.

    Source: `fleet.ip_tenures`, `fleet.delivery_hours`, `fleet.complaints`, `fleet.ip_blacklist_events` and
    `fleet.reputation_steps`; every hour, a partition a day (UTC). Shares are 0 to 1, with Wilson's 95 % bounds.
    Readers: analysts, owners, the report. An hour of mail is the tenure's that held the node at its beginning, or else
    the first's that began within it; complaints count by the reported mail's arrival; an open day is the day so far.
    """
    report = sum_up_history(fleet.engine, Days(*days_of(context)), now=fleet.clock.now())
    context.log.info("%d rows, %d messages sent", len(report.rows), report.sent)
    yield from _checks(report)
    if not report.is_whole:
        raise dg.Failure("history_is_whole failed: nothing was written", allow_retries=False)
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - pandas: not for whoever only loads this

    frame = frame_of(analytics_tables.reputation_history, report.rows)
    yield dg.MaterializeResult(
        value=frame,
        metadata={**history_metadata(frame), "unattributed_sent": report.sent_unattributed, **HISTORY_LINEAGE},
    )


@daily_asset(
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    freshness_policy=_FRESH,
    deps=["delivery_rates"],
    metadata=table_metadata(analytics_tables.provider_reputation),
)
def provider_reputation(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """How each address fares with each mailbox provider, a day, tenure and provider a row, where there was mail.

    Source: `fleet.delivery_hours` and `fleet.ip_tenures`; every hour, a partition a day (UTC). Shares are 0 to 1.
    Readers: analysts, who look at rows with `has_volume` (100 messages attempted): fewer prove nothing. Hours belong
    to tenures as in `reputation_history`; Gmail reports no complaints, so there are none by provider.
    """
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - as above

    rows = sum_up_providers(fleet.engine, Days(*days_of(context)))
    frame = frame_of(analytics_tables.provider_reputation, rows)
    return dg.MaterializeResult(value=frame, metadata={**provider_metadata(frame), **PROVIDER_LINEAGE})


@dg.asset(
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "1h", "reader": "analysts"},
    freshness_policy=_FRESH,
    deps=["blacklist_status", "delivery_rates"],
    metadata=table_metadata(analytics_tables.listing_impacts),
    io_manager_key=ANALYTICS_TABLE,
)
def listing_impacts(fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """What each blacklist listing cost in mail not sent, every listing there ever was a row; in messages.

    Source: `fleet.ip_blacklist_events`, `fleet.ip_tenures` and `fleet.delivery_hours`, every hour. Readers: analysts,
    owners; `analytics.days_to_delist` sums it up by list. Expected is the node's rate of the 7 days before, as long as
    it was listed and held the address; what it lost under two lists at once counts for both.
    """
    from penguin_infra.analytics.frames import frame_of  # noqa: PLC0415 - as above

    rows = sum_up_impacts(fleet.engine, now=fleet.clock.now())
    frame = frame_of(analytics_tables.listing_impacts, rows)
    return dg.MaterializeResult(value=frame, metadata={**impact_metadata(frame), **IMPACT_LINEAGE})


def _checks(report: HistoryReport) -> Iterator[dg.AssetCheckResult]:
    yield dg.AssetCheckResult(
        passed=report.is_whole,
        asset_key="reputation_history",
        check_name="history_is_whole",
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={
            "sent": report.sent,
            "sent_in_rows": report.sent_in_rows,
            "sent_unattributed": report.sent_unattributed,
        },
    )
    yield dg.AssetCheckResult(
        passed=not report.unattributed,
        asset_key="reputation_history",
        check_name="mail_is_attributed",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "messages": sum(row.messages for row in report.unattributed),
            "sent": report.sent_unattributed,
            "rows": markdown_table(
                ["day", "node", "first hour", "last hour", "sent", "messages"],
                [
                    (row.day, row.label, f"{row.first_hour_at:%H:%M}", f"{row.last_hour_at:%H:%M}", row.sent,
                     row.messages)
                    for row in report.unattributed
                ],
            ),
        },
    )  # fmt: skip
