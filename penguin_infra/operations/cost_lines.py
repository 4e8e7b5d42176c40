"""One instance's billed hours of one day, put together into rows of `node_costs`. Facts are given, none is read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from penguin_infra.domain.cost_usage import (
    NodeDays,
    Usage,
    UsedHours,
    state_at,
    usage_of,
    usage_of_stranger,
    used_hours,
)
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.price_list import PriceList, PriceSource
from penguin_infra.domain.pricing import BilledHours, Charge, CostLimits, UnusedMonth, billed_hours, unused_month
from penguin_infra.store.cost_facts import BilledInstance, Ghost

_NO_PAST = NodeDays((), (), {})


class CostLine(NamedTuple):
    """A row of the table `node_costs`, in its columns' order."""

    day: date
    provider_id: str
    plan: str
    charge: str
    usage: str
    node_id: UUID | None
    label: str
    region: str
    hours: int
    unhealthy_hours: int
    idle_hours: int
    amount_usd: Decimal
    price_source: str


@dataclass(frozen=True, slots=True)
class CostTerms:
    """What all instances are reckoned by."""

    limits: CostLimits
    prices: PriceList
    fleet_name: str
    now: datetime


@dataclass(slots=True)
class _Sum:
    source: PriceSource
    hours: int = 0
    unhealthy: int = 0
    idle: int = 0
    amount_usd: Decimal = field(default_factory=Decimal)

    def add(self, used: UsedHours, amount_usd: Decimal) -> None:
        self.hours += used.hours
        self.unhealthy += used.unhealthy
        self.idle += used.idle
        self.amount_usd += amount_usd


def instance_lines(instance: BilledInstance, node: NodeDays | None, day: date, terms: CostTerms) -> Iterator[CostLine]:
    """The day's rows of an instance, none where no hour of its began in it. Errors: `UnknownPlan`."""
    since = midnight(day)
    until = min(midnight(day + timedelta(days=1)), terms.now)
    if instance.began_at >= until or (instance.ended_at is not None and instance.ended_at < since):
        return
    node = _NO_PAST if node is None else node
    stranger = usage_of_stranger(instance.label, fleet_name=terms.fleet_name) if instance.node_id is None else None
    sums: dict[tuple[str, Charge, Usage], _Sum] = {}
    for billed in billed_hours(instance.spells, terms.prices, terms.limits, since=since, until=until):
        for used in _used(billed, node, stranger):
            key = (billed.plan, billed.charge, used.usage)
            sums.setdefault(key, _Sum(billed.source)).add(used, used.hours * billed.hour_usd)
    if instance.ended_at is not None and since <= instance.ended_at < until:
        lost = unused_month(instance.spells, terms.prices, terms.limits)
        if lost is not None:
            usage = stranger or _usage_then(node, lost)
            sums[lost.plan, Charge.UNUSED_MONTH, usage] = _Sum(lost.source, amount_usd=lost.amount_usd)
    for key, found in sums.items():
        yield _line(instance, day, key, found)


def ghost_lines(ghosts: Iterable[Ghost], day: date) -> Iterator[CostLine]:
    """A row for each node that was without its instance in the day; it costs nothing."""
    since, until = midnight(day), midnight(day + timedelta(days=1))
    in_day = {
        ghost.provider_id: ghost
        for ghost in ghosts
        if ghost.since_at < until and (ghost.until_at is None or ghost.until_at >= since)
    }
    for ghost in in_day.values():
        yield CostLine(
            day, ghost.provider_id, ghost.plan, Charge.PLAN.value, Usage.GHOST.value, ghost.node_id, ghost.label,
            ghost.region, 0, 0, 0, Decimal(0), PriceSource.PROVIDER.value,
        )  # fmt: skip


def midnight(day: date) -> datetime:
    """When a day begins, UTC."""
    return datetime.combine(day, time(), UTC)


def _used(billed: BilledHours, node: NodeDays, stranger: Usage | None) -> Iterable[UsedHours]:
    if stranger is not None:
        return [UsedHours(stranger, billed.hours, 0, 0)]
    return used_hours(node, billed.first_at, billed.hours)


def _usage_then(node: NodeDays, lost: UnusedMonth) -> Usage:
    return usage_of(state_at(node.statuses, lost.last_hour_at, NodeStatus.PROVISIONING))


def _line(instance: BilledInstance, day: date, key: tuple[str, Charge, Usage], found: _Sum) -> CostLine:
    plan, charge, usage = key
    # An instance that its node no longer holds is nobody's, whoever asked for it.
    is_held = usage is not Usage.ORPHAN and instance.node_id is not None
    return CostLine(
        day=day,
        provider_id=instance.provider_id,
        plan=plan,
        charge=charge.value,
        usage=usage.value,
        node_id=instance.node_id if is_held else None,
        label=(instance.node_label if is_held else None) or instance.label,
        region=instance.region,
        hours=found.hours,
        unhealthy_hours=found.unhealthy,
        idle_hours=found.idle,
        amount_usd=found.amount_usd,
        price_source=found.source.value,
    )
