"""What a report is made of (sections of figures, charts, tables and sentences), and how its numbers are written.

No fact and no HTML stands here: what is told is the sections' (`report_fleet.py`, `report_money.py`,
`report_mail.py`, `report_actions.py`), how it looks the template's.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, ClassVar

NOT_KNOWN = "not known"
# A space at which no line ends.
_STUCK = "\u00a0"

NOT_THEN = "Nobody wrote this down as it was then; the newest report has it as it is now."


@dataclass(frozen=True, slots=True)
class Figure:
    """One number with its unit, and beneath it what time it is of."""

    name: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Numbers side by side."""

    kind: ClassVar[str] = "figures"
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class Note:
    """A sentence."""

    kind: ClassVar[str] = "note"
    text: str


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column. `look`: text, name (in one piece), number (to the right, in even digits) or command."""

    heading: str
    look: str = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of text; `empty` is said in their place, and `left_out` how many more there are."""

    kind: ClassVar[str] = "table"
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str
    left_out: int = 0


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart as plotly draws it, in words, and in figures. Each trace's `meta.tone` names its colour.

    `is_table_open`: the table tells more than the chart.
    """

    kind: ClassVar[str] = "chart"
    anchor: str
    title: str
    in_words: str
    traces: tuple[dict[str, Any], ...]
    layout: Mapping[str, Any]
    table: Table
    is_table_open: bool = False


Part = Figures | Note | Table | Chart


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, a sentence of what stands below it, and the parts."""

    anchor: str
    title: str
    lead: str
    parts: tuple[Part, ...]
    # What the UI plots: names stay as they are.
    numbers: Mapping[str, int | float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Report:
    """A day's whole report."""

    fleet_name: str
    day: date
    made_at: datetime
    is_now: bool
    sections: tuple[Section, ...]

    @property
    def numbers(self) -> dict[str, int | float]:
        """All sections' numbers."""
        return {name: number for section in self.sections for name, number in section.numbers.items()}


def table_of(
    caption: str, columns: Sequence[Column], rows: Sequence[tuple[str, ...]], *, empty: str, most: int | None = None
) -> Table:
    """A table of the first rows, which says how many it leaves out."""
    shown = tuple(rows if most is None else rows[:most])
    return Table(caption, tuple(columns), shown, empty, len(rows) - len(shown))


def number(count: float | None) -> str:
    """A whole number, its thousands apart."""
    return NOT_KNOWN if count is None else f"{count:,.0f}"


def messages(count: float | None) -> str:
    """A number of messages."""
    return counted(count, "message")


def counted(count: float | None, noun: str) -> str:
    """A number of things."""
    return NOT_KNOWN if count is None else f"{count:,.0f} {noun}{'' if round(count) == 1 else 's'}"


def usd(amount: Decimal | None, *, places: int = 2) -> str:
    """Money."""
    return NOT_KNOWN if amount is None else f"{amount:,.{places}f}{_STUCK}USD"


def percent(share: float | None) -> str:
    """A share of one; small ones to the hundredth."""
    if share is None:
        return NOT_KNOWN
    return f"{100 * share:.{2 if 0 < share < 0.01 else 1}f}{_STUCK}%"


def moment(at: datetime | None) -> str:
    """A moment (UTC), to the minute."""
    return NOT_KNOWN if at is None else f"{on(at.astimezone(UTC).date())}, {at.astimezone(UTC):%H:%M}{_STUCK}UTC"


def on(day: date) -> str:
    """A day, in one piece."""
    return f"{day.day}{_STUCK}{day:%b}{_STUCK}{day.year}"


def days(count: float | None) -> str:
    """A span in days."""
    return NOT_KNOWN if count is None else f"{count:,.1f}{_STUCK}d"


def ratio(part: float, whole: float) -> float | None:
    """A share; None of nothing."""
    return part / whole if whole else None
