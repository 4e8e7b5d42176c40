"""What each day's billed hours cost, and what they went to. Nothing is written here: the caller puts the rows in place.

CostsNotKnown    nothing is told of these days, and what was known of them stays
  DayToCome        a day of the future was asked for
  UnpricedPlans    instances ran on plans whose price nobody knows
  NothingBilled    nodes held instances, but no instance was billed
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import Connection, Engine

from penguin_infra.domain.price_list import UnknownPlan
from penguin_infra.domain.pricing import HOUR, Charge, CostLimits
from penguin_infra.operations.cost_lines import CostLine, CostTerms, ghost_lines, instance_lines, midnight
from penguin_infra.store import cost_facts

# Facts of so many days are held at once: a large fleet's year would not fit.
_DAYS_AT_ONCE = 7
_DAY = timedelta(days=1)

_INSTANCES_NAMED = 20


class CostsNotKnown(Exception):
    """These days' costs cannot be told; the message says why, and what to do."""


class DayToCome(CostsNotKnown):
    """A day of the future was asked for."""


class UnpricedPlans(CostsNotKnown):
    """Instances ran on plans whose price nobody knows; `instances` are they, by plan."""

    def __init__(self, instances: Mapping[str, Sequence[str]]) -> None:
        told = "; ".join(f"{plan}: {_named(ids)}" for plan, ids in instances.items())
        super().__init__(
            f"no price is known of the plans of these instances ({told}): nothing was summed up. Let the provider's "
            "price list be taken (`plan_prices`), then sum up these days again"
        )
        self.instances = instances


class NothingBilled(CostsNotKnown):
    """Nodes held instances on a day, but none was billed."""

    def __init__(self, day: date, holders: int) -> None:
        super().__init__(
            f"no instance was billed on {day}, though {holders} nodes held one: nothing was summed up. Look whether "
            "the inventory was taken (`provider_instances`), then sum up these days again"
        )


@dataclass(frozen=True, slots=True)
class CostReport:
    """Some days' costs, by day and instance. `spell_hours`: what the spells say was billed, counted by another road."""

    lines: tuple[CostLine, ...]
    spell_hours: int

    @property
    def total_usd(self) -> Decimal:
        """All of it."""
        return sum((line.amount_usd for line in self.lines), Decimal(0))

    @property
    def billed_hours(self) -> int:
        """The hours of plans that the lines hold."""
        return sum(line.hours for line in self.lines if line.charge == Charge.PLAN)

    @property
    def free_lines(self) -> tuple[CostLine, ...]:
        """Billed hours that cost nothing, which none does."""
        return tuple(line for line in self.lines if line.hours and not line.amount_usd)


def measure_costs(
    engine: Engine, limits: CostLimits, *, first_day: date, last_day: date, fleet_name: str, now: datetime
) -> CostReport:
    """Sum up the days from the first to the last, today's until `now`. Errors: `CostsNotKnown`."""
    if last_day > now.date():
        raise DayToCome(f"{last_day} is yet to come (today is {now.date()}, UTC): what it will cost is a forecast's")
    lines: list[CostLine] = []
    unpriced: dict[str, set[str]] = {}
    # One look: instances that come and go meanwhile are in all of it or in none.
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        terms = CostTerms(limits, cost_facts.price_list(connection), fleet_name, now)
        for first, last in _chunks(first_day, last_day):
            lines += _lines(connection, terms, first, last, unpriced)
        if unpriced:
            raise UnpricedPlans({plan: sorted(ids) for plan, ids in sorted(unpriced.items())})
        _check_days(connection, lines, first_day, last_day, now)
        since, until = midnight(first_day), min(now, midnight(last_day + _DAY))
        spell_hours = cost_facts.billed_hour_count(connection, since, until, limits.billing_cycle)
    return CostReport(tuple(lines), spell_hours)


def _lines(
    connection: Connection, terms: CostTerms, first: date, last: date, unpriced: dict[str, set[str]]
) -> Iterator[CostLine]:
    since, until = midnight(first), midnight(last + _DAY)
    # An instance's last hour may have begun before midnight, and its unused month is lost after it.
    nodes = cost_facts.node_days(connection, since - HOUR, until)
    instances = cost_facts.billed_instances(connection, since, until)
    ghosts = cost_facts.ghosts(connection, since, until)
    for day in _days(first, last):
        for instance in instances:
            node = nodes.get(instance.node_id) if instance.node_id else None
            try:
                yield from instance_lines(instance, node, day, terms)
            except UnknownPlan as error:
                unpriced.setdefault(error.plan, set()).add(instance.provider_id)
        yield from ghost_lines(ghosts, day)


def _check_days(
    connection: Connection, lines: Sequence[CostLine], first_day: date, last_day: date, now: datetime
) -> None:
    billed = {line.day for line in lines if line.hours}
    for day in _days(first_day, last_day):
        if day in billed:
            continue
        if holders := cost_facts.holder_count(connection, midnight(day), min(now, midnight(day + _DAY))):
            raise NothingBilled(day, holders)


def _chunks(first: date, last: date) -> Iterator[tuple[date, date]]:
    while first <= last:
        yield first, min(last, first + (_DAYS_AT_ONCE - 1) * _DAY)
        first += _DAYS_AT_ONCE * _DAY


def _days(first: date, last: date) -> Iterator[date]:
    return (first + number * _DAY for number in range((last - first).days + 1))


def _named(ids: Sequence[str]) -> str:
    more = len(ids) - _INSTANCES_NAMED
    return ", ".join(ids[:_INSTANCES_NAMED]) + (f" and {more} more" if more > 0 else "")
