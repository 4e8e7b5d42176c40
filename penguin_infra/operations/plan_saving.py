"""Make a recommended saving into an action that waits for a person, if it still holds by the facts of now.

Carrying it out is the jobs', once it is approved. What is to be done at the provider by hand is said, and that is all.

    SavingError           a saving that cannot be planned; the message says why and what to do
    ├── SavingNotFound    neither the facts of now nor the last list know one whose id begins so
    ├── SavingUnclear     several savings' ids begin so
    └── SavingGone        it was listed, and does not hold any more
"""

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.actions import OPEN_STATUSES, ActionKind, ActionStatus, PlannedAction
from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.guardrails import GuardrailLimits, Refusal
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.leave_on_request import ask_to_leave
from penguin_infra.domain.policies.resize_on_request import ask_to_resize
from penguin_infra.domain.savings import SAVING_ID, Recommendation, SavingKind
from penguin_infra.operations.find_savings import SavingSearch, find_savings
from penguin_infra.operations.plan_actions import plan_actions_within
from penguin_infra.store import nodes, savings
from penguin_infra.store.ledger_facts import plan_lock
from penguin_infra.store.plan_prices import read_offers


class SavingError(Exception):
    """A saving cannot be planned."""


class SavingNotFound(SavingError):
    """No saving's id begins so."""


class SavingUnclear(SavingError):
    """Several savings' ids begin so."""


class SavingGone(SavingError):
    """It does not hold any more."""


@dataclass(frozen=True, slots=True)
class SavingStep:
    """What became of a saving that was to be planned.

    `action_id`: the action that waits, new or from before (`is_new`, `status`); None of what is done by hand, and of
    what a guardrail refused (`refusal`).
    """

    saving: Recommendation
    kind: ActionKind | None = None
    action_id: UUID | None = None
    status: ActionStatus | None = None
    is_new: bool = False
    refusal: Refusal | None = None


def plan_saving(
    connection: Connection,
    id_prefix: str,
    *,
    search: SavingSearch,
    guardrails: GuardrailLimits,
    drain_minutes: float,
    requested_by: str,
    now: datetime,
) -> SavingStep:
    """Propose the saving's action in the caller's transaction; raises `SavingError`s, and the node's own refusals.

    `drain_minutes`: how long a node that is given up delivers what it has.
    """
    saving = _find(connection, id_prefix, search, now)
    # After the search, which takes its time in a large fleet: no pause may wait for it. Before the look at what is
    # there: two persons who plan the same saving at once would both find it unplanned.
    plan_lock(connection)
    made = savings.newest_action(connection, str(saving.id))
    if made is not None and made.status in OPEN_STATUSES:
        return SavingStep(saving, ActionKind(made.kind), made.id, ActionStatus(made.status))
    if saving.node_id is None or not saving.is_plannable:
        return SavingStep(saving)
    ladder = search.size.throughput.ladder(read_offers(connection))
    node = nodes.get_node(connection, saving.node_id)
    action = _action(saving, node, ladder, search, drain_minutes=drain_minutes, requested_by=requested_by)
    plan = plan_actions_within(connection, lambda _connection: [action], limits=guardrails, now=now)
    if plan.refused:
        return SavingStep(saving, action.kind, refusal=plan.refused[0])
    (action_id,) = plan.proposed_ids
    savings.record_action(connection, saving.id, action_id)
    return SavingStep(saving, action.kind, action_id, ActionStatus.PROPOSED, is_new=True)


def _find(connection: Connection, id_prefix: str, search: SavingSearch, now: datetime) -> Recommendation:
    """The one saving of now whose id begins so."""
    wanted = id_prefix.strip().lower()
    found = [each for each in find_savings(connection, search, now).recommendations if str(each.id).startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        raise SavingUnclear(f"several savings' ids begin with {id_prefix!r}: give more of it")
    raise _missing(connection, id_prefix, wanted)


def _missing(connection: Connection, id_prefix: str, wanted: str) -> SavingError:
    made = savings.newest_action(connection, wanted)
    if made is not None:
        return SavingGone(
            f"the saving of {made.label} was made into action {made.id} already ({made.kind}, {made.status}), and does "
            "not stand any more; `penguin-infra actions show` tells what came of it"
        )
    listed = savings.listed(connection, wanted)
    if len(listed) != 1:
        return SavingNotFound(
            f"no saving's id begins with {id_prefix!r}, now or in the last list; `penguin-infra actions savings` "
            "shows those that stand"
        )
    (row,) = listed
    of = f"the {row.kind} of {row.label}, listed at {row.made_at:%Y-%m-%d %H:%M} UTC,"
    now = f": the node is {row.status} now" if row.status else ""
    return SavingGone(f"{of} does not hold any more{now}, by the facts of now; the next list leaves it out")


def _action(
    saving: Recommendation,
    node: Node,
    ladder: tuple[LadderPlan, ...],
    search: SavingSearch,
    *,
    drain_minutes: float,
    requested_by: str,
) -> PlannedAction:
    """It waits for an approval whatever the mode of its kind: who plans a saving has not yet decided on it."""
    if saving.kind is SavingKind.DOWNSIZE and saving.to_plan is not None:
        action = ask_to_resize(
            node, saving.to_plan, ladder=ladder, reason=saving.reason, requested_by=requested_by,
            drain_minutes=search.size.resize.drain_minutes, may_shrink=True,
        )  # fmt: skip
    else:
        action = ask_to_leave(
            node, ActionKind.DECOMMISSION, reason=saving.reason, requested_by=requested_by,
            drain_minutes=drain_minutes,
        )  # fmt: skip
    evidence = {**action.evidence, SAVING_ID: str(saving.id), "saved_monthly_usd": str(saving.saving_usd)}
    return replace(action, evidence=evidence, needs_approval=True)
