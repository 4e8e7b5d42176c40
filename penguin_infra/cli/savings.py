"""`penguin-infra actions savings` and `actions plan`: what can be saved, and how a saving becomes a proposal.

Approving it is `actions.py`'s; finding it, the operations'.
"""

from dataclasses import asdict
from typing import Annotated

import typer
from rich.markup import escape

from penguin_infra.cli.asking import explain_refusal
from penguin_infra.cli.output import AsJson, console, person, print_json, show, stop, told_in_words, transaction, wire
from penguin_infra.domain.actions import ActionStatus
from penguin_infra.domain.savings import Recommendation
from penguin_infra.operations.find_savings import find_savings
from penguin_infra.operations.plan_saving import SavingStep, plan_saving


@told_in_words
def list_savings(as_json: AsJson = False) -> None:
    """List what can be saved by the facts of now, the greatest saving first. All of it can be made together.

    Example: penguin-infra actions savings
    """
    fleet = wire()
    with transaction(fleet) as connection:
        plan = find_savings(connection, fleet.saving_search, fleet.clock.now())
    if as_json:
        print_json(
            {
                "savings": [_as_json(each) for each in plan.recommendations],
                "saving_monthly_usd": plan.saving_usd,
                "before": asdict(plan.before),
                "together": asdict(plan.together),
                "notes": plan.notes,
            }
        )
        return
    rows = [
        {
            "id": str(each.id)[:8],
            "kind": each.kind,
            "label": each.label,
            "saves": f"{each.saving_usd:.2f}",
            "change": f"{each.plan} -> {each.to_plan}" if each.to_plan else each.plan,
            "reason": each.reason,
        }
        for each in plan.recommendations
    ]
    columns = {
        "id": "id", "kind": "kind", "label": "of", "saves": "USD a month", "change": "plan", "reason": "why",
    }  # fmt: skip
    show(rows, columns, as_json=False, empty="Nothing is worth saving now.")
    for note in plan.notes:
        console.print(escape(f"{note[0].upper()}{note[1:]}."))
    if rows:
        console.print(escape(f"Now {plan.before}; with all of them {plan.together}."))
        console.print("`penguin-infra actions plan ID` makes one into an action that waits for approval.")


@told_in_words
def plan_one_saving(
    saving_id: Annotated[str, typer.Argument(help="The saving's id, or its beginning.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show before and after, and propose nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make a saving into an action that waits for approval, if it still holds by the facts of now.

    What is to be done at the provider by hand is said, and nothing is proposed.

    Example: penguin-infra actions plan 1a2b3c4d --dry-run
    """
    fleet = wire()
    with transaction(fleet) as connection:
        step = plan_saving(
            connection,
            saving_id,
            search=fleet.saving_search,
            guardrails=fleet.policy.guardrails,
            drain_minutes=fleet.policy.provisioning.drain_minutes,
            requested_by=person(),
            now=fleet.clock.now(),
        )
        if dry_run:
            connection.rollback()
    if step.refusal:
        stop(explain_refusal(step.refusal, is_forceable=False))
    if as_json:
        print_json(_step_as_json(step, is_dry_run=dry_run))
        return
    _tell_saving(step.saving)
    _tell_step(step, is_dry_run=dry_run)


def _tell_saving(saving: Recommendation) -> None:
    for name, said in {
        "Saves": f"${saving.saving_usd:,.2f} a month",
        "Why": saving.reason,
        "Risk": saving.risk,
        "Now": str(saving.before),
        "Then": str(saving.after),
    }.items():
        console.print(f"[bold]{name:<5}[/] {escape(said)}")


def _tell_step(step: SavingStep, *, is_dry_run: bool) -> None:
    saving = step.saving
    change = f" to {saving.to_plan}" if saving.to_plan else ""
    what = escape(f"{step.kind} {saving.label}{change}")
    if not saving.is_plannable:
        console.print(f"Nothing is proposed: {escape(saving.by_hand)}.")
    elif step.is_new and is_dry_run:
        console.print(f"Would propose: {what}. It would wait for approval.")
    else:
        done = "Proposed" if step.is_new else f"It is there already, {step.status}"
        console.print(f"{done}: {what} (action {step.action_id}).")
        if step.status is ActionStatus.PROPOSED:
            short = str(step.action_id)[:8]
            console.print(f"It waits for a person: `penguin-infra actions approve {short}`, or `reject`.")


def _step_as_json(step: SavingStep, *, is_dry_run: bool) -> dict[str, object]:
    is_written = not (step.is_new and is_dry_run)
    return _as_json(step.saving) | {
        "action_id": step.action_id if is_written else None,
        "action": step.kind,
        "status": step.status if is_written else None,
        "is_new": step.is_new and is_written,
    }


def _as_json(saving: Recommendation) -> dict[str, object]:
    return asdict(saving) | {"command": saving.command}
