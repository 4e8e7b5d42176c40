"""How the simulated Hostwind takes up a past: instances that were, what they were billed as, and what plans cost then.

In one transaction of its own file, before anything was created there. What the past holds is `past.py`'s.
"""

import sqlite3
from collections.abc import Mapping
from datetime import datetime, timedelta
from itertools import pairwise

from penguin_infra.lab.hostwind_plans import IMAGES
from penguin_infra.lab.past import Past, PastInstance

_BOOT_TIME = timedelta(seconds=40)


class PastRefused(Exception):
    """The provider has instances already: nobody's past can be put before them."""


def take_past(database: sqlite3.Connection, past: Past, labels: Mapping[int, str]) -> None:
    """Keep the past; `labels`: what each instance is called, by its number. Errors: `PastRefused`."""
    with database:
        if database.execute("SELECT 1 FROM instances LIMIT 1").fetchone():
            raise PastRefused("the simulated Hostwind has instances already: a past comes before the first of them")
        for instance in past.instances:
            _insert(database, instance, labels[instance.number])
        for price in past.prices:
            database.execute(
                "INSERT INTO price_changes (plan, monthly_usd, from_at) VALUES (?, ?, ?)",
                (price.plan, str(price.monthly_usd), price.from_at.isoformat()),
            )


def _insert(database: sqlite3.Connection, instance: PastInstance, label: str) -> None:
    created_at = instance.created_at
    database.execute(
        "INSERT INTO instances (number, label, region, image, ssh_keys, created_at, ready_at, deleted_at,"
        " address_number, idempotency_key, request) VALUES (?, ?, ?, ?, '[]', ?, ?, ?, ?, ?, '')",
        (
            instance.number,
            label,
            instance.region,
            IMAGES[0],
            created_at.isoformat(),
            (created_at + _BOOT_TIME).isoformat(),
            _text(instance.deleted_at),
            instance.number - 1,
            f"past-{instance.number}",
        ),
    )
    plans = {terms.from_at: terms.plan for terms in reversed(instance.terms)}
    for before, terms in pairwise(instance.terms):
        if terms.plan == before.plan:
            del plans[terms.from_at]
        if terms.extra_addresses != before.extra_addresses:
            database.execute(
                "INSERT INTO address_changes VALUES (?, ?, ?)",
                (instance.number, terms.extra_addresses, terms.from_at.isoformat()),
            )
    database.executemany(
        "INSERT INTO plan_changes VALUES (?, ?, ?)",
        [(instance.number, plan, from_at.isoformat()) for from_at, plan in plans.items()],
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
