"""The provider's plans with their prices, dated: a row for each change, and how long each was seen."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects.postgresql import distinct_on

from penguin_infra.domain.capacity import PlanOffer
from penguin_infra.store.capacity_tables import plan_prices
from penguin_infra.store.tables import AnyRow

p = plan_prices.c

NEWEST = select(plan_prices).ext(distinct_on(p.plan)).order_by(p.plan, p.seen_at.desc())


@dataclass(frozen=True, slots=True)
class PlanPrice:
    """What a plan holds and costs."""

    plan: str
    cpu_count: int
    memory_mb: int
    disk_gb: int
    transfer_gb: int
    monthly_usd: Decimal
    hourly_usd: Decimal


def save_prices(connection: Connection, offers: Iterable[PlanPrice], now: datetime) -> int:
    """Keep what is on offer now; returns how many plans are new or changed."""
    known = {row.plan: row for row in newest_prices(connection)}
    changed = 0
    for offer in offers:
        row = known.get(offer.plan)
        if row is not None and _offer(row) == offer:
            connection.execute(
                update(plan_prices)
                .where(p.plan == offer.plan, p.seen_at == row.seen_at)
                .values(last_seen_at=max(now, row.seen_at))
            )
        elif row is None or row.seen_at < now:
            names = PlanPrice.__dataclass_fields__
            values = {name: getattr(offer, name) for name in names}
            connection.execute(insert(plan_prices).values(**values, seen_at=now, last_seen_at=now))
            changed += 1
    return changed


def newest_prices(connection: Connection) -> list[AnyRow]:
    """The newest row of each plan, by name."""
    return list(connection.execute(NEWEST))


def read_offers(connection: Connection) -> list[PlanOffer]:
    """Each plan as it was last on offer."""
    return [PlanOffer(row.plan, row.cpu_count, row.memory_mb, row.monthly_usd) for row in newest_prices(connection)]


def _offer(row: AnyRow) -> PlanPrice:
    return PlanPrice(**{name: getattr(row, name) for name in PlanPrice.__dataclass_fields__})
