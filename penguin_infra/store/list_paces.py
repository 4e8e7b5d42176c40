"""What blacklists were asked, and how they are paced: questions by ten minutes, buckets, rests and refusals.

What follows from these numbers is `domain/list_budget.py`'s and `list_pace.py`'s. Questions are reserved before they
are sent: whoever dies in between has spent them all.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from penguin_infra.domain.list_budget import SLOT_SECONDS
from penguin_infra.domain.list_pace import Pace, Spent
from penguin_infra.store.blacklist_tables import blacklist_paces, blacklist_questions
from penguin_infra.store.tables import AnyRow

SLOT = timedelta(seconds=SLOT_SECONDS)

DAY = timedelta(hours=24)
MONTH = timedelta(days=30)

q = blacklist_questions.c
p = blacklist_paces.c


@dataclass(frozen=True, slots=True)
class ListPace:
    """What is remembered of how one list is asked. `interval_seconds`: how often each address's turn comes."""

    zone: str
    pace: Pace
    interval_seconds: float | None = None
    refused_because: str | None = None


def lock_questions(connection: Connection) -> None:
    """Let nobody else reserve until this transaction ends: two that saw the same room would both take it."""
    connection.execute(text("LOCK TABLE fleet.blacklist_questions IN SHARE ROW EXCLUSIVE MODE"))


def spent_questions(connection: Connection, zones: Collection[str], now: datetime) -> dict[str, Spent]:
    """Questions within the last 24 hours and 30 days; slots that overlap a window's edge count whole."""
    in_a_day = func.sum(q.asked).filter(q.slot_at > now - DAY - SLOT)
    rows = connection.execute(
        select(q.zone, func.coalesce(in_a_day, 0).label("day"), func.sum(q.asked).label("month"))
        .where(q.zone.in_(zones), q.slot_at > now - MONTH - SLOT)
        .group_by(q.zone)
    )
    found = {row.zone: Spent(int(row.day), int(row.month)) for row in rows}
    return {zone: found.get(zone, Spent()) for zone in zones}


def add_questions(connection: Connection, asked: Mapping[str, int], at: datetime) -> None:
    """Count questions by zone, as sent or reserved then; negative ones give back."""
    rows = [{"zone": zone, "slot_at": _slot(at), "asked": count} for zone, count in sorted(asked.items()) if count]
    if not rows:
        return
    statement = upsert(blacklist_questions)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[q.zone, q.slot_at], set_={"asked": q.asked + statement.excluded.asked}
        ),
        rows,
    )


def settle_questions(
    connection: Connection, *, reserved: Mapping[str, int], at: datetime, sent: Mapping[str, int], now: datetime
) -> None:
    """Put what was really sent in the place of what was reserved at `at`.

    It counts from the end of the pass: a window that still holds one of its questions then holds them all.
    """
    connection.execute(
        text(
            "UPDATE fleet.blacklist_questions AS spent SET asked = spent.asked - given.count "
            "FROM jsonb_each_text(CAST(:reserved AS jsonb)) AS one (zone, value), "
            "LATERAL (SELECT one.value::bigint AS count) AS given "
            "WHERE spent.zone = one.zone AND spent.slot_at = :slot_at"
        ),
        {"reserved": json.dumps(dict(reserved)), "slot_at": _slot(at)},
    )
    add_questions(connection, sent, now)


def forget_questions(connection: Connection, now: datetime) -> None:
    """Drop what no window can hold any more."""
    connection.execute(delete(blacklist_questions).where(q.slot_at <= now - MONTH - SLOT))


def load_paces(connection: Connection) -> dict[str, ListPace]:
    """How every list that was ever asked is paced."""
    return {row.zone: _pace(row) for row in connection.execute(select(blacklist_paces))}


def save_paces(connection: Connection, paces: Iterable[ListPace]) -> None:
    """Write paces down, whole."""
    rows = [
        {
            "zone": one.zone,
            "tokens": one.pace.tokens,
            "filled_at": one.pace.filled_at,
            "rests_until": one.pace.rests_until,
            "rest_count": one.pace.rest_count,
            "interval_seconds": one.interval_seconds,
            "refused_because": one.refused_because,
        }
        for one in paces
    ]
    if not rows:
        return
    statement = upsert(blacklist_paces)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[p.zone], set_={name: statement.excluded[name] for name in rows[0] if name != "zone"}
        ),
        rows,
    )


def forget_turns(connection: Connection, zones: Collection[str]) -> None:
    """Note that lists which are not among these are asked no more; a bucket and a rest hold for when they come back."""
    connection.execute(
        update(blacklist_paces).where(p.zone.not_in(zones)).values(refused_because=None, interval_seconds=None)
    )


def refused_lists(connection: Connection) -> Sequence[AnyRow]:
    """Lists whose terms the fleet's size breaks, with the sum."""
    query = select(p.zone, p.refused_because).where(p.refused_because.is_not(None))
    return connection.execute(query.order_by(p.zone)).all()


def resting_lists(connection: Connection) -> Sequence[AnyRow]:
    """Lists whose last word was that their quota is used up, until when they are left alone, how often by now."""
    query = select(p.zone, p.rests_until, p.rest_count).where(p.rest_count > 0, p.interval_seconds.is_not(None))
    return connection.execute(query.order_by(p.zone)).all()


def _slot(at: datetime) -> datetime:
    return datetime.fromtimestamp(at.timestamp() // SLOT_SECONDS * SLOT_SECONDS, at.tzinfo)


def _pace(row: AnyRow) -> ListPace:
    pace = Pace(row.tokens, row.filled_at, row.rests_until, row.rest_count)
    return ListPace(row.zone, pace, row.interval_seconds, row.refused_because)
