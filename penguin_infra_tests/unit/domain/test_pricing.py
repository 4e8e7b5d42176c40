"""Started hours, each once and at its price: by the hour, and by months that are paid ahead."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.billed_months import month_of
from penguin_infra.domain.price_list import Price, PriceList, PriceSource, UnknownPlan
from penguin_infra.domain.pricing import (
    HOUR,
    BilledHours,
    BillingCycle,
    Charge,
    CostLimits,
    Spell,
    billed_hours,
    unused_month,
)

BORN = datetime(2026, 1, 31, 10, 20, tzinfo=UTC)
FAR = BORN + timedelta(days=400)
DAY = timedelta(days=1)
PRICES = PriceList(
    {
        "ssd-1": [
            Price(BORN + 2 * DAY, Decimal("7.20"), Decimal("0.01")),
            Price(BORN + 3 * DAY, Decimal("14.40"), Decimal("0.02")),
        ],
        "ssd-2": [Price(BORN, Decimal("72.00"), Decimal("0.1"))],
    }
)
HOURLY, MONTHLY = CostLimits(), CostLimits(BillingCycle.MONTHLY)


def billed(
    *spells: Spell, limits: CostLimits = HOURLY, since: datetime = BORN - DAY, until: datetime = FAR
) -> list[BilledHours]:
    return list(billed_hours(spells, PRICES, limits, since=since, until=until))


def cost(found: list[BilledHours], charge: Charge = Charge.PLAN) -> Decimal:
    return sum((one.hours * one.hour_usd for one in found if one.charge is charge), Decimal(0))


def hours(found: list[BilledHours], charge: Charge = Charge.PLAN) -> int:
    return sum(one.hours for one in found if one.charge is charge)


@pytest.mark.parametrize(
    ("age", "expected"),
    [(timedelta(0), 1), (timedelta(minutes=59), 1), (HOUR, 1), (HOUR + timedelta(microseconds=1), 2), (DAY, 24)],
)
def test_a_begun_hour_is_an_hour(age: timedelta, expected: int) -> None:
    assert hours(billed(Spell("ssd-2", 0, BORN, BORN + age))) == expected


def test_an_hour_over_midnight_is_the_day_s_in_which_it_began() -> None:
    midnight = BORN.replace(hour=0, minute=0) + DAY
    spell = Spell("ssd-2", 0, BORN, None)
    first, second = billed(spell, until=midnight), billed(spell, since=midnight, until=midnight + DAY)
    assert [(one[0].first_at, hours(one)) for one in (first, second)] == [
        (BORN, 14), (midnight + timedelta(minutes=20), 24),
    ]  # fmt: skip


def test_each_hour_costs_what_the_plan_cost_as_it_began() -> None:
    spell = Spell("ssd-1", 0, BORN, BORN + 4 * DAY)
    # Before the first price that is known that one holds; the change meets an hour's very beginning.
    assert cost(billed(spell)) == 72 * Decimal("0.01") + 24 * Decimal("0.02")


def test_another_plan_begins_hours_of_its_own_but_another_address_does_not() -> None:
    change = BORN + timedelta(hours=1, minutes=30)
    resized = billed(Spell("ssd-1", 0, BORN, change), Spell("ssd-2", 0, change, change + HOUR))
    assert [(one.plan, one.first_at, one.hours) for one in resized] == [("ssd-1", BORN, 2), ("ssd-2", change, 1)]
    added = billed(Spell("ssd-1", 0, BORN, change), Spell("ssd-1", 1, change, BORN + 2 * HOUR))
    assert hours(added) == 2
    assert [(one.first_at, one.hours) for one in added if one.charge is Charge.EXTRA_ADDRESSES] == [(change, 1)]


def test_each_extra_address_is_billed_and_the_last_one_is_given_back_first() -> None:
    spells = [
        Spell("ssd-1", count, BORN + begin * HOUR, BORN + end * HOUR)
        for count, begin, end in ((1, 0, 3), (2, 3, 5), (1, 5, 9))
    ]
    found = billed(*spells)
    assert hours(found, Charge.EXTRA_ADDRESSES) == 9 + 2
    # 4.99 / 720, as the provider rounds its hourly prices.
    assert cost(found, Charge.EXTRA_ADDRESSES) == 11 * Decimal("0.006931")


def test_a_plan_in_no_list_costs_what_is_built_in_or_cannot_be_told() -> None:
    known = PriceList({})
    assert known.at("ssd-1", BORN).monthly_usd == Decimal("4.99")
    assert (known.at("ssd-2", BORN).hourly_usd, known.at("ssd-2", BORN).source) == (
        Decimal("0.013875"), PriceSource.FALLBACK,
    )  # fmt: skip
    with pytest.raises(UnknownPlan, match="plan ssd-9 is in no price list"):
        known.at("ssd-9", BORN)


@pytest.mark.parametrize(
    ("months", "expected"), [(0, (2026, 1, 31)), (1, (2026, 2, 28)), (2, (2026, 3, 31)), (25, (2028, 2, 29))]
)
def test_a_31st_falls_to_the_month_s_last_day(months: int, expected: tuple[int, int, int]) -> None:
    begin_at = datetime(*expected, BORN.hour, BORN.minute, tzinfo=UTC)
    month = month_of(BORN, begin_at)
    assert month.begin_at == begin_at
    assert month_of(BORN, month.end_at - timedelta(microseconds=1)) == month
    assert month_of(BORN, month.end_at).begin_at == month.end_at


def test_a_whole_month_is_its_price_and_nothing_is_left_over() -> None:
    month = month_of(BORN, BORN)
    found = billed(Spell("ssd-2", 0, BORN, None), limits=MONTHLY, until=month.end_at)
    assert (hours(found), cost(found)) == (28 * 24, Decimal("72.00"))
    assert unused_month([Spell("ssd-2", 0, BORN, month.end_at)], PRICES, MONTHLY) is None


def test_by_the_month_the_price_is_the_one_in_force_when_the_month_was_paid() -> None:
    spell = Spell("ssd-1", 0, BORN, None)
    first, second = month_of(BORN, BORN), month_of(BORN, BORN + 40 * DAY)
    assert cost(billed(spell, limits=MONTHLY, until=first.end_at)) == Decimal("7.20")
    assert cost(billed(spell, limits=MONTHLY, since=first.end_at, until=second.end_at)) == Decimal("14.40")


def test_by_the_month_another_plan_is_prorated_for_what_remains() -> None:
    month, half = month_of(BORN, BORN), BORN + 14 * DAY
    spells = [Spell("ssd-2", 0, BORN, half), Spell("ssd-1", 0, half, None)]
    found = billed(*spells, limits=MONTHLY, until=month.end_at)
    assert abs(cost(found) - (Decimal("36.00") + Decimal("7.20"))) < Decimal("1e-5")


def test_by_the_month_an_instance_that_ends_early_loses_the_rest() -> None:
    spells = [Spell("ssd-2", 1, BORN, BORN + 3 * DAY)]
    lost = unused_month(spells, PRICES, MONTHLY)
    assert lost is not None
    found = billed(*spells, limits=MONTHLY)
    used = cost(found) + cost(found, Charge.EXTRA_ADDRESSES)
    assert used + lost.amount_usd == Decimal("72.00") + Decimal("4.99")
    assert lost.last_hour_at == BORN + 71 * HOUR
    assert unused_month(spells, PRICES, HOURLY) is None


@given(
    lengths=st.lists(st.integers(0, 60 * 24 * 20), min_size=1, max_size=5),
    plans=st.lists(st.tuples(st.sampled_from(["ssd-1", "ssd-2"]), st.integers(0, 3)), min_size=5, max_size=5),
    cuts=st.lists(st.integers(0, 60 * 24 * 110), max_size=6),
    limits=st.sampled_from([HOURLY, MONTHLY]),
    is_open=st.booleans(),
)
def test_days_however_cut_hold_every_hour_once(
    lengths: list[int], plans: list[tuple[str, int]], cuts: list[int], limits: CostLimits, *, is_open: bool
) -> None:
    spells, at = [], BORN
    for length, (plan, extra) in zip(lengths, plans, strict=False):
        end_at = at + timedelta(minutes=length)
        spells.append(Spell(plan, extra, at, end_at))
        at = end_at
    # No two spells of an instance begin at once.
    spells = [spell for spell in spells if spell.ended_at != spell.began_at] or spells[:1]
    if is_open:
        spells[-1] = Spell(spells[-1].plan, spells[-1].extra_addresses, spells[-1].began_at, None)
    until = BORN + timedelta(days=120)
    edges = [BORN - DAY, *sorted(BORN + timedelta(minutes=cut) for cut in cuts), until]
    pieces = [one for since, end in pairwise(edges) for one in billed(*spells, limits=limits, since=since, until=end)]
    whole = billed(*spells, limits=limits, since=edges[0], until=until)
    for charge in (Charge.PLAN, Charge.EXTRA_ADDRESSES):
        assert hours(pieces, charge) == hours(whole, charge)
        assert cost(pieces, charge) == cost(whole, charge)
