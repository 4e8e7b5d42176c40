"""`penguin-infra nodes resize`: another plan for a node. It asks the ledger; the job `resize` does the work."""

from decimal import Decimal
from typing import Annotated

import typer
from rich.markup import escape

from penguin_infra.cli.asking import ask_for, explain_refusal, plan_one
from penguin_infra.cli.node_views import Name
from penguin_infra.cli.output import AsJson, console, person, print_json, stop, told_in_words, transaction, wire
from penguin_infra.domain.actions import PlannedAction
from penguin_infra.domain.capacity import LadderPlan, PlanOffer
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.resize_on_request import ask_to_resize, monthly_difference_usd
from penguin_infra.operations.resize_node import check_region_is_free
from penguin_infra.store import nodes
from penguin_infra.wiring import Wiring


@told_in_words
def resize(
    name: Name,
    plan: Annotated[str, typer.Argument(help="The provider's plan.")],
    reason: Annotated[str, typer.Option(help="Why: it is kept with the action.")] = "asked for by hand",
    allow_smaller: Annotated[
        bool, typer.Option("--allow-smaller", help="Also a smaller plan: it then waits for an approval.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it is done, and show each step on the way.")] = False,
    as_json: AsJson = False,
) -> None:
    """Give a node another plan. It is drained, restarted by the provider, verified, and sends again as before.

    `penguin-infra nodes undrain` calls it off while the node still drains.

    Example: penguin-infra nodes resize node-dallas-001 ssd-4 --reason "its queue grows" --wait
    """
    fleet = wire()
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
        check_region_is_free(connection, node)
    ladder = _ladder(fleet)
    action = ask_to_resize(
        node,
        plan,
        ladder=ladder,
        reason=reason,
        requested_by=person(),
        drain_minutes=fleet.policy.resize.drain_minutes,
        may_shrink=allow_smaller,
    )
    described = f"{node.label} from {node.plan} to {plan}{_in_money(monthly_difference_usd(node.plan, plan, ladder))}"
    if dry_run:
        _tell_what_would_be(fleet, node, action, described, as_json=as_json)
        return
    if not as_json:
        console.print(f"{escape(described)}.")
    ask_for(fleet, action, node.label, wait=wait, as_json=as_json)


def _ladder(fleet: Wiring) -> tuple[LadderPlan, ...]:
    offers = [
        PlanOffer(each.plan, each.cpu_count, each.memory_mb, each.monthly_usd) for each in fleet.provider.list_plans()
    ]
    return fleet.policy.throughput.ladder(offers)


def _in_money(difference: Decimal | None) -> str:
    if difference is None:
        return ""
    return f", {abs(difference):.2f} USD a month {'less' if difference < 0 else 'more'}"


def _tell_what_would_be(fleet: Wiring, node: Node, action: PlannedAction, described: str, *, as_json: bool) -> None:
    with transaction(fleet) as connection:
        planned = plan_one(fleet, connection, action)
        connection.rollback()
    if planned.refused:
        stop(explain_refusal(planned.refused[0]))
    if as_json:
        print_json({"action_id": None, "node": node.label, "kind": action.kind})
        return
    waits = " It would wait for approval." if planned.proposed else ""
    console.print(f"Would resize {escape(described)}.{waits}")
