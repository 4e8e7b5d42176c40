"""The months that an instance is paid for: from the day of its creation to the same day of the next month.

What a month costs is `pricing.py`'s.
"""

from calendar import monthrange
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS_A_YEAR = 12


@dataclass(frozen=True, slots=True)
class Month:
    """A span that is paid at once."""

    begin_at: datetime
    end_at: datetime

    @property
    def hours(self) -> int:
        """How many hours it has: whole ones, in UTC."""
        return (self.end_at - self.begin_at) // timedelta(hours=1)


def month_of(created_at: datetime, moment: datetime) -> Month:
    """The month that holds a moment from the creation on. Both are UTC."""
    number = (moment.year - created_at.year) * _MONTHS_A_YEAR + moment.month - created_at.month
    if _anniversary(created_at, number) > moment:
        number -= 1
    return Month(_anniversary(created_at, number), _anniversary(created_at, number + 1))


def _anniversary(created_at: datetime, months: int) -> datetime:
    """So many months later; where the month is too short, on its last day."""
    years, month = divmod(created_at.month - 1 + months, _MONTHS_A_YEAR)
    year = created_at.year + years
    return created_at.replace(year=year, month=month + 1, day=min(created_at.day, monthrange(year, month + 1)[1]))
