"""Which days a command tells of: `--since`, `--until` and `--month`, each told by its name where it is none."""

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated

import typer

Since = Annotated[str | None, typer.Option("--since", metavar="DAY", help="The first day (UTC), as 2026-03-01.")]
Until = Annotated[
    str | None, typer.Option("--until", metavar="DAY", help="The last day (UTC); by default today, so far.")
]
Month = Annotated[str | None, typer.Option("--month", metavar="YYYY-MM", help="All days of a month, as 2026-03.")]


@dataclass(frozen=True, slots=True)
class DaySpan:
    """Days from the first to the last one, both among them."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first} to {self.last}"


def day_span(since: str | None, until: str | None, month: str | None, *, today: date) -> DaySpan:
    """The days asked for, by default this month's so far; `typer.BadParameter` names the option that is wrong."""
    if month is not None:
        if since is not None or until is not None:
            raise typer.BadParameter("is all days of a month: leave --since and --until out", param_hint="--month")
        return _month_span(month, today)
    last = _day(until, "--until") if until is not None else today
    if last > today:
        raise _to_come(last, "--until", today)
    first = _day(since, "--since") if since is not None else last.replace(day=1)
    if first > today:
        raise _to_come(first, "--since", today)
    if first > last:
        raise typer.BadParameter(f"{first} is after --until {last}", param_hint="--since")
    return DaySpan(first, last)


def _month_span(month: str, today: date) -> DaySpan:
    first = _day(f"{month}-01", "--month", example="2026-03", asked=month)
    if first > today:
        raise _to_come(first, "--month", today)
    next_month = (first + timedelta(days=31)).replace(day=1)
    return DaySpan(first, min(next_month - timedelta(days=1), today))


def _day(asked_day: str, option: str, *, example: str = "2026-03-01", asked: str | None = None) -> date:
    try:
        day = date.fromisoformat(asked_day)
    except ValueError:
        day = None
    # Other forms of ISO 8601 (20260301, 2026-W09-7) are read, but nobody means them here.
    if day is None or day.isoformat() != asked_day:
        noun = "month" if option == "--month" else "day"
        raise typer.BadParameter(f"{asked or asked_day!r} is no {noun}; write it as {example}", param_hint=option)
    return day


def _to_come(day: date, option: str, today: date) -> typer.BadParameter:
    return typer.BadParameter(f"{day} is to come; today is {today} (UTC)", param_hint=option)
