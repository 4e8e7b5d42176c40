"""Each node's reputation as it is now. What it was day by day is `reporting/reputation_history.py`'s."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.column_lineage import column_lineage
from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.reputation_evidence import Component
from penguin_infra.operations.score_reputation import ReputationReport, ScoredNode, score_reputation
from penguin_infra.store.analytics_tables import reputation_scores as reputation_scores_table
from penguin_infra.wiring import Wiring

_BAND = 20
_BANDS = {low: f"{low}-{low + _BAND - (low < 100 - _BAND)}" for low in range(0, 100, _BAND)}

_RATES = ("sent", "hard_bounces", "policy_rejections", "deferrals", "complaints", "attempted")
_EVIDENCE = ("blacklist_status.severity", "blacklist_status.zone", *(f"delivery_rates.{name}" for name in _RATES))
_LINEAGE = column_lineage(
    {
        "cap": ("blacklist_status.severity", "blacklist_status.zone", "blacklist_status.operator"),
        **dict.fromkeys(("target", "score", "components", "explanation"), _EVIDENCE),
    }
)


@dg.asset(
    group_name="reputation",
    owners=["team:deliverability"],
    kinds={"postgres"},
    tags={"cadence": "5min", "reader": "operators-analysts"},
    deps=["blacklist_status", "delivery_rates", "node_health", "warmup_progress"],
    freshness_policy=dg.FreshnessPolicy.time_window(
        fail_window=timedelta(minutes=30), warn_window=timedelta(minutes=15)
    ),
    metadata=table_metadata(reputation_scores_table),
    check_specs=[
        dg.AssetCheckSpec(
            "scores_explained",
            asset="reputation_scores",
            description="Every node that holds an address has its score in words, and nothing that it rests on is "
            "unknown: mail that was not measured for ten minutes, or a node that was never heard. What is unknown "
            "is neither good nor bad: it leaves the score as it was.",
        )
    ],
)
def reputation_scores(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """What each node's address is worth, from 0 (burnt) to 100 (spotless), and why: it falls at once, it rises slowly.

    Source: open listings, the newest delivery rates, health and warm-up, every 5 minutes; points. Readers: the
    fleet's shrinking (the least reputable goes first), operators, analysts. One row a node that holds an address; how
    a score is made: docs/reputation.md. Each change of one is kept in `fleet.reputation_steps`.
    """
    report = score_reputation(fleet.engine, fleet.policy.reputation, now=fleet.clock.now())
    context.log.info("%d nodes scored, %d scores changed", len(report.nodes), len(report.changed))
    return dg.MaterializeResult(metadata={**_metadata(report), **_LINEAGE}, check_results=list(_checks(report)))


def _metadata(report: ReputationReport) -> dict[str, int | float | dg.MarkdownMetadataValue]:
    scores = [node.scored.score for node in report.nodes]
    bands = Counter(min(score, 99) // _BAND * _BAND for score in scores)
    taken: Counter[str] = Counter()
    for node in report.nodes:
        taken.update({str(component): points for component, points in node.scored.points.items()})
    return {
        "dagster/row_count": len(scores),
        "mean_score": sum(scores) / len(scores) if scores else 0.0,
        "lowest_score": min(scores, default=0),
        "capped_by_listings": sum(node.scored.cap < 100 for node in report.nodes),
        "rising": sum(node.scored.score < node.scored.target for node in report.nodes),
        "changed": len(report.changed),
        "is_delivery_known": int(report.is_delivery_known),
        "nodes_by_score": bars({name: bands[low] for low, name in _BANDS.items()}),
        "points_lost": bars({component.value: taken[component.value] for component in Component}),
        "worst_nodes": markdown_table(
            ["node", "address", "status", "score", "target", "why"],
            [
                (node.subject.label, node.subject.ip_address, node.subject.status, node.scored.score,
                 node.scored.target, node.explanation)
                for node in sorted(report.nodes, key=lambda node: (node.scored.score, node.subject.label))
            ],
        ),
    }  # fmt: skip


def _checks(report: ReputationReport) -> Iterator[dg.AssetCheckResult]:
    unheard = [node for node in report.nodes if node.evidence.health is Health.UNKNOWN]
    unsaid = [node for node in report.nodes if not node.explanation]
    unmeasured = 0 if report.is_delivery_known else len(report.nodes)
    yield dg.AssetCheckResult(
        passed=not (unheard or unsaid or unmeasured),
        check_name="scores_explained",
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "nodes_never_heard": len(unheard),
            "nodes_with_unmeasured_mail": unmeasured,
            "scores_without_words": len(unsaid),
            "which": markdown_table(["node", "status", "score"], map(_row, [*unsaid, *unheard])),
        },
    )


def _row(node: ScoredNode) -> tuple[object, ...]:
    return node.subject.label, node.subject.status, node.scored.score
