"""Score the whole fleet's reputation: write the scores down, with every change of them and each one's words.

Who is spared or paused for it is the policies' to decide, from what is written here.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.domain.delivery_limits import FRESH_FOR
from penguin_infra.domain.reputation_evidence import Evidence
from penguin_infra.domain.reputation_score import VERSION, ReputationLimits, ReputationScore, score_node
from penguin_infra.domain.reputation_words import explain
from penguin_infra.store import reputation_scores
from penguin_infra.store.reputation_scores import ScoreSubject, Step


@dataclass(frozen=True, slots=True)
class ScoredNode:
    """A node with its score, the evidence that it rests on, and the score in words."""

    subject: ScoreSubject
    evidence: Evidence
    scored: ReputationScore
    explanation: str

    @property
    def is_changed(self) -> bool:
        """Whether its score is another than before, or the first, or one of other rules."""
        former = self.subject.standing
        return former is None or former.score != self.scored.score or self.subject.version != VERSION


@dataclass(frozen=True, slots=True)
class ReputationReport:
    """One scoring. `is_delivery_known`: whether the fleet's mail was measured in the last ten minutes."""

    nodes: tuple[ScoredNode, ...]
    is_delivery_known: bool

    @property
    def changed(self) -> list[ScoredNode]:
        """Those whose score was written down as changed."""
        return [node for node in self.nodes if node.is_changed]


def score_reputation(engine: Engine, limits: ReputationLimits, *, now: datetime) -> ReputationReport:
    """Score every node that holds an address; all of it is written in one transaction, or nothing."""
    with engine.begin() as connection:
        reputation_scores.scores_lock(connection)
        measured_at = reputation_scores.delivery_measured_at(connection)
        is_known = measured_at is not None and measured_at >= now - FRESH_FOR
        nodes = tuple(
            _score(subject, limits, now, is_delivery_known=is_known)
            for subject in reputation_scores.read_subjects(connection, now)
        )
        report = ReputationReport(nodes, is_known)
        reputation_scores.save_scores(connection, list(score_rows(nodes, now)), [_step(n, now) for n in report.changed])
    return report


def score_rows(nodes: Iterable[ScoredNode], now: datetime) -> Iterable[tuple[object, ...]]:
    """The rows of `analytics.reputation_scores`, in the order of its columns."""
    for node in nodes:
        subject, scored = node.subject, node.scored
        yield (
            subject.node_id, subject.label, subject.ip_address, subject.region, subject.status, now, scored.score,
            scored.target, scored.cap, VERSION, json.dumps(scored.points), node.explanation,
            scored.standing.rising_since,
        )  # fmt: skip


def _score(subject: ScoreSubject, limits: ReputationLimits, now: datetime, *, is_delivery_known: bool) -> ScoredNode:
    evidence = Evidence(
        listings=subject.listings,
        delivery=subject.recent if is_delivery_known else None,
        former_points=subject.former_points,
        health=subject.health,
        proven_share=max(0.0, subject.proven_share),
    )
    scored = score_node(evidence, subject.standing, now, limits)
    return ScoredNode(subject, evidence, scored, explain(scored, evidence, limits))


def _step(node: ScoredNode, now: datetime) -> Step:
    changed_at = reputation_scores.next_step_at(node.subject, now)
    return Step(node.subject.node_id, changed_at, node.scored.score, VERSION, node.scored.points)
