"""How a job works on one node: the run's claim on its action, held from the first op to the last.

All ops of such a job run in one process (the in-process executor), so they share one claim.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import UUID

import dagster as dg
from dagster import DagsterExecutionInterruptedError, DagsterRunStatus, OpExecutionContext

from penguin_infra.defs.remediation.ticks import action_id_of
from penguin_infra.dns_records.publisher import DnsError
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.installer.installer import InstallError
from penguin_infra.operations.node_steps import StepError, give_up
from penguin_infra.operations.node_work import ActionTaken, NodeWork, claim_node_work
from penguin_infra.operations.recovery_steps import RecoverError
from penguin_infra.store.nodes import NodeError
from penguin_infra.wiring import NotConfigured, Wiring

# What goes wrong in the world, told in its own words. The ledger has it already: the step that failed closed it.
_TOLD = (ActionTaken, StepError, ProviderError, DnsError, InstallError, RecoverError, NodeError)


class NodeRun:
    """The run's claim, made by the first op that needs it."""

    def __init__(self) -> None:
        self._work: NodeWork | None = None
        self._say: Callable[[str], None] = _say_nothing

    @contextmanager
    def working(self, context: OpExecutionContext, fleet: Wiring) -> Iterator[NodeWork]:
        """Claim the action of this run's tag; what goes wrong inside becomes the op's failure, in plain words."""
        # Each op's words stand in its own log.
        self._say = context.log.info
        try:
            if self._work is None:
                self._work = claim_node_work(
                    engine=fleet.engine,
                    provider=fleet.provider,
                    fleet_name=fleet.settings.fleet_name,
                    limits=fleet.policy.provisioning,
                    clock=fleet.clock,
                    say=self._tell,
                    action_id=UUID(action_id_of(context)),
                    run_id=context.run_id,
                )
            yield self._work
        except NotConfigured as error:
            if self._work is not None:
                give_up(self._work, str(error))
            raise dg.Failure(str(error), allow_retries=False) from error
        except _TOLD as error:
            # The ledger has the error, and decides whether there is another attempt: never Dagster's own retries.
            raise dg.Failure(str(error), allow_retries=False) from error
        except DagsterExecutionInterruptedError:
            # A fleet that goes down interrupts its runs too; they are carried on when it comes up again.
            if self._work is not None and _is_cancelled(context):
                give_up(self._work, "its run was cancelled by a person in the UI")
            raise

    def _tell(self, text: str) -> None:
        self._say(text)

    def close(self) -> None:
        """Give the claim's lock back."""
        if self._work is not None:
            self._work.close()


def _say_nothing(_text: str) -> None:
    pass


def _is_cancelled(context: OpExecutionContext) -> bool:
    run = context.instance.get_run_by_id(context.run_id)
    return run is not None and run.status is DagsterRunStatus.CANCELING


@dg.resource(description="This run's claim on its action.")
def node_run(_context: dg.InitResourceContext) -> Iterator[NodeRun]:
    """One for a run: opened by its first op, closed after its last."""
    run = NodeRun()
    try:
        yield run
    finally:
        run.close()
