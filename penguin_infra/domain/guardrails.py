"""The brakes that every planned action passes, in one order of precedence; each refusal carries its sum.

Pure: the facts of the ledger come in, allowed and refused actions go out. Whether an action makes sense at all is its
policy's business.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

from penguin_infra.domain.actions import DISRUPTIVE_KINDS, ActionKind, PlannedAction


class Rule(StrEnum):
    """Why an action was refused, in order of precedence."""

    ONE_OPEN_ACTION = "one_open_action"
    KILL_SWITCH = "kill_switch"
    COOL_DOWN = "cool_down"
    DISRUPTION_BUDGET = "disruption_budget"


@dataclass(frozen=True, slots=True)
class GuardrailLimits:
    """How much the fleet may do to itself.

    A tenth of the nodes an hour is Karpenter's default disruption budget; like there, it never rounds to zero, else a
    small fleet could not act at all. Ten minutes after a failure is cluster-autoscaler's cool-down after an added node.
    """

    disruption_share_per_hour: float = 0.10
    cool_down_minutes: int = 10

    def disruptions_per_hour(self, fleet_size: int) -> int:
        """Nodes that may be taken out of service in an hour."""
        # In decimals: 29 % of 100 nodes are 28.999... in floats.
        return max(1, int(fleet_size * Decimal(str(self.disruption_share_per_hour))))


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the guardrails must know of the fleet and its ledger.

    `fleet_size` counts nodes in service or paused; `disruptions_last_hour` counts disruptive actions, whoever asked.
    """

    fleet_size: int
    disruptions_last_hour: int = 0
    open_actions: frozenset[tuple[UUID, ActionKind]] = frozenset()
    failed_at: Mapping[tuple[UUID, ActionKind], datetime] = field(default_factory=dict)
    frozen_by: str | None = None


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


def judge(actions: Iterable[PlannedAction], facts: LedgerFacts, limits: GuardrailLimits, now: datetime) -> Decision:
    """Pass the planned actions through every rule, the most urgent first; each one allowed counts for the next.

    What a person asked for by name passes the kill switch, the cool-down and the budget (it still counts in the
    budget): those hold back the fleet's own judgement, not its operators'.
    """
    allowed: list[PlannedAction] = []
    refused: list[Refusal] = []
    for action in sorted(actions, key=lambda candidate: candidate.urgency):
        if refusal := _refuse(action, facts, limits, now):
            refused.append(refusal)
        else:
            allowed.append(action)
            facts = _with_one_more(facts, action)
    return Decision(tuple(allowed), tuple(refused))


def _with_one_more(facts: LedgerFacts, action: PlannedAction) -> LedgerFacts:
    return replace(
        facts,
        open_actions=facts.open_actions | {(action.node_id, action.kind)},
        disruptions_last_hour=facts.disruptions_last_hour + (action.kind in DISRUPTIVE_KINDS),
    )


def _refuse(action: PlannedAction, facts: LedgerFacts, limits: GuardrailLimits, now: datetime) -> Refusal | None:
    if (action.node_id, action.kind) in facts.open_actions:
        return Refusal(action, Rule.ONE_OPEN_ACTION, f"a {action.kind} of this node is open already")
    if action.is_by_person:
        return None
    if facts.frozen_by is not None:
        return Refusal(action, Rule.KILL_SWITCH, f"the fleet is frozen by {facts.frozen_by}; thaw it to go on")
    failed_at = facts.failed_at.get((action.node_id, action.kind))
    if failed_at is not None and now < (until := failed_at + timedelta(minutes=limits.cool_down_minutes)):
        return Refusal(
            action,
            Rule.COOL_DOWN,
            f"the last {action.kind} of this node failed at {failed_at:%H:%M:%S}; cool-down of "
            f"{limits.cool_down_minutes} min ends at {until:%H:%M:%S}",
        )
    if action.kind in DISRUPTIVE_KINDS:
        allowance = limits.disruptions_per_hour(facts.fleet_size)
        if facts.disruptions_last_hour + 1 > allowance:
            return Refusal(
                action,
                Rule.DISRUPTION_BUDGET,
                f"{facts.disruptions_last_hour} + 1 > {allowance} an hour "
                f"(max(1, {limits.disruption_share_per_hour * 100:g}% of {facts.fleet_size} nodes))",
            )
    return None
