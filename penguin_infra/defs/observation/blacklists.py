"""The blacklists' word on every address of the fleet. Pausing is `remediation/pause.py`'s."""

from collections.abc import Sequence
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.operations.sweep_blacklists import SweepReport, sweep_blacklists
from penguin_infra.store import listings
from penguin_infra.store.blacklist_tables import ip_blacklist_events
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring


@dg.asset(
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"dns", "postgres"},
    tags={"cadence": "5min", "reader": "operators-analysts"},
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=30), warn_window=timedelta(minutes=15)
    ),
    metadata=table_metadata(
        ip_blacklist_events,
        {
            "id": "the event's id",
            "ip_address": "the listed address",
            "details": "the codes' meanings, and the answer that confirmed them: addresses, TTL, resolver",
            "node_id": "the node that held the address when it was listed",
            "blacklist_provider": "the list, by its operator's name",
            "zone": "the list's DNS zone",
            "codes": "the confirmed return codes",
            "severity": "the gravest code's: critical and high take the node out of the rotation and pause it",
            "suspected_at": "the first hit",
            "listed_at": "the confirmation, past the first answer's TTL or through a second resolver",
            "delisted_at": "the third clean answer over at least an hour; null while listed",
            "reason": "the list's own words (TXT)",
        },
    ),
    check_specs=[
        dg.AssetCheckSpec(
            "no_list_lists_everybody",
            asset="blacklist_status",
            blocking=True,
            description="A list that newly lists more than max(3, 5 %) of the fleet in one sweep is frozen: it pauses "
            "nobody until a person runs `penguin-infra lists trust ZONE`.",
        ),
        dg.AssetCheckSpec(
            "lists_are_healthy",
            asset="blacklist_status",
            description="Every list passes its test points; one that does not is quarantined, and its answers count "
            "for nothing.",
        ),
    ],
)
def blacklist_status(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """Which of the fleet's addresses are listed, where, since when and how gravely.

    Source: DNS blacklists, swept every 5 minutes; a suspect is asked again past its answer's TTL before it counts.
    Readers: the pause sensor, `sending_rotation`, operators, analysts. One row a confirmed listing.
    """
    report = sweep_blacklists(fleet.blacklist_sweep(context.log.info))
    with fleet.engine.connect() as connection:
        events = listings.open_events(connection)
        frozen = listings.open_freezes(connection)
    return dg.MaterializeResult(
        metadata=_metadata(report, events),
        check_results=[
            dg.AssetCheckResult(
                passed=not frozen,
                check_name="no_list_lists_everybody",
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={
                    "frozen": len(frozen),
                    "why": markdown_table(["list", "since", "reason"], [_freeze_row(row) for row in frozen]),
                },
            ),
            dg.AssetCheckResult(
                passed=not report.quarantined,
                check_name="lists_are_healthy",
                severity=dg.AssetCheckSeverity.WARN,
                metadata={
                    "quarantined": len(report.quarantined),
                    "why": markdown_table(["list", "reason"], sorted(report.quarantined.items())),
                },
            ),
        ],
    )


def _metadata(report: SweepReport, events: Sequence[AnyRow]) -> dict[str, int | dg.MarkdownMetadataValue]:
    return {
        "dagster/row_count": len(events),
        "addresses": report.address_count,
        "lists": report.list_count,
        "answers": report.question_count,
        "errors": report.verdicts["error"],
        "newly_confirmed": report.count(ListingChange.CONFIRMED),
        "newly_delisted": report.count(ListingChange.DELISTED),
        "suspected": report.count(ListingChange.SUSPECTED),
        "quarantined_lists": len(report.quarantined),
        "answers_by_meaning": bars(report.verdicts),
        "listed_nodes": markdown_table(
            ["node", "address", "status", "list", "severity", "codes", "since"],
            [
                (row.label, row.ip_address, row.status, row.zone, row.severity, " ".join(row.codes), row.listed_at)
                for row in events
            ],
        ),
    }


def _freeze_row(row: AnyRow) -> tuple[object, ...]:
    return row.zone, row.frozen_at, row.reason
