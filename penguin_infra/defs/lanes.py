"""The lanes in which runs wait, so that bulk work never holds up urgent work; `dagster.yaml` caps the bulk lanes."""

from datetime import timedelta
from enum import StrEnum

LANE_TAG = "penguin/lane"


class Lane(StrEnum):
    """What a run may be held up by."""

    URGENT = "urgent"
    ROUTINE = "routine"
    SLOW = "slow"


def run_tags(lane: Lane, *, longest: timedelta) -> dict[str, str]:
    """A job's tags. `longest`: how long a run may take before run monitoring fails it.

    A process that died together with its code server leaves a run that is started for ever and holds its lane's place.
    """
    priority = {Lane.URGENT: "10", Lane.ROUTINE: "0", Lane.SLOW: "-10"}[lane]
    return {
        LANE_TAG: lane.value,
        "dagster/priority": priority,
        "dagster/max_runtime": str(int(longest.total_seconds())),
    }
