"""What the provider bills, exact: which hours, at which price. Money is `Decimal`, to eight places.

Hourly: each stretch on one plan is billed by started hours, the first as it begins, each at the plan's hourly price in
force as the hour begins; an extra address is billed the same way, on its own. Monthly: an instance is paid ahead from
its creation by months, and what is paid accrues hour by hour; another plan or address is prorated for what remains of
the month, and the price is the one in force when it was paid. An instance that ends within its month loses the rest.

Hostwinds says that hours count from provisioning on, used or not, and that other cycles are paid ahead; how it rounds
an hour, prorates a plan's change, and treats a month that is left early, it does not say: these terms are assumed.
What an hour was good for is `cost_usage.py`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Decimal
from enum import StrEnum
from functools import partial
from itertools import groupby
from typing import TypeVar

from penguin_infra.domain.billed_months import Month, month_of
from penguin_infra.domain.price_list import PriceList, PriceSource, hourly_of

Key = TypeVar("Key")

HOUR = timedelta(hours=1)

_PLACES = Decimal("0.00000001")


class BillingCycle(StrEnum):
    """How the provider bills the account's instances."""

    HOURLY = "hourly"
    MONTHLY = "monthly"


class Charge(StrEnum):
    """What a sum is paid for. The unused month is paid ahead, and lost by deleting the instance."""

    PLAN = "plan"
    EXTRA_ADDRESSES = "extra_addresses"
    UNUSED_MONTH = "unused_month"


@dataclass(frozen=True, slots=True)
class CostLimits:
    """How costs are reckoned, and the budget that they are held against.

    `extra_address_monthly_usd`: the provider's published price. `budget_alert_share`: of the budget, at which a month's
    forecast alerts.
    """

    billing_cycle: BillingCycle = BillingCycle.HOURLY
    extra_address_monthly_usd: Decimal = Decimal("4.99")
    monthly_budget_usd: Decimal | None = None
    budget_alert_share: float = 1.0


@dataclass(frozen=True, slots=True)
class Spell:
    """An instance on one plan with so many extra addresses; `ended_at` is None while it is billed so."""

    plan: str
    extra_addresses: int
    began_at: datetime
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class BilledHours:
    """So many hours one after another, billed at one price each."""

    charge: Charge
    plan: str
    first_at: datetime
    hours: int
    hour_usd: Decimal
    source: PriceSource


@dataclass(frozen=True, slots=True)
class UnusedMonth:
    """What was paid for the rest of a month that the instance did not see."""

    plan: str
    last_hour_at: datetime
    amount_usd: Decimal
    source: PriceSource


def billed_hours(
    spells: Sequence[Spell], prices: PriceList, limits: CostLimits, *, since: datetime, until: datetime
) -> Iterator[BilledHours]:
    """The hours of one instance that begin from `since` on and before `until`, each exactly once.

    `spells`: all of the instance's, the oldest first, each beginning where the last one ended. Errors: `UnknownPlan`.
    """
    if limits.billing_cycle is BillingCycle.MONTHLY:
        return _monthly_hours(spells, prices, limits, since, until)
    return _hourly_hours(spells, prices, limits, since, until)


def unused_month(spells: Sequence[Spell], prices: PriceList, limits: CostLimits) -> UnusedMonth | None:
    """What an instance that has ended lost of its last month; None by the hour, and where the month was over."""
    last, created_at = spells[-1], spells[0].began_at
    if limits.billing_cycle is not BillingCycle.MONTHLY or last.ended_at is None:
        return None
    last_hour_at = created_at + (max(1, hours_until(created_at, last.ended_at)) - 1) * HOUR
    month = month_of(created_at, last_hour_at)
    used = (last_hour_at - month.begin_at) // HOUR + 1
    price = prices.at(last.plan, max(month.begin_at, _plan_began_at(spells)))
    addresses_usd = last.extra_addresses * _rest(limits.extra_address_monthly_usd, month, used)
    amount_usd = _rest(price.monthly_usd, month, used) + addresses_usd
    return UnusedMonth(last.plan, last_hour_at, amount_usd, price.source) if amount_usd else None


