"""The simulated Hostwind's bill: started hours at each plan's price, deleted instances included.

Pure arithmetic over the state's instances. How the real provider rounds a change of plan within an hour is unknown:
here each spell on a plan is rounded up to whole hours.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise

from penguin_infra.lab.hostwind_plans import PLANS
from penguin_infra.lab.hostwind_state import SimulatedInstance

HOUR = timedelta(hours=1)


def bill(instances: list[SimulatedInstance], *, now: datetime) -> dict[str, object]:
    """What every instance has cost so far, in USD."""
    lines = [_line(instance, now) for instance in instances]
    return {
        "instances": [{**line, "amount_usd": str(amount)} for line, amount in lines],
        "total_usd": str(sum((amount for _, amount in lines), Decimal(0))),
    }


def _line(instance: SimulatedInstance, now: datetime) -> tuple[dict[str, object], Decimal]:
    ended_at = instance.deleted_at or now
    starts = [change for change in instance.plan_changes if change.from_at < ended_at] or [instance.plan_changes[0]]
    ends = [later.from_at for _, later in pairwise(starts)] + [ended_at]
    # An hour is due as soon as it has begun, the first one at creation.
    hours = [max(1, -((start.from_at - end) // HOUR)) for start, end in zip(starts, ends, strict=True)]
    amount = sum((PLANS[start.plan].hourly_usd * count for start, count in zip(starts, hours, strict=True)), Decimal(0))
    line: dict[str, object] = {
        "id": instance.provider_id,
        "label": instance.label,
        "plan": starts[-1].plan,
        "created_at": instance.created_at.isoformat(),
        "deleted_at": instance.deleted_at.isoformat() if instance.deleted_at else None,
        "hours": sum(hours),
    }
    return line, amount
