"""The brakes that every planned action passes, in one order of precedence; each refusal carries its sum.

Pure: the facts of the ledger come in; allowed, proposed and refused actions go out. Whether an action makes sense at
all is its policy's business; who decides on a proposal, `operations/approve_action.py`'s.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from enum import StrEnum
from uuid import UUID

from penguin_infra.domain.actions import DISRUPTIVE_KINDS, DRAINING_KINDS, ActionKind, PlannedAction

NodeAndKind = tuple[UUID, ActionKind]

# Two of these on one node would work on the same host and in the same steps.
_EXCLUSIVE_KINDS = DRAINING_KINDS | {ActionKind.REINSTALL}

# What is under way with these is out of the rotation, or soon will be.
_TAKING_KINDS = DISRUPTIVE_KINDS | {ActionKind.REINSTALL}

# Kinds that the capacity floor may hold up.
FLOOR_KINDS = DRAINING_KINDS | {ActionKind.PAUSE}


class Rule(StrEnum):
    """Why an action was refused, in order of precedence, with what each rule says and whom it binds.

    The first that applies is told; below them come the modes: what is left is done, or waits for approval.
    """

    meaning: str

    def __new__(cls, value: str, meaning: str) -> "Rule":
        """A rule by its name in the ledger."""
        rule = str.__new__(cls, value)
        rule._value_ = value
        rule.meaning = meaning
        return rule

    # First: two runs on one host would undo each other, whoever asked for them.
    ONE_OPEN_ACTION = (
        "one_open_action",
        "A node has one open action of a kind, and one at a time that drains it or installs it. Binds persons too.",
    )
    # Before every sum: a frozen fleet does nothing by itself, however urgent it is.
    KILL_SWITCH = (
        "kill_switch",
        "The fleet is frozen (`penguin-infra freeze`): only what a person asked for or approved is done.",
    )
    # Before the budget: what would only fail again must not use it up.
    COOL_DOWN = (
        "cool_down",
        "The same action of this node failed just now, or a person rejected it: it rests for a while.",
    )
    # Counts what everybody did, and holds back the fleet's own judgement only. What waits for approval spends nothing.
    DISRUPTION_BUDGET = (
        "disruption_budget",
        "So many nodes an hour may be taken out of service by the fleet, at least one.",
    )
    # After the budget, so that its sum is made of what is left; persons may force it.
    CAPACITY_FLOOR = (
        "capacity_floor",
        "What is left must be nodes enough, and carry enough of the present demand. Persons may force it.",
    )
    # Last: what is recorded so would have been done.
    OBSERVE_ONLY = (
        "observe_only",
        "The policy file sets this kind to observe: it would have been done now.",
    )


class Mode(StrEnum):
    """What becomes of an action that no rule speaks against: done, done once a person approves, or only recorded."""

    ACT = "act"
    APPROVE = "approve"
    OBSERVE = "observe"


@dataclass(frozen=True, slots=True)
class GuardrailLimits:
    """How much the fleet may do to itself.

    A tenth of the nodes an hour is Karpenter's default disruption budget; like there, it never rounds to zero, else a
    small fleet could not act at all. Ten minutes after a failure is cluster-autoscaler's cool-down after an added node.
    Half of the nodes in service must go on sending, whoever asks: a fleet that runs on less has no room for the next
    listing. What is left must carry seven tenths of the present demand: the rest of a day's mail is then delivered
    within half a day more, which few notice; below that queues only grow. What a person rejected is not proposed again
    on the same day. What cannot be undone waits for a person.
    """

    disruption_share_per_hour: float = 0.10
    cool_down_minutes: int = 10
    smallest_rotation_share: float = 0.5
    smallest_demand_share: float = 0.7
    rejection_rest_hours: float = 24
    approve: frozenset[ActionKind] = frozenset({ActionKind.DECOMMISSION})
    observe: frozenset[ActionKind] = frozenset()

    def disruptions_per_hour(self, fleet_size: int) -> int:
        """Nodes that may be taken out of service in an hour."""
        # In decimals: 29 % of 100 nodes are 28.999... in floats.
        return max(1, int(fleet_size * Decimal(str(self.disruption_share_per_hour))))

    def smallest_rotation(self, fleet_size: int) -> int:
        """Nodes that must stay in the rotation, rounded up."""
        least = fleet_size * Decimal(str(self.smallest_rotation_share))
        return int(least.to_integral_value(rounding=ROUND_CEILING))

    def mode_of(self, kind: ActionKind) -> Mode:
        """What becomes of actions of that kind."""
        if kind in self.observe:
            return Mode.OBSERVE
        return Mode.APPROVE if kind in self.approve else Mode.ACT


@dataclass(frozen=True, slots=True)
class Rejection:
    """A person's no, and when it was said."""

    rejected_by: str
    rejected_at: datetime


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the guardrails must know of the fleet and its ledger.

    `fleet_size` counts nodes in service, paused or in maintenance; `rotation` holds those that may send now.
    `disruptions_last_hour` counts disruptive actions that were decided then, whoever asked. `open_actions` holds what
    is proposed too, `under_way` does not. `capacity`: what nodes can send in a day, and `present_demand` what a day
    asks of all of them; empty and None where nobody measured it lately, and then no sum is made of it.
    """

    fleet_size: int
    disruptions_last_hour: int = 0
    open_actions: frozenset[NodeAndKind] = frozenset()
    failed_at: Mapping[NodeAndKind, datetime] = field(default_factory=dict)
    frozen_by: str | None = None
    under_way: frozenset[NodeAndKind] = frozenset()
    rejected: Mapping[NodeAndKind, Rejection] = field(default_factory=dict)
    rotation: frozenset[UUID] = frozenset()
    capacity: Mapping[UUID, int] = field(default_factory=dict)
    present_demand: float | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """An action that was not allowed, by which rule, and the sum that shows it."""

    action: PlannedAction
    rule: Rule
    explanation: str


@dataclass(frozen=True, slots=True)
class Decision:
    """The guardrails' answer."""

    allowed: tuple[PlannedAction, ...]
    refused: tuple[Refusal, ...]
    proposed: tuple[PlannedAction, ...] = ()


