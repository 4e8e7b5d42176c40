"""How a job works on one node: the run's claim on its action, held from the first op to the last.

All ops of such a job run in one process (the in-process executor), so they share one claim.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID

import dagster as dg
from dagster import OpExecutionContext

from penguin_infra.defs.remediation.ticks import action_id_of
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.operations.node_work import ActionTaken, NodeWork, claim_node_work
from penguin_infra.operations.provision_node import ProvisionError
from penguin_infra.operations.recovery_steps import RecoverError
from penguin_infra.wiring import Wiring


class NodeRun:
    """The run's claim, made by the first op that needs it."""

    def __init__(self) -> None:
        self._work: NodeWork | None = None

    @contextmanager
    def working(self, context: OpExecutionContext, fleet: Wiring) -> Iterator[NodeWork]:
        """Claim the action of this run's tag; what goes wrong inside becomes the op's failure, in plain words."""
        try:
            if self._work is None:
                self._work = claim_node_work(
                    engine=fleet.engine,
                    provider=fleet.provider,
                    fleet_name=fleet.settings.fleet_name,
                    limits=fleet.policy.provisioning,
                    clock=fleet.clock,
                    say=context.log.info,
                    action_id=UUID(action_id_of(context)),
                    run_id=context.run_id,
                )
            yield self._work
        except (ActionTaken, ProvisionError, ProviderError, RecoverError) as error:
            # The ledger has the error, and decides whether there is another attempt: never Dagster's own retries.
            raise dg.Failure(str(error), allow_retries=False) from error

    def close(self) -> None:
        """Give the claim's lock back."""
        if self._work is not None:
            self._work.close()


@dg.resource(description="This run's claim on its action.")
def node_run(_context: dg.InitResourceContext) -> Iterator[NodeRun]:
    """One for a run: opened by its first op, closed after its last."""
    run = NodeRun()
    try:
        yield run
    finally:
        run.close()
