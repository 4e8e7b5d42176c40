"""The blacklists' word on every address of the fleet, and how well the lists are. Pausing is `remediation/pause.py`'s.

Both come from one sweep, in one run; what the UI shows of it is made in `blacklist_views.py`.
"""

from collections.abc import Iterator
from datetime import timedelta
from inspect import cleandoc

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.observation.blacklist_views import (
    STALE_AFTER_TURNS,
    BlacklistFacts,
    health_metadata,
    read_facts,
    status_metadata,
)
from penguin_infra.defs.tables import markdown_table, table_metadata
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.operations.sweep_blacklists import sweep_blacklists
from penguin_infra.store.blacklist_tables import blacklist_health as blacklist_health_table
from penguin_infra.store.blacklist_tables import ip_blacklist_events
from penguin_infra.wiring import Wiring

STATUS, HEALTH = "blacklist_status", "blacklist_health"

_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=30), warn_window=timedelta(minutes=15))

_STATUS_SPEC = dg.AssetSpec(
    STATUS,
    description=cleandoc("""
    Which of the fleet's addresses are listed, where, since when and how gravely.

    Source: DNS blacklists, swept every 5 minutes, each address on each list as often as the list's terms allow; a
    suspect is asked again past its answer's TTL before it counts. Readers: the pause sensor, `sending_rotation`,
    operators, analysts. One row a confirmed listing; runbook: docs/runbooks/blacklists.md.
    """),
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"dns", "postgres"},
    tags={"cadence": "5min", "reader": "operators-analysts"},
    freshness_policy=_FRESHNESS,
    metadata=table_metadata(ip_blacklist_events),
)

_HEALTH_SPEC = dg.AssetSpec(
    HEALTH,
    description=cleandoc("""
    How each list does at its test points, by resolver and address family, and what it was asked.

    Source: the test points asked before and after each sweep; the questions counted in `fleet.blacklist_questions`.
    Readers: operators; the sweep itself, which believes no quarantined list. One row a list, resolver and family, with
    every change of it kept; runbook: docs/runbooks/blacklists.md.
    """),
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"dns", "postgres"},
    tags={"cadence": "5min", "reader": "operators"},
    freshness_policy=_FRESHNESS,
    metadata=table_metadata(blacklist_health_table),
)

_CHECKS = [
    dg.AssetCheckSpec(
        "no_list_lists_everybody",
        asset=STATUS,
        blocking=True,
        description="A list that newly lists more than max(3, 5 %) of the addresses asked in one sweep is frozen: it "
        "pauses nobody until a person runs `penguin-infra lists trust ZONE`.",
    ),
    dg.AssetCheckSpec(
        "lists_are_healthy",
        asset=STATUS,
        description="Every list passes its test points; one that does not is quarantined, and its answers count "
        "for nothing.",
    ),
    dg.AssetCheckSpec(
        "answers_are_fresh",
        asset=STATUS,
        description=f"Every address was answered for on every list within {STALE_AFTER_TURNS} of the list's turns.",
    ),
    dg.AssetCheckSpec(
        "terms_are_kept",
        asset=HEALTH,
        description="Every list's terms allow to look at the whole fleet; one whose do not is not asked.",
    ),
]


@dg.multi_asset(name="sweep", specs=[_STATUS_SPEC, _HEALTH_SPEC], check_specs=_CHECKS)
def blacklists(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> Iterator[dg.MaterializeResult]:
    """One sweep of all lists over the addresses whose turn it is."""
    report = sweep_blacklists(fleet.blacklist_sweep(context.log.info))
    with fleet.engine.connect() as connection:
        facts = read_facts(connection, report, fleet.clock.now())
    yield dg.MaterializeResult(
        asset_key=HEALTH,
        metadata=health_metadata(report, facts),
        check_results=[_terms_are_kept(report)],
    )
    yield dg.MaterializeResult(
        asset_key=STATUS,
        metadata=status_metadata(report, facts),
        check_results=[_no_list_lists_everybody(facts), _lists_are_healthy(facts), _answers_are_fresh(facts)],
    )


def _no_list_lists_everybody(facts: BlacklistFacts) -> dg.AssetCheckResult:
    frozen = [(row.zone, row.frozen_at, row.reason) for row in facts.frozen]
    return dg.AssetCheckResult(
        passed=not frozen,
        check_name="no_list_lists_everybody",
        asset_key=STATUS,
        severity=dg.AssetCheckSeverity.ERROR,
        metadata={"frozen": len(frozen), "why": markdown_table(["list", "since", "reason"], frozen)},
    )


def _lists_are_healthy(facts: BlacklistFacts) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not facts.quarantined,
        check_name="lists_are_healthy",
        asset_key=STATUS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "quarantined": len(facts.quarantined),
            "why": markdown_table(["list", "reason"], sorted(facts.quarantined.items())),
        },
    )


def _answers_are_fresh(facts: BlacklistFacts) -> dg.AssetCheckResult:
    stale = [(row.zone, row.stale, f"{row.oldest_at:%Y-%m-%d %H:%M}") for row in facts.stale]
    return dg.AssetCheckResult(
        passed=not stale,
        check_name="answers_are_fresh",
        asset_key=STATUS,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "stale": facts.total("stale"),
            "threshold_turns": STALE_AFTER_TURNS,
            "which": markdown_table(["list", "addresses", "oldest answer"], stale),
        },
    )


def _terms_are_kept(report: SweepReport) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        passed=not report.refused,
        check_name="terms_are_kept",
        asset_key=HEALTH,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "refused": len(report.refused),
            "why": markdown_table(["list", "sum"], sorted(report.refused.items())),
        },
    )