def judge(actions: Iterable[PlannedAction], facts: LedgerFacts, limits: GuardrailLimits, now: datetime) -> Decision:
    """Pass the planned actions through every rule, the most urgent first; each one allowed counts for the next.

    What a person asked for by name passes the kill switch, the cool-down, the budget (it still counts in the budget)
    and the mode observe: those hold back the fleet's own judgement, not its operators'. The capacity floor holds for
    persons too, unless they force it, and so does the mode approve. A proposal takes nothing out of service: it spends
    no budget and is not held up by one until it is approved, and then it counts.
    """
    allowed: list[PlannedAction] = []
    proposed: list[PlannedAction] = []
    refused: list[Refusal] = []
    for action in sorted(actions, key=lambda candidate: candidate.urgency):
        is_proposal = action.needs_approval or limits.mode_of(action.kind) is Mode.APPROVE
        if refusal := _refuse(action, facts, limits, now):
            refused.append(refusal)
        else:
            (proposed if is_proposal else allowed).append(action)
            facts = _with_one_more(facts, action, is_proposal=is_proposal)
    return Decision(tuple(allowed), tuple(refused), tuple(proposed))


def conflict_with_open(node_id: UUID, kind: ActionKind, facts: LedgerFacts) -> str | None:
    """Why the node's other work under way rules this out; None where it does not."""
    if kind not in _EXCLUSIVE_KINDS:
        return None
    others = sorted(other for of, other in facts.under_way if of == node_id and other in _EXCLUSIVE_KINDS - {kind})
    return f"a {others[0]} of this node is under way: wait for its end" if others else None


def floor_breach(node_id: UUID, kind: ActionKind, facts: LedgerFacts, limits: GuardrailLimits) -> str | None:
    """The sum by which too little would be left to send: too few nodes, or too little capacity; None where enough is.

    A node that is not in the rotation takes nothing away: a critical or high listing has dropped it already, and so is
    never held up. Other pauses count by capacity alone.
    """
    if kind not in FLOOR_KINDS or node_id not in facts.rotation:
        return None
    leaving = {of for of, other in facts.under_way if other in _TAKING_KINDS} - {node_id}
    sending = facts.rotation - leaving
    least = limits.smallest_rotation(facts.fleet_size)
    if kind in DRAINING_KINDS and len(sending) - 1 < least:
        return (
            f"{len(sending)} - 1 < {least} nodes in the rotation "
            f"({limits.smallest_rotation_share * 100:g}% of {facts.fleet_size} in service, rounded up)"
        )
    return _demand_breach(node_id, sending, facts, limits)


