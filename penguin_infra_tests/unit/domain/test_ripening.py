"""What a node may send on the days to come: a stage each so many hours, up to its capacity."""

import pytest

from penguin_infra.domain.ripening import allowances_ahead, allowances_until_ripe
from penguin_infra.domain.warmup_curves import CURVES, WarmupCurve, plan_warmup

PLAN = plan_warmup(WarmupCurve("three", (100, 200, 400)), 800)


def test_a_stage_a_day_leads_to_full_capacity_and_stays_there() -> None:
    assert PLAN.dailies == (100, 200, 400, 500, 625, 781, 800)
    assert allowances_ahead(PLAN, 400, stage_hours=24, days=6) == (400, 500, 625, 781, 800, 800, 800)
    # What was earned on another curve counts as the stage at or below it.
    assert allowances_ahead(PLAN, 399, stage_hours=24, days=1) == (200, 400)


@pytest.mark.parametrize(("hours", "days"), [(24.0, 6), (36.0, 9), (12.0, 3), (4.8, 2), (24.5, 7)])
def test_a_fresh_node_is_ripe_on_the_day_on_which_its_last_stage_begins(hours: float, days: int) -> None:
    ahead = allowances_until_ripe(PLAN, stage_hours=hours)
    assert (len(ahead) - 1, ahead[0], ahead[-1]) == (days, 100, 800)
    assert ahead[-2] < 800
    assert list(ahead) == sorted(ahead)


def test_the_cautious_curve_takes_a_fortnight() -> None:
    assert len(allowances_until_ripe(plan_warmup(CURVES["cautious"], 60_000), stage_hours=24)) == 15
