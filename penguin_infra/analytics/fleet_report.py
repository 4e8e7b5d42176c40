"""The daily report: one page that tells owners what the fleet is, did, costs, and wants of them; all in one file.

Here facts become sections, and sections a page that needs no network. Where it is kept, `report_files.py` says.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from pathlib import Path
from statistics import median

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from sqlalchemy import Connection, Engine

from penguin_infra.analytics.report_actions import done_section, waiting_section
from penguin_infra.analytics.report_files import NoSuchDay, path_of, write_file
from penguin_infra.analytics.report_fleet import capacity_section, glance_section, warmup_section
from penguin_infra.analytics.report_mail import mail_section
from penguin_infra.analytics.report_money import cost_figures, cost_section
from penguin_infra.analytics.report_parts import Report
from penguin_infra.domain.demand import daily_history, recent_demand
from penguin_infra.domain.forecast import DAYS_A_WEEK, MOST_SEASONS, forecast_demand
from penguin_infra.store.demand import read_hours
from penguin_infra.store.report_costs import read_cost_facts
from penguin_infra.store.report_facts import read_fleet_facts
from penguin_infra.store.report_mail import read_mail_facts

COST_DAYS, MAIL_DAYS = 60, 30

_TEMPLATES = Path(__file__).parent / "templates"
_HISTORY = timedelta(days=DAYS_A_WEEK * MOST_SEASONS)


@dataclass(frozen=True, slots=True)
class WrittenReport:
    """A report on disk, and its numbers by name."""

    day: date
    path: Path
    size: int
    numbers: dict[str, int | float]


def write_report(
    engine: Engine, day: date, *, now: datetime, fleet_name: str, folder: Path, path: Path | None = None
) -> WrittenReport:
    """Write a day's report into the folder, or to `path`; raises `ReportError`."""
    # One snapshot: its numbers agree with each other, and reading holds nobody up.
    reading = engine.connect().execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with reading as connection:
        report = read_report(connection, day, now=now, fleet_name=fleet_name)
    place = path or path_of(folder, day)
    return WrittenReport(day, place, write_file(place, render(report)), report.numbers)


def read_report(connection: Connection, day: date, *, now: datetime, fleet_name: str) -> Report:
    """A day's report as data: of today what is so now, of a past day what was; raises `NoSuchDay` of one to come."""
    today = now.astimezone(UTC).date()
    if day > today:
        raise NoSuchDay(f"there is no report of {day}: it is to come (today is {today}, UTC)")
    is_now = day == today
    begin = datetime.combine(day, time(), UTC)
    at = now if is_now else begin + timedelta(days=1)
    fleet = read_fleet_facts(connection, begin=begin, at=at, days=MAIL_DAYS, is_now=is_now)
    mail = read_mail_facts(connection, day, at=at, days=MAIL_DAYS, is_now=is_now)
    costs = read_cost_facts(connection, day, days=COST_DAYS, days_of_mail=MAIL_DAYS, with_savings=is_now)
    hours = read_hours(connection, now - _HISTORY) if is_now else []
    forecast = forecast_demand(daily_history(hours, now), ahead=DAYS_A_WEEK) if is_now else None
    demand = median(recent) if (recent := recent_demand(hours, now)) else None
    sections = (
        glance_section(
            fleet, day, delivered=dict(mail.delivered), demand=demand, costs=cost_figures(costs, day), is_now=is_now
        ),
        cost_section(costs, day, is_now=is_now),
        mail_section(mail, day, is_now=is_now),
        warmup_section(fleet, is_now=is_now),
        capacity_section(fleet, day, forecast=forecast, is_now=is_now),
        done_section(fleet, day, is_now=is_now),
        waiting_section(fleet, savings=len(costs.savings_now), is_now=is_now),
    )
    return Report(fleet_name, day, now, is_now, sections)


def render(report: Report) -> str:
    """The report as one HTML file: styles, scripts and figures within, and every text escaped."""
    return _environment().get_template("fleet_report.html.j2").render(report=report)


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        # The template's name ends in `.j2`: the choice by names would escape nothing.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        plotly_js=_trusted(get_plotlyjs()),
        page_css=_trusted((_TEMPLATES / "fleet_report.css").read_text()),
        page_js=_trusted((_TEMPLATES / "fleet_report.js").read_text()),
    )
    return environment


def _trusted(source: str) -> Markup:
    """Source of our own or of plotly's, as it is: nothing of it comes from the fleet."""
    return Markup(source)  # noqa: S704 - as it says
