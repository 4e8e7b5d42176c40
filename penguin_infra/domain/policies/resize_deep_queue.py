"""A node whose queue stays deep because its own plan is too small gets the next plan that fits, one a region at a time.

A queue that waits for others (remote deferrals, a hold, an allowance) is left alone, and that is said: no plan delivers
faster what nobody accepts. At the ladder's top another node is asked for, which `grow_fleet.py` weighs with the rest.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.node import SENDING_STATUSES
from penguin_infra.domain.queue_pressure import (
    QueueingNode,
    QueueLimits,
    Resource,
    emptying,
    is_held_back,
    needed_per_hour,
    own_causes,
    remote_cause,
    stays_deep,
    usual_age_seconds,
    usual_depth,
)

NAME = "policy:resize_deep_queue"


class Restraint(StrEnum):
    """Why a node with a deep queue is left alone, in order of precedence."""

    RESIZING = "resizing"
    NOT_IN_SERVICE = "not_in_service"
    UNKNOWN_PLAN = "unknown_plan"
    HELD_BACK = "held_back"
    REMOTE_DEFERRALS = "remote_deferrals"
    EMPTYING = "emptying"
    NO_OWN_CAUSE = "no_own_cause"
    COOL_DOWN = "cool_down"
    ONE_A_REGION = "one_a_region"
    SPEND = "spend"


@dataclass(frozen=True, slots=True)
class ResizeLimits:
    """How full the new plan may be, and how long a node rests after a resize.

    65 % is what the fleet grows to as well: room for a third more before the next step. After a resize a whole day's
    traffic must be seen before it is judged again. A queue that is deep by the node's own fault is not empty in half an
    hour either: it is drained for ten minutes, and what is left waits through the reboot on the node's disk.
    """

    queue: QueueLimits = field(default_factory=QueueLimits)
    target_share: float = 0.65
    cool_down_hours: float = 24
    drain_minutes: float = 10
    ready_timeout_minutes: float = 30


@dataclass(frozen=True, slots=True)
class ResizeProposal:
    """One node to one plan, why, and on what evidence."""

    node_id: UUID
    label: str
    region: str
    from_plan: str
    to_plan: str
    reason: str
    evidence: dict[str, object]


@dataclass(frozen=True, slots=True)
class AnotherNode:
    """What a node at the ladder's top asks for: a node beside it, in its region."""

    node_id: UUID
    label: str
    region: str
    reason: str
    evidence: dict[str, object]


@dataclass(frozen=True, slots=True)
class LeftAlone:
    """A deep queue that nothing is done about, by which rule, and why."""

    node_id: UUID
    label: str
    rule: Restraint
    reason: str
    evidence: dict[str, object]


@dataclass(frozen=True, slots=True)
class ResizePlan:
    """What the policy says of every node whose queue stayed deep."""

    resizes: tuple[ResizeProposal, ...] = ()
    another_node: tuple[AnotherNode, ...] = ()
    left_alone: tuple[LeftAlone, ...] = ()


def plan_resizes(
    nodes: Iterable[QueueingNode],
    *,
    ladder: Sequence[LadderPlan],
    spend_room_usd: Decimal | None,
    limits: ResizeLimits,
    now: datetime,
) -> ResizePlan:
    """One answer a deep queue, the oldest mail's first. `spend_room_usd`: what a month may cost more; None: no cap.

    `ladder` goes from small to large.
    """
    known = list(nodes)
    resizing = {node.region: node.label for node in sorted(known, key=_oldest_first(limits)) if node.is_resizing}
    answers: list[ResizeProposal | AnotherNode | LeftAlone] = []
    for node in sorted((n for n in known if stays_deep(n, limits.queue, now)), key=_oldest_first(limits)):
        answer = _answer(node, ladder, limits, now)
        if isinstance(answer, ResizeProposal):
            extra = _monthly_usd(answer.to_plan, ladder) - _monthly_usd(answer.from_plan, ladder)
            if other := resizing.get(node.region):
                why = f"{other} of {node.region} is resized: one of a region at a time"
                answer = _left(node, Restraint.ONE_A_REGION, f"{answer.reason}; not now: {why}", answer.evidence)
            elif spend_room_usd is not None and extra > spend_room_usd:
                why = f"${extra:,.2f} more a month > ${spend_room_usd:,.2f} left under the spending cap"
                answer = _left(node, Restraint.SPEND, f"{answer.reason}; not done: {why}", answer.evidence)
            else:
                resizing[node.region] = node.label
                spend_room_usd = None if spend_room_usd is None else spend_room_usd - max(extra, Decimal(0))
        answers.append(answer)
    return ResizePlan(
        tuple(answer for answer in answers if isinstance(answer, ResizeProposal)),
        tuple(answer for answer in answers if isinstance(answer, AnotherNode)),
        tuple(answer for answer in answers if isinstance(answer, LeftAlone)),
    )