def _demand_breach(node_id: UUID, sending: frozenset[UUID], facts: LedgerFacts, limits: GuardrailLimits) -> str | None:
    if facts.present_demand is None or not facts.capacity.get(node_id):
        return None
    capacity = sum(facts.capacity.get(each, 0) for each in sending)
    least = limits.smallest_demand_share * facts.present_demand
    left = capacity - facts.capacity[node_id]
    if left >= least:
        return None
    return (
        f"{capacity:,} - {facts.capacity[node_id]:,} = {left:,} < {least:,.0f} messages a day "
        f"({limits.smallest_demand_share * 100:g}% of the present demand of {facts.present_demand:,.0f})"
    )


def _with_one_more(facts: LedgerFacts, action: PlannedAction, *, is_proposal: bool) -> LedgerFacts:
    key = (action.node_id, action.kind)
    if is_proposal:
        return replace(facts, open_actions=facts.open_actions | {key})
    return replace(
        facts,
        open_actions=facts.open_actions | {key},
        under_way=facts.under_way | {key},
        disruptions_last_hour=facts.disruptions_last_hour + (action.kind in DISRUPTIVE_KINDS),
    )


def _refuse(action: PlannedAction, facts: LedgerFacts, limits: GuardrailLimits, now: datetime) -> Refusal | None:
    if (action.node_id, action.kind) in facts.open_actions:
        return Refusal(action, Rule.ONE_OPEN_ACTION, f"a {action.kind} of this node is open already")
    if conflict := conflict_with_open(action.node_id, action.kind, facts):
        return Refusal(action, Rule.ONE_OPEN_ACTION, conflict)
    if not action.is_by_person and (refusal := _hold_back(action, facts, limits, now)):
        return refusal
    if not _passes_floor(action) and (breach := floor_breach(action.node_id, action.kind, facts, limits)):
        return Refusal(action, Rule.CAPACITY_FLOOR, breach)
    if not action.is_by_person and limits.mode_of(action.kind) is Mode.OBSERVE:
        return Refusal(action, Rule.OBSERVE_ONLY, f"{action.kind} is only observed: it would have been done now")
    return None


def _passes_floor(action: PlannedAction) -> bool:
    """A person's pause is an emergency brake, and passes as well."""
    return action.is_forced or (action.is_by_person and action.kind is ActionKind.PAUSE)


def _hold_back(action: PlannedAction, facts: LedgerFacts, limits: GuardrailLimits, now: datetime) -> Refusal | None:
    """The rules for the fleet's own judgement."""
    key = (action.node_id, action.kind)
    if facts.frozen_by is not None:
        return Refusal(action, Rule.KILL_SWITCH, f"the fleet is frozen by {facts.frozen_by}; thaw it to go on")
    if resting := _rests(action.kind, facts.failed_at.get(key), facts.rejected.get(key), limits, now):
        return Refusal(action, Rule.COOL_DOWN, resting)
    is_proposal = action.needs_approval or limits.mode_of(action.kind) is Mode.APPROVE
    if action.kind in DISRUPTIVE_KINDS and not is_proposal:
        allowance = limits.disruptions_per_hour(facts.fleet_size)
        if facts.disruptions_last_hour + 1 > allowance:
            return Refusal(
                action,
                Rule.DISRUPTION_BUDGET,
                f"{facts.disruptions_last_hour} + 1 > {allowance} an hour "
                f"(max(1, {limits.disruption_share_per_hour * 100:g}% of {facts.fleet_size} nodes))",
            )
    return None


def _rests(
    kind: ActionKind, failed_at: datetime | None, rejection: Rejection | None, limits: GuardrailLimits, now: datetime
) -> str | None:
    if failed_at is not None and now < (until := failed_at + timedelta(minutes=limits.cool_down_minutes)):
        return (
            f"the last {kind} of this node failed at {failed_at:%H:%M:%S}; cool-down of "
            f"{limits.cool_down_minutes} min ends at {until:%H:%M:%S}"
        )
    if rejection and now < (until := rejection.rejected_at + timedelta(hours=limits.rejection_rest_hours)):
        return (
            f"{rejection.rejected_by} rejected the last {kind} of this node at "
            f"{rejection.rejected_at:%Y-%m-%d %H:%M}; it is not planned again before {until:%Y-%m-%d %H:%M} UTC"
        )
    return None
