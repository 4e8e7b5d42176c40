"""What the simulated Hostwind's plans cost, and since when: the published prices, and every change of them.

Also a currency, for whoever wants to see a price list refused. What follows for an instance is `hostwind_bill.py`'s.
"""

import sqlite3
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from penguin_infra.lab.hostwind_plans import PLANS, SimulatedPlan

PRICE_TABLES = """
CREATE TABLE IF NOT EXISTS price_changes (
    plan TEXT NOT NULL, monthly_usd TEXT NOT NULL, from_at TEXT NOT NULL, currency TEXT, PRIMARY KEY (plan, from_at)
);
"""


@dataclass(frozen=True, slots=True)
class PriceChange:
    """From when on a plan costs so much a month; `currency` is named where it is not to be taken for US dollars."""

    plan: str
    monthly_usd: Decimal
    from_at: datetime
    currency: str | None = None


class PriceBook:
    """The changes in the simulator's file."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def change(self, change: PriceChange) -> None:
        """Keep a change; one of the same moment takes the other's place."""
        with self._database as database:
            database.execute(
                "INSERT OR REPLACE INTO price_changes VALUES (?, ?, ?, ?)",
                (change.plan, str(change.monthly_usd), change.from_at.isoformat(), change.currency),
            )

    def changes(self) -> list[PriceChange]:
        """All of them, the oldest first."""
        rows = self._database.execute("SELECT * FROM price_changes")
        found = [
            PriceChange(
                row["plan"], Decimal(row["monthly_usd"]), datetime.fromisoformat(row["from_at"]), row["currency"]
            )
            for row in rows
        ]
        return sorted(found, key=lambda change: change.from_at)

    def offers(self, now: datetime) -> list[dict[str, object]]:
        """The plans as the contract writes them, at the prices in force."""
        newest = {change.plan: change for change in self.changes() if change.from_at <= now}
        return [_answer(plan, newest.get(name)) for name, plan in PLANS.items()]


def _answer(plan: SimulatedPlan, change: PriceChange | None) -> dict[str, object]:
    if change is None:
        return plan.answer()
    answer = replace(plan, monthly_usd=change.monthly_usd).answer()
    return answer if change.currency is None else answer | {"currency": change.currency}
