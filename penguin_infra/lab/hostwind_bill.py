"""The simulated Hostwind's bill, kept apart from all that the product reckons: deleted instances are on it.

By the hour: each plan's time is walked hour by hour, and each begun hour costs what the plan cost as it began; each
extra address likewise, the last one added being the first one given back. By the month: a statement of payments ahead
and of refunds for what is left of a month when a plan or an address changes; what a live instance has paid for the rest
of its month is not on the bill yet, what a deleted one has is. How the real provider does it is unknown.
"""

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

from penguin_infra.lab.hostwind_instance import SimulatedInstance
from penguin_infra.lab.hostwind_plans import EXTRA_ADDRESS_MONTHLY_USD, PLANS, hourly_usd
from penguin_infra.lab.hostwind_prices import PriceChange

HOUR = timedelta(hours=1)
HOURLY, MONTHLY = "hourly", "monthly"

_PLACES = 8


@dataclass(frozen=True, slots=True)
class _Span:
    plan: str
    begin_at: datetime
    end_at: datetime

    def hours(self) -> Iterator[datetime]:
        """When each begun hour began: one at least."""
        at = self.begin_at
        yield at
        while (at := at + HOUR) < self.end_at:
            yield at


def bill(
    instances: Sequence[SimulatedInstance], *, now: datetime, prices: Sequence[PriceChange] = (), cycle: str = HOURLY
) -> dict[str, object]:
    """What every instance has cost so far, in USD. `prices`: every change, the oldest first."""
    amounts = [_monthly(one, prices, now) if cycle == MONTHLY else _hourly(one, prices, now) for one in instances]
    return {
        "instances": [
            _line(one, now) | {"amount_usd": str(amount)} for one, amount in zip(instances, amounts, strict=True)
        ],
        "total_usd": str(sum(amounts, Decimal(0))),
    }


def _line(instance: SimulatedInstance, now: datetime) -> dict[str, object]:
    spans = _plan_spans(instance, now)
    return {
        "id": instance.provider_id,
        "label": instance.label,
        "plan": spans[-1].plan,
        "created_at": instance.created_at.isoformat(),
        "deleted_at": instance.deleted_at.isoformat() if instance.deleted_at else None,
        "hours": sum(1 for span in spans for _ in span.hours()),
        "extra_address_hours": sum(1 for span in _address_spans(instance, now) for _ in span.hours()),
    }


def _hourly(instance: SimulatedInstance, prices: Sequence[PriceChange], now: datetime) -> Decimal:
    plans = sum(
        (hourly_usd(_price(span.plan, at, prices)) for span in _plan_spans(instance, now) for at in span.hours()),
        Decimal(0),
    )
    addresses = sum(1 for span in _address_spans(instance, now) for _ in span.hours())
    return plans + addresses * hourly_usd(EXTRA_ADDRESS_MONTHLY_USD)


def _plan_spans(instance: SimulatedInstance, now: datetime) -> list[_Span]:
    ended_at = instance.deleted_at or now
    changes = [change for change in instance.plan_changes if change.from_at < ended_at] or [instance.plan_changes[0]]
    ends = [later.from_at for _, later in pairwise(changes)] + [ended_at]
    return [_Span(change.plan, change.from_at, end) for change, end in zip(changes, ends, strict=True)]


def _address_spans(instance: SimulatedInstance, now: datetime) -> list[_Span]:
    ended_at = instance.deleted_at or now
    held: list[datetime] = []
    spans = []
    for change in instance.address_changes:
        if change.from_at >= ended_at:
            break
        held += [change.from_at] * (change.count - len(held))
        while len(held) > change.count:
            spans.append(_Span("", held.pop(), change.from_at))
    return spans + [_Span("", since, ended_at) for since in held]


def _monthly(instance: SimulatedInstance, prices: Sequence[PriceChange], now: datetime) -> Decimal:
    ended_at = instance.deleted_at or now
    moments = [one.from_at for one in instance.plan_changes] + [one.from_at for one in instance.address_changes]
    total = Fraction(0)
    for begin_at, end_at in _months(instance.created_at, ended_at):
        plan, addresses = instance.plan(begin_at), instance.extra_addresses(begin_at)
        paid_plan = _price(plan, begin_at, prices)
        total += Fraction(paid_plan + addresses * EXTRA_ADDRESS_MONTHLY_USD)
        for at in sorted({at for at in moments if begin_at < at < min(end_at, ended_at)}):
            left = _share_left(begin_at, end_at, at)
            total -= left * Fraction(paid_plan + addresses * EXTRA_ADDRESS_MONTHLY_USD)
            if instance.plan(at) != plan:
                plan = instance.plan(at)
                paid_plan = _price(plan, at, prices)
            addresses = instance.extra_addresses(at)
            total += left * Fraction(paid_plan + addresses * EXTRA_ADDRESS_MONTHLY_USD)
        if instance.deleted_at is None and now < end_at:
            total -= _share_left(begin_at, end_at, now) * Fraction(paid_plan + addresses * EXTRA_ADDRESS_MONTHLY_USD)
    return round(Decimal(total.numerator) / total.denominator, _PLACES)


def _months(created_at: datetime, ended_at: datetime) -> Iterator[tuple[datetime, datetime]]:
    """The months that were paid, each at its beginning: the first one at creation, whenever the instance ended."""
    begin_at, number = created_at, 0
    while number == 0 or begin_at < ended_at:
        number += 1
        year, month = divmod(created_at.year * 12 + created_at.month - 1 + number, 12)
        day = min(created_at.day, monthrange(year, month + 1)[1])
        end_at = created_at.replace(year=year, month=month + 1, day=day)
        yield begin_at, end_at
        begin_at = end_at


def _share_left(begin_at: datetime, end_at: datetime, at: datetime) -> Fraction:
    """Of a month's hours, those that do not begin before that moment."""
    begun = -((begin_at - at) // HOUR)
    hours = (end_at - begin_at) // HOUR
    return Fraction(hours - begun, hours)


def _price(plan: str, at: datetime, prices: Sequence[PriceChange]) -> Decimal:
    newest = [change.monthly_usd for change in prices if change.plan == plan and change.from_at <= at]
    return newest[-1] if newest else PLANS[plan].monthly_usd
