"""A year as one picture: demand and warmed capacity, their share, nodes by status, what was done, and what it cost.

The same year is the same file, to the byte.
"""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from penguin_infra.domain.actions import ActionKind
from penguin_infra_tests.simulation.record import HourSeen, Year
from penguin_infra_tests.simulation.weather import HOURS_A_DAY, Trouble

_BLUE, _GREEN, _ORANGE, _RED, _GREY, _PURPLE = "#1f5fa8", "#2e7d4f", "#c76a10", "#b3261e", "#6b7280", "#6d4aa8"
_STATUSES = {"active": _GREEN, "warming": "#e0a526", "provisioning": "#9ec5ee", "paused": _RED}
_DEEDS = {
    ActionKind.RESIZE: ("resized", _PURPLE),
    ActionKind.PAUSE: ("paused", _RED),
    ActionKind.RESUME: ("resumed", _BLUE),
    ActionKind.DECOMMISSION: ("given up, approved", _GREY),
}
_SHADES = {
    Trouble.SPIKE: ("spike", "#f6d7b0"),
    Trouble.REGION_OUTAGE: ("region gone", "#d5d9df"),
    Trouble.MAILBOX_OUTAGE: ("mailbox provider down", "#d9e6f5"),
    Trouble.LISTING_WAVE: ("listing wave", "#f3c9c6"),
}


def draw(year: Year, file: Path) -> None:
    """Write it, as the file's ending says (svg, png)."""
    settings: Any = {"svg.hashsalt": "penguin", "svg.fonttype": "path", "font.size": 10, "axes.spines.top": False,
                "axes.spines.right": False, "font.family": "DejaVu Sans"}  # fmt: skip
    with mpl.rc_context(settings):
        figure, axes = plt.subplots(
            5, 1, figsize=(12, 14), sharex=True, height_ratios=(3, 2, 2, 1.6, 1.4), layout="constrained"
        )
        days = [year.hours[first : first + HOURS_A_DAY] for first in range(0, len(year.hours), HOURS_A_DAY)]
        _draw_demand(axes[0], year, days)
        _draw_use(axes[1], year)
        _draw_nodes(axes[2], days)
        _draw_deeds(axes[3], year)
        _draw_spend(axes[4], year, days)
        figure.suptitle(f"A simulated year of the fleet (seed {year.weather.seed})", fontsize=14)
        metadata = {"Date": None} if file.suffix == ".svg" else None
        figure.savefig(file, metadata=metadata, facecolor="white", dpi=80)
        plt.close(figure)


def _draw_demand(axes: Axes, year: Year, days: list[list[HourSeen]]) -> None:
    for trouble, (words, colour) in _SHADES.items():
        for number, event in enumerate(one for one in year.weather.events if one.trouble is trouble):
            begin = event.begin / HOURS_A_DAY
            axes.axvspan(
                begin, begin + max(0.8, event.hours / HOURS_A_DAY), color=colour, label=words if not number else None
            )
    axes.plot([sum(hour.capacity for hour in day) / len(day) for day in days], color=_GREEN, label="warmed capacity")
    axes.plot([sum(hour.asked for hour in day) for day in days], color=_BLUE, label="demand")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_ylabel("messages a day")
    axes.set_ylim(bottom=0)
    _legend(axes)


def _draw_use(axes: Axes, year: Year) -> None:
    axes.plot([100 * share for share in year.daily_use()], color=_ORANGE, label="demand over capacity")
    axes.axhline(80, color=_GREY, linestyle="--", linewidth=1, label="growth begins (80 %)")
    axes.axhline(65, color=_GREY, linestyle=":", linewidth=1, label="growth fills up to (65 %)")
    axes.yaxis.set_major_formatter(PercentFormatter(decimals=0))
    axes.set_ylabel("utilisation")
    axes.set_ylim(0, 125)
    _legend(axes)


def _draw_nodes(axes: Axes, days: list[list[HourSeen]]) -> None:
    counts = [[day[-1].by_status.get(status, 0) for day in days] for status in _STATUSES]
    axes.stackplot(range(len(days)), counts, labels=list(_STATUSES), colors=list(_STATUSES.values()))
    axes.set_ylabel("nodes")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(axes)


def _draw_deeds(axes: Axes, year: Year) -> None:
    rows = ["requested", *(words for words, _ in _DEEDS.values())]
    for at, count, *_ in year.requests:
        day = year.hour_of(at) / HOURS_A_DAY
        axes.plot(day, 0, "^", color=_GREEN, markersize=7)
        axes.annotate(f"+{count}", (day, 0), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=8)
    for row, (kind, (_, colour)) in enumerate(_DEEDS.items(), start=1):
        days = [year.hour_of(deed.at) / HOURS_A_DAY for deed in year.of(kind)]
        axes.plot(days, [row] * len(days), "o", color=colour, markersize=5, linestyle="none")
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", color="#e5e7eb")


def _draw_spend(axes: Axes, year: Year, days: list[list[HourSeen]]) -> None:
    axes.plot([float(max(hour.monthly_usd for hour in day)) for day in days], color=_BLUE, label="all nodes")
    axes.axhline(float(year.most_monthly_usd), color=_RED, linestyle="--", linewidth=1, label="cap")
    axes.set_ylabel("USD a month")
    axes.set_ylim(0, float(year.most_monthly_usd) * 1.1)
    axes.set_xlabel("day")
    axes.set_xlim(0, len(days))
    _legend(axes)


def _legend(axes: Axes) -> None:
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
