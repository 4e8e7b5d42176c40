"""Charts as plotly takes them: plain data, so that drawing a report needs neither plotly nor frames in this process.

Colours are names (`meta.tone`): the page gives them the shades of its light and its dark look. Names from outside are
escaped, since plotly reads markup in them.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from html import escape
from typing import Any

Trace = dict[str, Any]

# Below it an axis of whole numbers has a line for each, and none between.
FEW = 10


def stacked_days(series: Mapping[str, Mapping[date, float]], tones: Mapping[str, str], *, unit: str) -> list[Trace]:
    """A bar a day, of one piece a name, in the names' order."""
    return [
        {
            "type": "bar",
            "name": escape(name),
            "x": [day.isoformat() for day in sorted(by_day)],
            "y": [by_day[day] for day in sorted(by_day)],
            "meta": {"tone": tones[name]},
            "hovertemplate": f"%{{x}}: %{{y:,.2f}} {unit}<extra>{escape(name)}</extra>",
        }
        for name, by_day in series.items()
    ]


def bars(values: Mapping[str, float], *, name: str, tone: str, unit: str, is_lying: bool = False) -> Trace:
    """A bar a name, standing, or lying where the names are long."""
    names, heights = [escape(one) for one in values], list(values.values())
    where = {"x": heights, "y": names, "orientation": "h"} if is_lying else {"x": names, "y": heights}
    value = "x" if is_lying else "y"
    return {
        "type": "bar",
        "name": escape(name),
        **where,
        "meta": {"tone": tone},
        "hovertemplate": f"%{{{'y' if is_lying else 'x'}}}: %{{{value}:,.0f}} {unit}<extra>{escape(name)}</extra>",
    }


def line(
    points: Mapping[date, float | None], *, name: str, tone: str, dash: str = "solid", shape: str = ",.0f", unit: str
) -> Trace:
    """A line over days, with a gap where nothing is known."""
    at = sorted(points)
    return {
        "type": "scatter",
        "mode": "lines",
        "name": escape(name),
        "x": [day.isoformat() for day in at],
        "y": [points[day] for day in at],
        "line": {"dash": dash, "width": 2},
        "meta": {"tone": tone},
        "hovertemplate": f"%{{x}}: %{{y:{shape}}} {unit}<extra>{escape(name)}</extra>",
    }


def layout(
    *,
    y: str,
    x: str = "",
    is_stacked: bool = False,
    is_share: bool = False,
    is_few: bool = False,
    category: Sequence[str] = (),
) -> dict[str, Any]:
    """Axes with their titles (units in them); the page does the rest. `is_few`: each count gets its line."""
    made: dict[str, Any] = {
        "xaxis": {"title": {"text": x}},
        "yaxis": {"title": {"text": y, "standoff": 12}, "rangemode": "tozero"},
        "barmode": "stack" if is_stacked else "group",
    }
    if is_few:
        made["yaxis"]["dtick"] = 1
    if is_share:
        made["yaxis"]["tickformat"] = ".1%"
    if category:
        made["xaxis"] |= {"type": "category", "categoryorder": "array", "categoryarray": list(category)}
    return made
