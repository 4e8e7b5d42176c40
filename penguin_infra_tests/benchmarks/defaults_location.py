"""The same pause job as a Dagster user gets it who changes no default: the multiprocess executor, a sensor every 30 s.

The other defaults (a queue that looks every 5 s, sensors without threads) are those of an empty `dagster.yaml`.
"""

import dagster as dg
from dagster import ResourceParam, RunRequest, SensorEvaluationContext, SkipReason

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.pause import pause
from penguin_infra.defs.remediation.ticks import Tick
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.policies.pause_listed import plan_pauses
from penguin_infra.settings import settings
from penguin_infra.store.listings import listed_nodes
from penguin_infra.wiring import Wiring


@dg.sensor(job=pause, default_status=dg.DefaultSensorStatus.RUNNING)
def pause_sensor(context: SensorEvaluationContext, fleet: ResourceParam[Wiring]) -> list[RunRequest] | SkipReason:
    """The product's own tick, at Dagster's own pace."""
    return Tick(context, fleet, ActionKind.PAUSE).run(
        lambda connection: plan_pauses(listed_nodes(connection)), is_batch=True
    )


defs = build_definitions(Wiring(settings()), executor=dg.multi_or_in_process_executor, sensors=[pause_sensor])