def hours_until(began_at: datetime, moment: datetime) -> int:
    """How many hours that follow each other from `began_at` on begin before that moment; not above nought before it."""
    return -((began_at - moment) // HOUR)


def cut_hours(first_at: datetime, hours: int, moments: Sequence[datetime]) -> Iterator[tuple[datetime, int]]:
    """Hours in pieces, a new one with the first hour that begins at each of the moments (in order) or after it."""
    begun = 0
    for moment in moments:
        index = hours_until(first_at, moment)
        if begun < index < hours:
            yield first_at + begun * HOUR, index - begun
            begun = index
    yield first_at + begun * HOUR, hours - begun


def _hourly_hours(
    spells: Sequence[Spell], prices: PriceList, limits: CostLimits, since: datetime, until: datetime
) -> Iterator[BilledHours]:
    for plan, stretch in _grouped(spells, _plan_of):
        first_at, hours = _started(stretch[0].began_at, stretch[-1].ended_at, since, until)
        for piece_at, count in cut_hours(first_at, hours, prices.changes(plan)) if hours else ():
            price = prices.at(plan, piece_at)
            yield BilledHours(Charge.PLAN, plan, piece_at, count, price.hourly_usd, price.source)
    address_usd = hourly_of(limits.extra_address_monthly_usd)
    # The last one added is the first one given back: each address then has stretches of its own.
    for number in range(1, max(spell.extra_addresses for spell in spells) + 1):
        for is_held, held in _grouped(spells, partial(_has_addresses, number)):
            if is_held:
                first_at, hours = _started(held[0].began_at, held[-1].ended_at, since, until)
                yield from _address_hours(held, first_at, hours, address_usd)


def _monthly_hours(
    spells: Sequence[Spell], prices: PriceList, limits: CostLimits, since: datetime, until: datetime
) -> Iterator[BilledHours]:
    created_at, ended_at = spells[0].began_at, spells[-1].ended_at
    first_at, hours = _started(created_at, ended_at, since, until)
    plan_began_at = {spell.began_at: group[0].began_at for _, group in _grouped(spells, _plan_of) for spell in group}
    while hours > 0:
        month = month_of(created_at, first_at)
        spell = next(spell for spell in reversed(spells) if spell.began_at <= first_at)
        end_at = min(month.end_at, spell.ended_at or month.end_at) if spell is not spells[-1] else month.end_at
        count = min(hours, hours_until(first_at, end_at))
        price = prices.at(spell.plan, max(month.begin_at, plan_began_at[spell.began_at]))
        accrued = [(Charge.PLAN, price.monthly_usd, price.source)]
        accrued += spell.extra_addresses * [
            (Charge.EXTRA_ADDRESSES, limits.extra_address_monthly_usd, PriceSource.POLICY)
        ]
        for charge, monthly_usd, source in accrued:
            for piece_at, piece, hour_usd in _accrual(monthly_usd, month, first_at, count):
                yield BilledHours(charge, spell.plan, piece_at, piece, hour_usd, source)
        first_at, hours = first_at + count * HOUR, hours - count


def _grouped(spells: Sequence[Spell], key: Callable[[Spell], Key]) -> Iterator[tuple[Key, list[Spell]]]:
    return ((value, list(group)) for value, group in groupby(spells, key))


def _has_addresses(count: int, spell: Spell) -> bool:
    return spell.extra_addresses >= count


def _plan_of(spell: Spell) -> str:
    return spell.plan


def _plan_began_at(spells: Sequence[Spell]) -> datetime:
    """When the last plan came into force: an address more or less is no other plan."""
    *_, (_plan, last) = _grouped(spells, _plan_of)
    return last[0].began_at


def _address_hours(held: Sequence[Spell], first_at: datetime, hours: int, hour_usd: Decimal) -> Iterator[BilledHours]:
    for piece_at, count in cut_hours(first_at, hours, [spell.began_at for spell in held[1:]]) if hours else ():
        plan = next(spell.plan for spell in reversed(held) if spell.began_at <= piece_at)
        yield BilledHours(Charge.EXTRA_ADDRESSES, plan, piece_at, count, hour_usd, PriceSource.POLICY)


def _started(began_at: datetime, ended_at: datetime | None, since: datetime, until: datetime) -> tuple[datetime, int]:
    """The first of a stretch's hours that begins in the span, and how many do."""
    first = max(0, hours_until(began_at, since))
    beyond = hours_until(began_at, until)
    if ended_at is not None:
        # What was begun at all is an hour, however short.
        beyond = min(beyond, max(1, hours_until(began_at, ended_at)))
    return began_at + first * HOUR, max(0, beyond - first)


def _accrual(monthly_usd: Decimal, month: Month, first_at: datetime, hours: int) -> list[tuple[datetime, int, Decimal]]:
    """A month's price by its hours: the last one takes what rounding left, so that a whole month is its price."""
    hour_usd = _hour_of(monthly_usd, month)
    last_at = month.end_at - HOUR
    if first_at + (hours - 1) * HOUR < last_at:
        return [(first_at, hours, hour_usd)]
    last = (last_at, 1, monthly_usd - (month.hours - 1) * hour_usd)
    return [(first_at, hours - 1, hour_usd), last] if hours > 1 else [last]


def _rest(monthly_usd: Decimal, month: Month, used: int) -> Decimal:
    return monthly_usd - used * _hour_of(monthly_usd, month) if used < month.hours else Decimal(0)


def _hour_of(monthly_usd: Decimal, month: Month) -> Decimal:
    return (monthly_usd / month.hours).quantize(_PLACES, ROUND_DOWN)
