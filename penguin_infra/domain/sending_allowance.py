"""How a day's allowance is spread over its hours (UTC), so that a day's volume does not leave in one clump.

How large the day's allowance is says the warm-up; that a node keeps to it is its agent's.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from math import ceil

HOURS = 24

# What earlier hours left over may leave later, but no hour sends more than two hours' worth.
CATCH_UP_FACTOR = 2


@dataclass(frozen=True, slots=True)
class SendingAllowance:
    """Messages in all that this hour and this day may see; what was sent in them counts against these."""

    hour: int
    day: int


def allowance_now(daily: int, sent_today: int, sent_this_hour: int, now: datetime) -> SendingAllowance:
    """The allowance of the present hour and day; `sent_today` holds this hour's, too.

    It stays the same for the whole hour, whatever is sent in it. A few messages a day leave one an hour, the first at
    once: each hour lets out what is due by its end and has not left.
    """
    if daily <= 0:
        return SendingAllowance(0, 0)
    sent_before = max(sent_today - sent_this_hour, 0)
    due = ceil(daily * (now.astimezone(UTC).hour + 1) / HOURS)
    most = CATCH_UP_FACTOR * ceil(daily / HOURS)
    return SendingAllowance(hour=max(0, min(due - sent_before, most)), day=daily)
