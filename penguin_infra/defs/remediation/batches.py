"""How a batch job carries out its kind of action and shows the outcomes, node by node."""

import dagster as dg
from dagster import OpExecutionContext

from penguin_infra.defs.tables import markdown_table
from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.operations.carry_out_batch import Act, carry_out_batch
from penguin_infra.wiring import Wiring


def run_batch(context: OpExecutionContext, fleet: Wiring, kind: ActionKind, act: Act) -> None:
    """Carry out all due actions of the kind, and show each outcome in the run."""
    outcomes = carry_out_batch(
        fleet.engine, kind, act, run_id=context.run_id, clock=fleet.clock.now, limits=fleet.policy.retry
    )
    for outcome in outcomes:
        is_good = outcome.status is ActionStatus.SUCCEEDED
        (context.log.info if is_good else context.log.error)(f"{outcome.status}: {outcome.text}")
    failed = [outcome for outcome in outcomes if outcome.status is not ActionStatus.SUCCEEDED]
    metadata: dict[str, int | dg.MarkdownMetadataValue] = {
        "actions": len(outcomes),
        "failed": len(failed),
        "outcomes": markdown_table(
            ["node", "outcome", "what", "why", "action"],
            [(one.action.label, one.status, one.text, one.action.reason, one.action.action_id) for one in outcomes],
        ),
    }
    if failed:
        # The ledger has every outcome; a red run makes people look.
        raise dg.Failure(
            f"{len(failed)} of {len(outcomes)} failed; the first: {failed[0].action.label}: {failed[0].text}",
            metadata=metadata,
            allow_retries=False,
        )
    context.add_output_metadata(metadata)
