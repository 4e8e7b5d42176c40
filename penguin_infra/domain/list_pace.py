"""How a blacklist's allowance is spent: a bucket that fills evenly, a hard stop behind it, rests after quotas.

Sums only: how large the allowance is says `list_budget.py`, what was spent the store.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from penguin_infra.domain.list_budget import Allowance, Turns, most_sent

# A quota that is used up comes back by the minute at some lists and by the day at others.
FIRST_REST = timedelta(minutes=5)
LONGEST_REST = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Spent:
    """Questions that a list was asked within the last 24 hours and 30 days, reserved ones included."""

    in_24_hours: int = 0
    in_30_days: int = 0


@dataclass(frozen=True, slots=True)
class Pace:
    """Where a list's bucket stands, and until when the list is left alone; `rest_count` doubles the next rest."""

    tokens: float
    filled_at: datetime
    rests_until: datetime | None = None
    rest_count: int = 0


def fill(pace: Pace | None, turns: Turns, now: datetime) -> Pace:
    """The bucket as it stands now; a list that was never asked begins with a full one."""
    if pace is None:
        return Pace(turns.capacity, now)
    # A clock that was set back fills nothing, and takes nothing away.
    seconds = max((now - pace.filled_at).total_seconds(), 0)
    tokens = min(turns.capacity, pace.tokens + seconds * turns.per_second)
    return replace(pace, tokens=tokens, filled_at=max(now, pace.filled_at))


def room(allowance: Allowance, spent: Spent) -> int:
    """Questions that may still be asked before the hard stop, whatever the bucket says."""
    left = allowance.per_day - spent.in_24_hours
    if allowance.per_30_days is not None:
        left = min(left, allowance.per_30_days - spent.in_30_days)
    return max(left, 0)


def most_suspects(allowance: Allowance, spent: Spent, turns: Turns) -> int:
    """How many second looks there is room for; they are paid from the reserve and need no token."""
    return _fitting(room(allowance, spent), turns)


def most_routine(pace: Pace, allowance: Allowance, spent: Spent, turns: Turns, *, suspects: int = 0) -> int:
    """How many addresses the routine may ask beside so many suspects; 0 where too few to be worth the test points."""
    by_bucket = int(pace.tokens) - turns.test_points
    left = room(allowance, spent)
    # Half of the reserve takes up bursts after late sweeps, the other half is never the routine's.
    beside_reserve = left - allowance.reserve // 2 - turns.test_points - suspects
    most = min(by_bucket, beside_reserve, _fitting(left, turns) - suspects)
    return most if most >= turns.batch else 0


def spend(pace: Pace, turns: Turns, *, sent: int, suspects: int, routine: int) -> Pace:
    """The bucket after a pass. A routine pass costs its batch even where the list failed at its test points.

    Else a list that is unwell would be asked for nothing but those, at every sweep.
    """
    if not routine:
        return pace
    return replace(pace, tokens=pace.tokens - max(sent - suspects, turns.batch + turns.test_points))


def rest(pace: Pace, now: datetime) -> Pace:
    """The pace of a list that answered with a quota error: it rests, each time twice as long."""
    length = min(FIRST_REST * 2 ** min(pace.rest_count, 16), LONGEST_REST)
    return replace(pace, rests_until=now + length, rest_count=pace.rest_count + 1)


def resume(pace: Pace) -> Pace:
    """The pace of a list that answered without a quota error."""
    return replace(pace, rests_until=None, rest_count=0)


def is_resting(pace: Pace | None, now: datetime) -> bool:
    """Whether a list is left alone now."""
    return pace is not None and pace.rests_until is not None and now < pace.rests_until


def _fitting(left: int, turns: Turns) -> int:
    """The most addresses whose pass cannot come to more questions than these."""
    return max((left - most_sent(0, turns.test_points)) // 2, 0)
