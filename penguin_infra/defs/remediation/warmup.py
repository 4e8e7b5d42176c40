"""Warm-up: the sensor that finds nodes whose next step is due, and the job that takes all of them in one run."""

from datetime import timedelta
from functools import partial

import dagster as dg
from dagster import OpExecutionContext, ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.lanes import Lane, run_tags
from penguin_infra.defs.remediation.batches import run_batch
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.operations.advance_warmups import advance_node
from penguin_infra.wiring import Wiring


@dg.op
def advance_due_nodes(context: OpExecutionContext, fleet: ResourceParam[Wiring]) -> None:
    """Take every step of warm-up that is due, each in a transaction of its own."""
    run_batch(context, fleet, ActionKind.ADVANCE_WARMUP, partial(advance_node, rules=fleet.policy.warmups))


@dg.job(
    # A whole cohort's steps fall due within a minute; each is measured anew.
    tags=run_tags(Lane.ROUTINE, longest=timedelta(minutes=15)),
)
def advance_warmup() -> None:
    """Let nodes send more, less, or without limit, as they have earned. Asked for by `advance_warmup_sensor`."""
    advance_due_nodes()


@dg.sensor(
    job=advance_warmup,
    # Dagster shows no sensor's docstring.
    description="Plans a step for each node whose last measured warm-up leads to one: the next stage, a step back, a "
    "beginning anew, or the end; and runs what is due.",
    minimum_interval_seconds=15,
    default_status=dg.DefaultSensorStatus.RUNNING,
)
def advance_warmup_sensor(
    context: SensorEvaluationContext, fleet: ResourceParam[Wiring]
) -> list[RunRequest] | SkipReason:
    """Plans a step for each node whose last measured warm-up leads to one, and runs what is due."""
    return Tick(context, fleet, ActionKind.ADVANCE_WARMUP).run(fleet.wanted(ActionKind.ADVANCE_WARMUP), is_batch=True)
