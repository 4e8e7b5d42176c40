"""What people must know of now. Rules and their facts stand below; whoever is told stands above."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.operations.refresh_alerts import refresh_alerts
from penguin_infra.store import alerts as alert_store
from penguin_infra.store.tables import AnyRow
from penguin_infra.store.telemetry_tables import alerts
from penguin_infra.wiring import Wiring


@dg.asset(
    group_name="reporting",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "1min", "reader": "operators"},
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=10), warn_window=timedelta(minutes=5)
    ),
    metadata=table_metadata(alerts),
)
def alerts_open(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult[None]:
    """What a person must know of now: listings, ill lists, held nodes, failed requests, drift, a silent fleet.

    Source: the fleet's own facts, every minute; an alert opens, changes and resolves with its cause. Readers:
    operators (`penguin-infra alerts list`). One row an alert; resolved ones stay.
    """
    changes = refresh_alerts(
        fleet.engine, limits=fleet.policy.health.silence, now=fleet.clock.now(), run_id=context.run.run_id
    )
    opened, resolved = (
        sum(len(getattr(change, what)) for change in changes.values()) for what in ("opened", "resolved")
    )
    with fleet.engine.connect() as connection:
        rows = alert_store.list_alerts(connection)
    context.log.info("%d open, %d of them new, %d resolved", len(rows), opened, resolved)
    return dg.MaterializeResult(metadata=_metadata(rows) | {"opened": opened, "resolved": resolved})


def _metadata(rows: Sequence[AnyRow]) -> dict[str, int | dg.MarkdownMetadataValue]:
    by_severity = Counter(row.severity for row in rows)
    return {
        "dagster/row_count": len(rows),
        **{severity.value: by_severity[severity] for severity in AlertSeverity},
        "by_rule": bars(Counter(row.rule for row in rows)),
        "open_alerts": markdown_table(
            ["severity", "rule", "subject", "what", "since"],
            [(row.severity, row.rule, row.subject, row.summary, row.opened_at) for row in rows],
        ),
    }
