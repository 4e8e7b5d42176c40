"""Measure the fleet's warm-ups: judge every node by fresh facts, and write down what should become of it.

Nothing is carried out here: `want_warmups.py` asks for it, `advance_warmups.py` does it. One node's judgement is the
same for the measurement and for the job that looks again.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, Engine

from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.warmup import (
    WarmupDecision,
    WarmupStep,
    advance_warmup,
    expected_full_at,
    find_cold,
    planned_daily,
)
from penguin_infra.domain.warmup_alerts import RULE, StuckNode, stuck_alerts
from penguin_infra.domain.warmup_curves import WarmupPlan
from penguin_infra.domain.warmup_quality import WarmupLimits
from penguin_infra.operations.begin_warmups import WarmupRules, begin_missing_warmups, plan_for, read_capacities
from penguin_infra.operations.update_alerts import update_alerts
from penguin_infra.store.warmup_facts import WarmupSubject, read_subjects
from penguin_infra.store.warmup_progress import WarmupProgress, hold_progress, replace_progress


@dataclass(frozen=True, slots=True)
class JudgedWarmup:
    """A node, the plan it follows, and its step."""

    subject: WarmupSubject
    plan: WarmupPlan
    step: WarmupStep

    @property
    def is_step(self) -> bool:
        """Whether there is anything to carry out."""
        return self.step.changes(self.subject.state)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why, a sentence each; that its plan no longer has what it earned is said too."""
        earned, fitted = self.subject.state.daily, self.plan.at_or_below(self.subject.state.daily)
        if fitted == earned:
            return self.step.reasons
        return (f"Its plan has no stage of {earned:,} messages a day: it is at {fitted:,}.", *self.step.reasons)


@dataclass(frozen=True, slots=True)
class WarmupReport:
    """One measurement. `begun`: nodes in service that had no warm-up until now."""

    judged: tuple[JudgedWarmup, ...]
    progress: tuple[WarmupProgress, ...]
    begun: int
    opened_alerts: int
    resolved_alerts: int


def judge_warmups(
    connection: Connection, rules: WarmupRules, now: datetime, node_ids: Collection[UUID] | None = None
) -> list[JudgedWarmup]:
    """Judge all warm-ups, or those of the given nodes. Nodes that are warmed up are in it when they went cold."""
    capacities = read_capacities(connection, rules.throughput)
    judged = []
    for subject in read_subjects(connection, now, node_ids):
        state = subject.state
        plan = plan_for(rules.curve, capacities, subject.plan, earned_daily=state.daily)
        judge = find_cold if subject.status is NodeStatus.ACTIVE else advance_warmup
        step = judge(state, subject.evidence, plan, now, limits=rules.limits)
        if step is not None:
            judged.append(JudgedWarmup(subject, plan, step))
    return judged


def measure_warmups(engine: Engine, rules: WarmupRules, *, now: datetime, run_id: str | None = None) -> WarmupReport:
    """Judge the fleet, write its progress in the last one's place, and tell people of nodes that are stuck."""
    with engine.begin() as connection:
        hold_progress(connection, is_replaced=True)
        capacities = read_capacities(connection, rules.throughput)
        begun = begin_missing_warmups(connection, curve=rules.curve, capacities=capacities, now=now)
        judged = tuple(judge_warmups(connection, rules, now))
        progress = tuple(progress_of(each, rules.limits, now) for each in judged)
        replace_progress(connection, progress)
    stuck = [_stuck(each) for each in judged if each.step.decision is WarmupDecision.STUCK]
    changes = update_alerts(engine, RULE, stuck_alerts(stuck), now=now, run_id=run_id)
    return WarmupReport(judged, progress, begun, len(changes.opened), len(changes.resolved))


def progress_of(judged: JudgedWarmup, limits: WarmupLimits, now: datetime) -> WarmupProgress:
    """What is written down of a node."""
    subject, plan, step = judged.subject, judged.plan, judged.step
    return WarmupProgress(
        node_id=subject.node_id,
        measured_at=now,
        stage=plan.stage_at(subject.state.daily),
        stages=len(plan.dailies),
        daily=subject.state.daily,
        next_daily=step.state.daily,
        planned_daily=planned_daily(plan, subject.begun_at, now, limits=limits),
        full_daily=plan.full_daily,
        delivered_last_day=sum(subject.evidence.delivered_last_day.values()),
        decision=step.decision.value,
        is_step=judged.is_step,
        reasons=list(judged.reasons),
        begun_at=subject.begun_at,
        expected_full_at=expected_full_at(step.state, plan, now, limits=limits),
    )


def _stuck(judged: JudgedWarmup) -> StuckNode:
    subject = judged.subject
    return StuckNode(subject.node_id, subject.label, subject.state.daily, judged.plan.full_daily, judged.reasons)
