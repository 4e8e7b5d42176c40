"""`penguin-infra nodes maintain`, `decommission`, `undrain`: a node's way out of service, and back before it is gone.

Each asks the ledger; the jobs `maintenance` and `decommission` do the work. Coming back is `nodes resume`.
"""

import sys
from typing import Annotated

import typer
from rich.markup import escape

from penguin_infra.cli.asking import ask_for, explain_refusal, plan_one
from penguin_infra.cli.node_views import Name
from penguin_infra.cli.output import AsJson, console, person, print_json, stop, told_in_words, transaction, wire
from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.leave_on_request import DRAIN_MINUTES, MOST_DRAIN_MINUTES, ask_to_leave
from penguin_infra.operations.call_off_leaving import call_off_leaving
from penguin_infra.store import nodes
from penguin_infra.wiring import Wiring

Reason = Annotated[str, typer.Option(help="Why: it is shown wherever the node is.")]
DrainMinutes = Annotated[
    float | None,
    typer.Option(
        min=0, max=MOST_DRAIN_MINUTES, help="How long it may deliver what it has; 0: at once. By default the policy's."
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Also if too few nodes are left to send; the ledger says so.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is done, and show each step on the way.")]


@told_in_words
def maintain(
    name: Name,
    reason: Reason = "asked for by hand",
    drain_minutes: DrainMinutes = None,
    force: Force = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Drain a node and hold it for work on it. It leaves the rotation at once, and keeps what it cannot deliver.

    `penguin-infra nodes resume` brings it back through warm-up, `nodes undrain` while it still drains.

    Example: penguin-infra nodes maintain node-dallas-001 --reason "kernel update" --drain-minutes 15 --wait
    """
    fleet = wire()
    node, action = _build(fleet, name, ActionKind.MAINTENANCE, reason, drain_minutes, is_forced=force)
    if dry_run:
        _tell_what_would_be(fleet, node, action, as_json=as_json)
    else:
        ask_for(fleet, action, node.label, wait=wait, as_json=as_json, is_approved=False)


@told_in_words
def decommission(
    name: Name,
    reason: Reason = "asked for by hand",
    drain_minutes: DrainMinutes = None,
    yes: Annotated[bool, typer.Option("--yes", help="Approve it at once, and ask nothing.")] = False,
    force: Force = False,
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Take a node out of service for good: drained, its records removed, its instance destroyed, its address given up.

    By default it waits for `penguin-infra actions approve`; on a terminal you are asked, and your yes approves it.
    What its queue still holds in the end is lost, and told in the action's outcome.

    Example: penguin-infra nodes decommission node-dallas-001 --reason "its range is burnt" --yes --wait
    """
    fleet = wire()
    node, action = _build(fleet, name, ActionKind.DECOMMISSION, reason, drain_minutes, is_forced=force)
    if dry_run:
        _tell_what_would_be(fleet, node, action, as_json=as_json)
        return
    is_approved = yes
    if not yes and sys.stdin.isatty():
        question = f"{_described(node, action)}, and then destroyed for good. Go on?"
        is_approved = typer.confirm(question, err=True)
        if not is_approved:
            stop("nothing was asked for")
    ask_for(fleet, action, node.label, wait=wait, as_json=as_json, is_approved=is_approved)


@told_in_words
def undrain(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: it is kept with the action.")] = "asked for by hand",
) -> None:
    """Call a node's maintenance, decommission or resize off while it still drains: it sends again at once.

    Example: penguin-infra nodes undrain node-dallas-001 --reason "wrong node"
    """
    fleet = wire()
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
        done = call_off_leaving(connection, node, requested_by=person(), reason=reason, now=fleet.clock.now())
    console.print(f"{escape(done)}.")


def _build(
    fleet: Wiring, name: str, kind: ActionKind, reason: str, drain_minutes: float | None, *, is_forced: bool
) -> tuple[Node, PlannedAction]:
    if drain_minutes is None:
        drain_minutes = fleet.policy.provisioning.drain_minutes
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
    action = ask_to_leave(
        node, kind, reason=reason, requested_by=person(), drain_minutes=drain_minutes, is_forced=is_forced
    )
    return node, action


def _tell_what_would_be(fleet: Wiring, node: Node, action: PlannedAction, *, as_json: bool) -> None:
    with transaction(fleet) as connection:
        plan = plan_one(fleet, connection, action)
        connection.rollback()
    if plan.refused:
        stop(explain_refusal(plan.refused[0]))
    if as_json:
        print_json({"action_id": None, "node": node.label, "kind": action.kind})
        return
    waits = " It would wait for approval." if plan.proposed else ""
    console.print(f"Would {_VERBS[action.kind]}: {escape(_described(node, action))}.{waits}")


def _described(node: Node, action: PlannedAction) -> str:
    minutes = action.evidence[DRAIN_MINUTES]
    drained = f"drained for up to {minutes:g} min" if minutes else "held at once"
    return f"{node.label} ({node.status}, {node.ip_address}) is {drained}"


_VERBS = {ActionKind.MAINTENANCE: "maintain", ActionKind.DECOMMISSION: "decommission"}