def _answer(
    node: QueueingNode, ladder: Sequence[LadderPlan], limits: ResizeLimits, now: datetime
) -> ResizeProposal | AnotherNode | LeftAlone:
    """What the node's own facts ask for, whatever its neighbours and the money say."""
    said, evidence = _said(node, limits), _evidence(node, limits)
    present = next((plan for plan in ladder if plan.name == node.plan), None)
    causes = own_causes(node, present, limits.queue) if present else {}
    for rule, why in _restraints(node, present, causes, limits, now):
        if why is not None:
            return _left(node, rule, f"{said}; {why}", evidence)
    needed = needed_per_hour(node, limits.queue)
    said = f"{said}; {'; '.join(causes.values())}"
    evidence |= {"causes": [cause.value for cause in causes], "needed_per_hour": round(needed)}
    chosen = _next_plan(node.plan, ladder, causes, needed / limits.target_share)
    if chosen is None:
        reason = f"{said}; no plan above {node.plan} has more of it: another node in {node.region} instead"
        return AnotherNode(node.node_id, node.label, node.region, reason, evidence)
    reason = (
        f"{said}; {node.plan} -> {chosen.name}: {needed:,.0f} needed of {chosen.messages_per_hour:,} messages an hour "
        f"are {needed / chosen.messages_per_hour:.0%} (target {limits.target_share:.0%})"
    )
    return ResizeProposal(node.node_id, node.label, node.region, node.plan, chosen.name, reason, evidence)


def _restraints(
    node: QueueingNode,
    plan: LadderPlan | None,
    causes: dict[Resource, str],
    limits: ResizeLimits,
    now: datetime,
) -> Iterable[tuple[Restraint, str | None]]:
    """Every rule that may leave a deep queue alone, in order of precedence, with its reason where it does."""
    yield Restraint.RESIZING, "it is being resized already" if node.is_resizing else None
    is_serving = node.status in SENDING_STATUSES
    yield Restraint.NOT_IN_SERVICE, None if is_serving else f"it is {node.status.value}: nothing is due from it"
    unknown = f"its plan {node.plan} is not on the ladder: add it there, with its throughput"
    yield Restraint.UNKNOWN_PLAN, unknown if plan is None else None
    held = "its transport was held or its allowance spent: a larger plan would wait as well"
    yield Restraint.HELD_BACK, held if is_held_back(node, limits.queue) else None
    remote = remote_cause(node, limits.queue)
    yield Restraint.REMOTE_DEFERRALS, f"{remote}: a larger plan would not be accepted sooner" if remote else None
    soon_calm = emptying(node, limits.queue)
    yield Restraint.EMPTYING, f"{soon_calm}: it keeps up, and works off what came before" if soon_calm else None
    idle = "neither CPU, memory nor throughput is at its plan's limit: look at its disk, its network and its resolver"
    yield Restraint.NO_OWN_CAUSE, None if causes else idle
    yield Restraint.COOL_DOWN, _rests(node, limits, now)


def _rests(node: QueueingNode, limits: ResizeLimits, now: datetime) -> str | None:
    if node.resized_at is None or now >= (until := node.resized_at + timedelta(hours=limits.cool_down_hours)):
        return None
    return (
        f"it was resized at {node.resized_at:%Y-%m-%d %H:%M}; cool-down of {limits.cool_down_hours:g} h "
        f"ends at {until:%Y-%m-%d %H:%M} UTC"
    )


def _next_plan(
    present: str, ladder: Sequence[LadderPlan], causes: Iterable[Resource], wanted_per_hour: float
) -> LadderPlan | None:
    """The first plan above with more of all that lacks, and fast enough; else the largest with more of it."""
    names = [plan.name for plan in ladder]
    own = ladder[names.index(present)]
    larger = [p for p in ladder[names.index(present) + 1 :] if all(_amount(p, c) > _amount(own, c) for c in causes)]
    fitting = [plan for plan in larger if plan.messages_per_hour >= wanted_per_hour]
    return fitting[0] if fitting else (larger[-1] if larger else None)


def _amount(plan: LadderPlan, resource: Resource) -> int:
    amounts = {
        Resource.CPU: plan.cpu,
        Resource.MEMORY: plan.memory_mb,
        Resource.THROUGHPUT: plan.messages_per_hour,
    }
    return amounts[resource]


def _monthly_usd(name: str, ladder: Sequence[LadderPlan]) -> Decimal:
    return next(plan.monthly_usd for plan in ladder if plan.name == name)


def _oldest_first(limits: ResizeLimits) -> "_Key":
    return lambda node: (-usual_age_seconds(node, limits.queue) if node.windows else 0.0, node.label, node.node_id)


def _left(node: QueueingNode, rule: Restraint, reason: str, evidence: dict[str, object]) -> LeftAlone:
    return LeftAlone(node.node_id, node.label, rule, reason, evidence)


def _said(node: QueueingNode, limits: ResizeLimits) -> str:
    minutes = limits.queue.windows * limits.queue.window_minutes
    return (
        f"{node.label}: the queue stayed deep for {minutes} min ({usual_depth(node, limits.queue):,.0f} mails "
        f">= {limits.queue.deep_messages:,}, the oldest {usual_age_seconds(node, limits.queue):,.0f} s "
        f">= {limits.queue.old_seconds:,} s)"
    )


def _evidence(node: QueueingNode, limits: ResizeLimits) -> dict[str, object]:
    seen = node.windows[-limits.queue.windows :]
    return {
        "plan": node.plan,
        "measured_at": seen[-1].measured_at.isoformat(),
        "depths": [window.depth for window in seen],
        "deferred": [window.deferred for window in seen],
        "oldest_age_seconds": [window.oldest_age_seconds for window in seen],
        "ended": [window.ended for window in seen],
        "deferrals": [window.deferrals for window in seen],
        "cpu_percent": [window.cpu_percent for window in seen],
        "memory_percent": [window.memory_percent for window in seen],
    }


_Key = Callable[[QueueingNode], tuple[float, str, UUID]]
