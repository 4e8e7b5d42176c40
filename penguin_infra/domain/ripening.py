"""What a node may send on the days to come as it warms up, if all goes well: a stage each `minimum_stage_hours`."""

from decimal import ROUND_CEILING, Decimal

from penguin_infra.domain.capacity import HOURS_A_DAY
from penguin_infra.domain.warmup_curves import WarmupPlan


def allowances_ahead(plan: WarmupPlan, daily: int, *, stage_hours: float, days: int) -> tuple[int, ...]:
    """What a node that has earned `daily` may send today, and on so many days after it; its stage begins now."""
    stage = plan.stage_at(daily) - 1
    last = len(plan.dailies) - 1
    # In decimals: 3 days are not quite 15 stages of 4.8 hours in floats.
    a_stage = Decimal(str(stage_hours))
    return tuple(plan.dailies[min(last, stage + int(day * HOURS_A_DAY / a_stage))] for day in range(days + 1))


def allowances_until_ripe(plan: WarmupPlan, *, stage_hours: float) -> tuple[int, ...]:
    """What a fresh node may send on each day until the first of its full capacity."""
    days = (len(plan.dailies) - 1) * Decimal(str(stage_hours)) / HOURS_A_DAY
    whole = int(days.to_integral_value(rounding=ROUND_CEILING))
    return allowances_ahead(plan, plan.first_daily, stage_hours=stage_hours, days=whole)
