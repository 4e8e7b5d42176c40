"""`penguin-infra actions`: the ledger, read, and what persons decide: proposals, the kill switch."""

from typing import Annotated

import typer
from rich.markup import escape

from penguin_infra.cli import savings
from penguin_infra.cli.output import (
    AsJson,
    console,
    find_one,
    person,
    show,
    show_one,
    told_in_words,
    transaction,
    wire,
)
from penguin_infra.domain.actions import ActionStatus
from penguin_infra.operations.approve_action import approve_action, reject_action
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, switches

app = typer.Typer(help="The ledger of what the fleet did, refused and plans.", no_args_is_help=True)
_LISTED_BY = "penguin-infra actions list"


@app.command("list")
@told_in_words
def list_actions(
    status: Annotated[list[ActionStatus] | None, typer.Option(help="Only these; may be repeated.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this node's (label, address or id).")] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 30,
    as_json: AsJson = False,
) -> None:
    """List actions, those that wait for approval first, then the newest, with who asked, why, and what came of it.

    Example: penguin-infra actions list --status refused
    """
    fleet = wire()
    with transaction(fleet) as connection:
        node_id = nodes.find_node(connection, node).node_id if node else None
        found = ledger.list_actions(connection, statuses=status, node_id=node_id, limit=limit)
    rows = [dict(row._mapping) | {"short_id": str(row.id)[:8]} for row in found]
    columns = {
        "short_id": "id", "label": "node", "kind": "action", "status": "status", "requested_by": "by",
        "reason": "why", "outcome": "outcome", "attempt": "try", "planned_at": "planned (UTC)",
    }  # fmt: skip
    if as_json:
        show(rows, columns, as_json=True, empty="")
        return
    waiting = [row for row in rows if row["status"] == ActionStatus.PROPOSED]
    for row in waiting:
        row["outcome"] = "waits for approval"
    show(rows, columns, as_json=False, empty="No such actions.")
    if waiting:
        console.print(
            f"{len(waiting)} of them wait for a person: `penguin-infra actions approve ID`, "
            "or `penguin-infra actions reject ID --reason ...`."
        )


@app.command("show")
@told_in_words
def show_action(
    action_id: Annotated[str, typer.Argument(help="The action's id, or its beginning.")], as_json: AsJson = False
) -> None:
    """Show all of one action: evidence, attempts, runs and times.

    Example: penguin-infra actions show 1a2b3c4d
    """
    fleet = wire()
    with transaction(fleet) as connection:
        found = ledger.find_actions(connection, action_id)
    show_one(found, action_id, noun="action", listed_by=_LISTED_BY, as_json=as_json)


@app.command("approve")
@told_in_words
def approve(
    action_id: Annotated[str, typer.Argument(help="The proposal's id, or its beginning.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also if too few nodes are left to send; the ledger says so.")
    ] = False,
) -> None:
    """Let a proposal be carried out, in your name. Whether the fleet can do without the node is looked at again.

    Example: penguin-infra actions approve 1a2b3c4d
    """
    fleet = wire()
    with transaction(fleet) as connection:
        found = find_one(ledger.find_actions(connection, action_id), action_id, noun="action", listed_by=_LISTED_BY)
        action = approve_action(
            connection,
            found.id,
            decided_by=person(),
            limits=fleet.policy.guardrails,
            now=fleet.clock.now(),
            is_forced=force,
        )
    console.print(f"Approved: {action.kind} {action.label} (action {action.action_id}).")


@app.command("reject")
@told_in_words
def reject(
    action_id: Annotated[str, typer.Argument(help="The proposal's id, or its beginning.")],
    reason: Annotated[str, typer.Option(help="Why: it is kept with the action.")],
) -> None:
    """Close a proposal undone. The fleet does not propose the same again for a day.

    Example: penguin-infra actions reject 1a2b3c4d --reason "it is still needed"
    """
    fleet = wire()
    with transaction(fleet) as connection:
        found = find_one(ledger.find_actions(connection, action_id), action_id, noun="action", listed_by=_LISTED_BY)
        action = reject_action(connection, found.id, decided_by=person(), reason=reason, now=fleet.clock.now())
    console.print(f"Rejected: {action.kind} {action.label} (action {action.action_id}).")


app.command("savings")(savings.list_savings)
app.command("plan")(savings.plan_one_saving)


@told_in_words
def freeze(
    reason: Annotated[str, typer.Option(help="Why: every refusal says it.")],
) -> None:
    """Stop the fleet's own actions at once. What runs already ends; what persons ask for by name still works.

    Example: penguin-infra freeze --reason "provider incident 4711"
    """
    fleet = wire()
    with transaction(fleet) as connection:
        switches.freeze(connection, reason=reason, requested_by=person(), now=fleet.clock.now())
        frozen = switches.frozen_by(connection)
    console.print(f"The fleet is frozen by {escape(str(frozen))}. `penguin-infra thaw` lets it act again.")


@told_in_words
def thaw() -> None:
    """Let the fleet act again.

    Example: penguin-infra thaw
    """
    fleet = wire()
    with transaction(fleet) as connection:
        was_frozen = switches.thaw(connection)
    console.print("The fleet acts again." if was_frozen else "The fleet was not frozen.")
