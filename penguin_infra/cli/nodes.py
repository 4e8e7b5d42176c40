"""`penguin-infra nodes`: ask for new nodes, pause and resume them; how they are shown stands in `node_views.py`.

Asking writes to the ledger; the fleet's sensors and jobs carry it out, so that every change is a run in the UI.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated
from uuid import UUID

import typer
from rich.markup import escape

from penguin_infra.cli import node_leaving, node_resizing, node_views
from penguin_infra.cli.asking import ask_for
from penguin_infra.cli.node_views import Name
from penguin_infra.cli.output import (
    AsJson,
    console,
    notes,
    person,
    print_json,
    stop,
    told_in_words,
    transaction,
    wire,
)
from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.hostwind.provider import ProviderUnavailable
from penguin_infra.operations.provision_node import STEPS
from penguin_infra.operations.reinstall_node import check_reinstallable
from penguin_infra.operations.request_nodes import BadRequest, request_nodes
from penguin_infra.operations.resume_node import check_resumable
from penguin_infra.store import nodes, steps
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring

app = typer.Typer(help="The fleet's nodes, from their request to their end.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]
Wait = Annotated[bool, typer.Option("--wait", help="Stay until it is done, and show each step on the way.")]

_POLL_SECONDS = 1.0


app.command("list")(node_views.list_nodes)
app.command("show")(node_views.show_node)
app.command("maintain")(node_leaving.maintain)
app.command("decommission")(node_leaving.decommission)
app.command("undrain")(node_leaving.undrain)
app.command("resize")(node_resizing.resize)


@app.command("provision")
@told_in_words
def provision(
    count: Annotated[int, typer.Option(min=1, max=1000, help="How many nodes.")] = 1,
    region: Annotated[str, typer.Option(help="The provider's region.")] = "dallas",
    plan: Annotated[str, typer.Option(help="The provider's plan.")] = "ssd-1",
    label: Annotated[str | None, typer.Option(help="The label, for one node; by default made from the region.")] = None,
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Ask for new nodes. Each is made by a run of its own, and joins the fleet in warm-up.

    Example: penguin-infra nodes provision --count 3 --region dallas --plan ssd-1 --wait
    """
    fleet = wire()
    price = _price(fleet, plan)
    with transaction(fleet) as connection:
        asked = request_nodes(
            connection,
            node_count=count,
            region=region,
            plan=plan,
            label=label,
            requested_by=person(),
            now=fleet.clock.now(),
        )
        if dry_run:
            connection.rollback()
    if as_json:
        print_json([asdict(node) for node in asked])
    else:
        verb = "Would ask" if dry_run else "Asked"
        console.print(f"{verb} for {', '.join(node.label for node in asked)}: {plan} in {region}{price}.")
    if wait and not dry_run:
        _await_nodes(fleet, [node.node_id for node in asked])
    elif not dry_run and not as_json:
        console.print("Follow them with `penguin-infra nodes list`, or in the UI's runs.")


@app.command("pause")
@told_in_words
def pause(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: it is shown wherever the node is.")] = "asked for by hand",
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Take a node out of service until somebody resumes it.

    Example: penguin-infra nodes pause node-dallas-001 --reason "complaints from a customer"
    """
    _ask(name, ActionKind.PAUSE, reason, dry_run=dry_run, wait=wait, as_json=as_json)


@app.command("resume")
@told_in_words
def resume(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: it is kept in the node's history.")] = "asked for by hand",
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Bring a node back: a paused one to the status it had left, a maintained one through warm-up.

    Refused while its address is listed.

    Example: penguin-infra nodes resume node-dallas-001 --wait
    """
    _ask(name, ActionKind.RESUME, reason, dry_run=dry_run, wait=wait, as_json=as_json)


@app.command("reinstall")
@told_in_words
def reinstall(
    name: Name,
    reason: Annotated[str, typer.Option(help="Why: it is kept with the action.")] = "asked for by hand",
    dry_run: DryRun = False,
    wait: Wait = False,
    as_json: AsJson = False,
) -> None:
    """Install a node again and verify it: after a change of what nodes run, or of its address, or of its DNS.

    It keeps its status, is out of the rotation while that runs, and goes on delivering what is queued.

    Example: penguin-infra nodes reinstall node-dallas-001 --reason "new worker" --wait
    """
    _ask(name, ActionKind.REINSTALL, reason, dry_run=dry_run, wait=wait, as_json=as_json)


def _ask(name: str, kind: ActionKind, reason: str, *, dry_run: bool, wait: bool, as_json: bool) -> None:
    fleet = wire()
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
        if kind is ActionKind.PAUSE:
            next_status(node.status, NodeEvent.PAUSED)
        elif kind is ActionKind.REINSTALL:
            check_reinstallable(node)
        else:
            check_resumable(connection, node)
    if dry_run:
        if as_json:
            print_json({"action_id": None, "node": node.label, "kind": kind})
        else:
            console.print(f"Would {kind} {node.label} ({node.status}): {escape(reason)}")
        return
    action = PlannedAction(node.node_id, kind, reason, person(), {"asked_on": "command line"})
    ask_for(fleet, action, node.label, wait=wait, as_json=as_json)


def _price(fleet: Wiring, plan: str) -> str:
    try:
        on_offer = {each.plan: each for each in fleet.provider.list_plans()}
    except ProviderUnavailable as error:
        notes.print(f"[yellow]The plan was not checked: {escape(str(error))}[/]")
        return ""
    if plan not in on_offer:
        known = ", ".join(f"{each.plan} ({each.monthly_usd} USD a month)" for each in on_offer.values())
        raise BadRequest(f"plan: the provider has no {plan!r}; it has {known}")
    return f", {on_offer[plan].monthly_usd} USD a month each"


def _await_nodes(fleet: Wiring, node_ids: Sequence[UUID]) -> None:
    said: dict[UUID, str] = {}
    waiting = set(node_ids)
    given_up: list[str] = []
    while waiting:
        with transaction(fleet) as connection:
            for node_id in sorted(waiting):
                node = nodes.get_node(connection, node_id)
                news = _news(node, steps.list_steps(connection, node_id, STEPS))
                if news != said.get(node_id):
                    notes.print(f"{node.label}: {escape(news)}")
                    said[node_id] = news
                if node.status is not NodeStatus.PROVISIONING:
                    waiting.discard(node_id)
                if node.status is NodeStatus.DECOMMISSIONED:
                    given_up.append(node.label)
        time.sleep(_POLL_SECONDS if waiting else 0)
    if given_up:
        stop(f"given up: {', '.join(given_up)}; `penguin-infra nodes show {given_up[0]}` says why")


def _news(node: Node, done: Sequence[AnyRow]) -> str:
    if node.status is not NodeStatus.PROVISIONING:
        return f"{node.status} at {node.ip_address}" if node.ip_address else str(node.status)
    if not done:
        return "waiting for a run"
    last = done[-1]
    position = f"{STEPS.index(last.step) + 1}/{len(STEPS)} " if last.step in STEPS else ""
    return f"{position}{last.step} {last.status}" + (
        f": {last.error or last.progress}" if last.error or last.progress else ""
    )
