"""Decide on a proposal: approve it, so that it is planned and carried out, or reject it with a reason.

What may have changed since it was proposed is looked at again, here and by the job before it acts.

    DecisionError        a decision that cannot be taken; the message says why and what to do
    ├── ActionNotFound   the ledger has no such action
    ├── NotProposed      it was decided before, or never had to be
    └── NowRefused       a guardrail has come to speak against it
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.actions import DRAINING_KINDS, FORCED, ActionKind, ActionStatus
from penguin_infra.domain.guardrails import GuardrailLimits, Rule, conflict_with_open, floor_breach
from penguin_infra.domain.policies.leave_on_request import check_can_leave
from penguin_infra.store import actions as ledger
from penguin_infra.store import decisions, nodes
from penguin_infra.store.actions import Action
from penguin_infra.store.ledger_facts import plan_lock, read_ledger_facts
from penguin_infra.store.tables import AnyRow


class DecisionError(Exception):
    """A decision that cannot be taken."""


class ActionNotFound(DecisionError):
    """The ledger has no action of that id."""


class NotProposed(DecisionError):
    """The action waits for no decision."""


class NowRefused(DecisionError):
    """A guardrail has come to speak against it."""


def approve_action(
    connection: Connection,
    action_id: UUID,
    *,
    decided_by: str,
    limits: GuardrailLimits,
    now: datetime,
    is_forced: bool = False,
) -> Action:
    """Let a proposal be carried out; raises `DecisionError`s, `CannotLeave`, `IllegalTransition`.

    What was refused stays proposed. `is_forced`: although it leaves too little sending capacity.
    """
    plan_lock(connection)
    row = _find_proposed(connection, action_id)
    kind = ActionKind(row.kind)
    if kind in DRAINING_KINDS:
        check_can_leave(nodes.get_node(connection, row.node_id), kind)
    facts = read_ledger_facts(connection, now, limits)
    objection = conflict_with_open(row.node_id, kind, facts)
    if not (is_forced or row.evidence.get(FORCED) is True):
        breach = floor_breach(row.node_id, kind, facts, limits)
        objection = objection or (breach and f"{Rule.CAPACITY_FLOOR}: {breach}")
    if objection:
        raise NowRefused(f"{kind} of {row.label} is not approved: {objection}")
    decisions.approve(connection, action_id, decided_by=decided_by, is_forced=is_forced, now=now)
    return _decided(connection, action_id)


def reject_action(connection: Connection, action_id: UUID, *, decided_by: str, reason: str, now: datetime) -> Action:
    """Close a proposal undone; raises `DecisionError`s. No policy proposes the same again for a while."""
    _find_proposed(connection, action_id)
    outcome = f"rejected by {decided_by}: {reason}"
    decisions.reject(connection, action_id, decided_by=decided_by, outcome=outcome, now=now)
    return _decided(connection, action_id)


def _find_proposed(connection: Connection, action_id: UUID) -> AnyRow:
    row = decisions.lock_action(connection, action_id)
    if row is None:
        raise ActionNotFound(f"the ledger has no action {action_id}; `penguin-infra actions list` shows them")
    if row.status != ActionStatus.PROPOSED:
        by = f", decided by {row.decided_by} at {row.decided_at:%Y-%m-%d %H:%M:%S} UTC" if row.decided_by else ""
        raise NotProposed(f"{row.kind} of {row.label} is {row.status}{by}: only what is proposed waits for a decision")
    return row


def _decided(connection: Connection, action_id: UUID) -> Action:
    action = ledger.get_action(connection, action_id)
    if action is None:
        raise ActionNotFound(f"action {action_id} is gone")
    return action
