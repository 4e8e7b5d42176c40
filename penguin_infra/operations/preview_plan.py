"""What the fleet would do now, what it may not and why, and what is open: read from the facts, and nothing is written.

The policies and the guardrails are the sensors' own. The database is read in a transaction that cannot write.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Connection, Engine

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus
from penguin_infra.domain.guardrails import Decision, Mode, Rule, judge
from penguin_infra.domain.policies.grow_fleet import GrowthPlan, plan_growth
from penguin_infra.domain.policies.resize_deep_queue import ResizePlan
from penguin_infra.domain.policies.shrink_fleet import ShrinkPlan
from penguin_infra.operations.grow_fleet import growth_hold
from penguin_infra.operations.read_fleet_size import read_fleet_size
from penguin_infra.operations.want_resizes import read_resize_plan
from penguin_infra.operations.want_shrink import plan_shrink
from penguin_infra.operations.wanted import WANTED, WantedLimits
from penguin_infra.store import actions as ledger
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra.store.nodes import read_labels
from penguin_infra.store.switches import frozen_by

# All that is open is told; a ledger that has more than this open is beyond reading.
_MOST_OPEN = 100_000


class Outcome(StrEnum):
    """What becomes of something that is wanted, or is open already, in the order in which it is told."""

    WAITS = "waits for approval"
    WOULD_DO = "would do"
    PLANNED = "planned"
    RUNNING = "running"
    REFUSED = "refused"
    LEFT_ALONE = "left alone"


_OPEN = {
    ActionStatus.PROPOSED: Outcome.WAITS,
    ActionStatus.PLANNED: Outcome.PLANNED,
    ActionStatus.RUNNING: Outcome.RUNNING,
}


@dataclass(frozen=True, slots=True)
class PlanLine:
    """One thing: what, to which node (or of what in the fleet), what becomes of it and why. `rule`: what refused it."""

    kind: ActionKind
    subject: str
    outcome: Outcome
    why: str
    requested_by: str
    rule: str | None = None

    @property
    def verdict(self) -> str:
        """The outcome as people read it."""
        return f"{self.outcome} by {self.rule}" if self.outcome is Outcome.REFUSED else self.outcome.value


@dataclass(frozen=True, slots=True)
class FleetPreview:
    """All of it. `growth` and `shrink` are None where no price list tells what a node more would be."""

    made_at: datetime
    frozen_by: str | None
    lines: tuple[PlanLine, ...]
    growth: GrowthPlan | None
    shrink: ShrinkPlan | None

    @property
    def counts(self) -> dict[Outcome, int]:
        """How many lines have each outcome, none too."""
        found = Counter(line.outcome for line in self.lines)
        return {outcome: found[outcome] for outcome in Outcome}

    def sums(self, *, growth_plan: str) -> list[str]:
        """What is said of the fleet's size, a sentence each."""
        unknown = f"not reckoned: no price list with {growth_plan} is known yet"
        said = [
            f"Growth: {self.growth.reason if self.growth else unknown}.",
            f"Shrink: {self.shrink.reason if self.shrink else unknown}.",
        ]
        return [f"Frozen by {self.frozen_by}: the fleet does nothing by itself.", *said] if self.frozen_by else said


def preview_plan(engine: Engine, limits: WantedLimits, now: datetime) -> FleetPreview:
    """Judge all that is wanted at once, as the sensors would one after another."""
    reading = engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with reading as connection:
        actions = [action for want in WANTED.values() for action in want(connection, limits, now)]
        decision = judge(actions, read_ledger_facts(connection, now, limits.guardrails), limits.guardrails, now)
        figures = read_fleet_size(connection, limits.size, now)
        growth = plan_growth(figures.size, new_node=figures.new_node, limits=limits.size.growth) if figures else None
        shrink = plan_shrink(connection, figures, limits.size, limits.shrink, now) if figures else None
        resizes = read_resize_plan(
            connection,
            throughput=limits.size.throughput,
            limits=limits.size.resize,
            growth=limits.size.growth,
            now=now,
        )
        lines = [
            *_open_lines(connection),
            *_judged_lines(connection, decision),
            *(_growth_lines(connection, growth, limits, now) if growth else ()),
            *_resize_lines(resizes),
        ]
        frozen = frozen_by(connection)
    order = list(Outcome)
    lines.sort(key=lambda line: (order.index(line.outcome), line.kind, line.subject))
    return FleetPreview(now, frozen, tuple(lines), growth, shrink)


def _open_lines(connection: Connection) -> Iterator[PlanLine]:
    for row in ledger.list_actions(connection, statuses=OPEN_STATUSES, limit=_MOST_OPEN):
        outcome = _OPEN[ActionStatus(row.status)]
        yield PlanLine(ActionKind(row.kind), row.label, outcome, row.reason, row.requested_by)


def _judged_lines(connection: Connection, decision: Decision) -> Iterator[PlanLine]:
    # What is open already is told as that.
    refused = [each for each in decision.refused if each.rule is not Rule.ONE_OPEN_ACTION]
    judged = [*decision.allowed, *decision.proposed, *(each.action for each in refused)]
    labels = read_labels(connection, {action.node_id for action in judged})
    for actions, outcome in ((decision.allowed, Outcome.WOULD_DO), (decision.proposed, Outcome.WAITS)):
        for action in actions:
            yield PlanLine(action.kind, labels[action.node_id], outcome, action.reason, action.requested_by)
    for each in refused:
        action = each.action
        why = f"{each.explanation}; wanted because {action.reason}"
        yield PlanLine(action.kind, labels[action.node_id], Outcome.REFUSED, why, action.requested_by, each.rule.value)


def _growth_lines(
    connection: Connection, growth: GrowthPlan, limits: WantedLimits, now: datetime
) -> Iterator[PlanLine]:
    by, kind = "policy:grow_fleet", ActionKind.PROVISION
    hold = growth_hold(connection, limits.guardrails, now)
    is_proposal = limits.guardrails.mode_of(kind) is Mode.APPROVE
    for region, count in growth.by_region:
        subject = f"{count} new in {region}"
        if hold:
            why = f"{hold.explanation}; wanted because {growth.reason}"
            yield PlanLine(kind, subject, Outcome.REFUSED, why, by, hold.rule.value)
        else:
            yield PlanLine(kind, subject, Outcome.WAITS if is_proposal else Outcome.WOULD_DO, growth.reason, by)
    missing = growth.needed - growth.count
    for bite in growth.bites:
        why = f"{bite.explanation}: {bite.most} of {growth.needed} needed may be asked for"
        yield PlanLine(kind, f"{missing} more nodes", Outcome.REFUSED, why, by, bite.cap.value)


def _resize_lines(resizes: ResizePlan) -> Iterable[PlanLine]:
    by, kind = "policy:resize_deep_queue", ActionKind.RESIZE
    for left in resizes.left_alone:
        yield PlanLine(kind, left.label, Outcome.LEFT_ALONE, left.reason, by, left.rule.value)
    for other in resizes.another_node:
        yield PlanLine(kind, other.label, Outcome.LEFT_ALONE, other.reason, by)
