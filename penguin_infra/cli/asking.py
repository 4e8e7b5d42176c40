"""How commands ask for an action on one node: through the guardrails into the ledger, and followed to its end.

Which action it is, and whether the node can be asked it at all, the commands say (`nodes.py`, `node_leaving.py`).
"""

import time
from uuid import UUID

from rich.markup import escape
from sqlalchemy import Connection

from penguin_infra.cli.output import console, notes, person, print_json, stop, transaction
from penguin_infra.domain.actions import OPEN_STATUSES, ActionStatus, PlannedAction
from penguin_infra.domain.guardrails import Refusal, Rule
from penguin_infra.operations.approve_action import approve_action
from penguin_infra.operations.decommission_node import STEPS
from penguin_infra.operations.plan_actions import Plan, plan_actions_within
from penguin_infra.store import actions as ledger
from penguin_infra.store import steps
from penguin_infra.wiring import Wiring

_POLL_SECONDS = 1.0


def ask_for(
    fleet: Wiring, action: PlannedAction, label: str, *, wait: bool, as_json: bool, is_approved: bool = False
) -> None:
    """Plan or propose the action, or end the command with the rule that refuses it.

    `is_approved`: whoever asks approves it too. A proposal is not waited for: nobody knows when it is decided.
    """
    with transaction(fleet) as connection:
        plan = plan_one(fleet, connection, action)
        if plan.proposed_ids and is_approved:
            approve_action(
                connection,
                plan.proposed_ids[0],
                decided_by=person(),
                limits=fleet.policy.guardrails,
                now=fleet.clock.now(),
            )
    if plan.refused:
        stop(explain_refusal(plan.refused[0]))
    (action_id,) = (*plan.action_ids, *plan.proposed_ids)
    is_proposed = bool(plan.proposed_ids) and not is_approved
    status = ActionStatus.PROPOSED if is_proposed else ActionStatus.PLANNED
    if as_json:
        print_json({"action_id": action_id, "node": label, "kind": action.kind, "status": status})
    else:
        console.print(f"{status.capitalize()}: {action.kind} {label} (action {action_id}).")
    if is_proposed and not as_json:
        console.print(f"It waits for a person: `penguin-infra actions approve {str(action_id)[:8]}`, or `reject`.")
    if wait and not is_proposed:
        follow_action(fleet, action_id)


def plan_one(fleet: Wiring, connection: Connection, action: PlannedAction) -> Plan:
    """What the guardrails make of the action, written to the ledger with the caller's transaction."""
    return plan_actions_within(
        connection, lambda _connection: [action], limits=fleet.policy.guardrails, now=fleet.clock.now()
    )


def explain_refusal(refusal: Refusal, *, is_forceable: bool = True) -> str:
    """The rule and its sum, and the way past it where the command has one."""
    may_force = is_forceable and refusal.rule is Rule.CAPACITY_FLOOR
    way = ". `--force` does it all the same, and the ledger says so" if may_force else ""
    return f"{refusal.rule}: {refusal.explanation}{way}"


def follow_action(fleet: Wiring, action_id: UUID) -> None:
    """Wait until the action is over, and tell each step's progress; ends the command with what went wrong."""
    said = ""
    with notes.status("waiting for its run"):
        while True:
            with transaction(fleet) as connection:
                row = ledger.find_actions(connection, str(action_id))[0]
                news = _news(connection, row.node_id, action_id)
            if news and news != said:
                notes.print(escape(news))
                said = news
            if row.status not in OPEN_STATUSES:
                break
            time.sleep(_POLL_SECONDS)
    if row.status != ActionStatus.SUCCEEDED:
        stop(f"{row.status}: {row.outcome}")
    notes.print(f"{escape(row.outcome)} (run {row.run_id}).")


def _news(connection: Connection, node_id: UUID, action_id: UUID) -> str:
    rows = [row for row in steps.list_steps(connection, node_id, STEPS) if row.action_id == action_id]
    if not rows:
        return ""
    last = max(rows, key=lambda row: (row.status != steps.SUCCEEDED, row.finished_at or row.started_at))
    told = last.error or last.progress or last.result.get("text")
    return f"{last.step} {last.status}" + (f": {told}" if told else "")
