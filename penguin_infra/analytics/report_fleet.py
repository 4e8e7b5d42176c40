"""The report's sections of the fleet itself: at a glance, warm-ups, capacity.

What it did and what waits is `report_actions.py`'s, costs `report_money.py`'s, mail and addresses `report_mail.py`'s.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta

from penguin_infra.analytics.report_charts import bars, layout, line
from penguin_infra.analytics.report_parts import (
    NOT_KNOWN,
    NOT_THEN,
    Chart,
    Column,
    Figure,
    Figures,
    Note,
    Part,
    Section,
    Table,
    counted,
    messages,
    moment,
    number,
    on,
    percent,
    ratio,
    table_of,
)
from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.domain.forecast import Forecast, NoForecast
from penguin_infra.domain.node import NodeStatus
from penguin_infra.store.report_facts import FleetFacts, WarmupCohort

_MOST_ROWS = 25


def glance_section(
    facts: FleetFacts,
    day: date,
    *,
    delivered: dict[date, int],
    demand: float | None,
    costs: tuple[Figure, ...],
    is_now: bool,
) -> Section:
    """The fleet in a few numbers. `demand`: what is asked of it in a day now."""
    when = "now" if is_now else f"at the end of {on(day)}"
    living = {status: facts.nodes_by_status.get(status, 0) for status in NodeStatus}
    gone = living.pop(NodeStatus.DECOMMISSIONED)
    nodes = sum(living.values())
    by_severity = Counter(alert.severity for alert in facts.alerts)
    alerts = ", ".join(f"{by_severity[severity]} {severity}" for severity in AlertSeverity)
    statuses = ", ".join(f"{count:,} {status}" for status, count in living.items() if count) or "none"
    yesterday, of_days = delivered.get(day - timedelta(days=1)), sum(delivered.values()) if delivered else None
    present = _present(facts, demand) if is_now else ()
    figures = (
        Figure("Nodes", number(nodes), f"{statuses}; {gone:,} decommissioned before; {when}"),
        *present,
        Figure("Delivered the day before", messages(yesterday), on(day - timedelta(days=1))),
        Figure("Delivered in 30 days", messages(of_days), f"until {on(day)}{', that day so far' if is_now else ''}"),
        Figure("Alerts open", number(len(facts.alerts)), f"{alerts}; {when}"),
        *costs,
    )
    numbers: dict[str, int | float] = {
        "nodes": nodes,
        **{f"nodes_{status}": count for status, count in living.items()},
        **{f"alerts_{severity}": by_severity[severity] for severity in AlertSeverity},
        "delivered_30_days": of_days or 0,
    }
    if facts.in_rotation_now is not None:
        numbers["nodes_in_rotation"] = facts.in_rotation_now
    lead = "The whole fleet in a few numbers."
    parts: tuple[Part, ...] = (Figures(figures),)
    if is_now and not nodes and not gone:
        parts = (Note("The fleet has no node yet: `penguin-infra nodes request` asks for one."), *parts)
    return Section("glance", "Fleet at a glance", lead, parts, numbers)


def warmup_section(facts: FleetFacts, *, is_now: bool) -> Section:
    """Who warms up, by the day on which that began."""
    lead = "Nodes that are earning their reputation, together with those that began on the same day."
    if not is_now or not facts.cohorts_now:
        return Section("warmup", "Warm-up", lead, (Note("No node warms up now." if is_now else NOT_THEN),))
    cohorts = facts.cohorts_now
    daily, planned = sum(one.daily for one in cohorts), sum(one.planned_daily for one in cohorts)
    nodes, stuck = sum(one.nodes for one in cohorts), sum(one.stuck for one in cohorts)
    figures = (
        Figure("Warming nodes", number(nodes), "now"),
        Figure("Allowed a day", messages(daily), f"{percent(ratio(daily, planned))} of what the plan has for now"),
        Figure("Stuck", counted(stuck, "node"), "at one stage for too long, now"),
    )
    stuck_rows = [
        (one.label, f"{one.stage + 1} of {one.stages}", number(one.daily), number(one.planned_daily),
         " ".join(one.reasons))
        for one in facts.stuck_now
    ]  # fmt: skip
    stuck_columns = [
        Column("node", "name"),
        Column("stage", "name"),
        Column("allowed a day", "number"),
        Column("planned a day", "number"),
        Column("why"),
    ]
    parts = (
        Figures(figures),
        _cohort_chart(cohorts, daily, planned),
        table_of("Stuck nodes", stuck_columns, stuck_rows, empty="No node is stuck.", most=_MOST_ROWS),
    )
    numbers = {"nodes_warming_up": nodes, "nodes_stuck": stuck, "warmup_allowed_per_day": daily}
    return Section("warmup", "Warm-up", lead, parts, numbers)


def _cohort_chart(cohorts: Sequence[WarmupCohort], daily: int, planned: int) -> Chart:
    columns = (
        Column("began on", "name"),
        Column("nodes", "number"),
        Column("stage", "name"),
        Column("allowed a day", "number"),
        Column("planned a day", "number"),
        Column("at full strength a day", "number"),
        Column("delivered in 24 hours", "number"),
        Column("stuck", "number"),
        Column("full at the latest", "name"),
    )
    rows = tuple(
        (one.begun_on.isoformat(), number(one.nodes), _stages(one), number(one.daily), number(one.planned_daily),
         number(one.full_daily), number(one.delivered_last_day), number(one.stuck), moment(one.expected_full_at))
        for one in cohorts
    )  # fmt: skip
    return Chart(
        "cohorts",
        "Warm-up by cohort: allowed, and planned for now",
        f"{counted(len(cohorts), 'cohort')}: {messages(daily)} a day allowed, {messages(planned)} planned.",
        (
            bars({one.begun_on.isoformat(): one.daily for one in cohorts}, name="allowed", tone="1", unit="a day"),
            bars(
                {one.begun_on.isoformat(): one.planned_daily for one in cohorts}, name="planned", tone="2", unit="a day"
            ),
        ),
        layout(y="messages a day", x="began on", category=[one.begun_on.isoformat() for one in cohorts]),
        Table("Cohorts, messages summed over their nodes, now", columns, rows, ""),
        is_table_open=True,
    )


def _stages(cohort: WarmupCohort) -> str:
    low, high = cohort.lowest_stage + 1, cohort.highest_stage + 1
    return f"{low if low == high else f'{low} to {high}'} of {cohort.stages}"


def capacity_section(facts: FleetFacts, day: date, *, forecast: Forecast | NoForecast | None, is_now: bool) -> Section:
    """What is asked of the fleet, and what it can send."""
    lead = "Demand is what came to an end and what was turned away; capacity what the nodes in the rotation can send."
    if not facts.demand:
        return Section("capacity", "Capacity", lead, (Note(f"No demand was measured in the 30 days until {on(day)}."),))
    last, refused = facts.demand[-1], sum(one.refused for one in facts.demand)
    is_whole = not is_now or last.day < day
    figures = [
        Figure("Demand a day", messages(last.demand), f"{on(last.day)}, {'the whole day' if is_whole else 'so far'}"),
        Figure("Turned away", messages(refused), f"for want of allowance, 30 days until {on(day)}"),
    ]
    if (waiting := facts.capacity_now) and waiting.measured_at:
        figures.append(Figure("Waiting", messages(waiting.queue_depth), f"in queues, {moment(waiting.measured_at)}"))
    parts: list[Part] = [Figures(tuple(figures)), _demand_chart(facts, day, forecast)]
    if isinstance(forecast, NoForecast):
        parts.append(Note(f"The days ahead: {forecast}."))
    numbers = {"demand_last_day": last.demand, "turned_away_30_days": refused}
    return Section("capacity", "Capacity", lead, tuple(parts), numbers)


def _demand_chart(facts: FleetFacts, day: date, forecast: Forecast | NoForecast | None) -> Chart:
    # A day that is under way would be drawn as a fall.
    is_now = facts.capacity_now is not None
    demand = {one.day: float(one.demand) for one in facts.demand if not (is_now and one.day == day)}
    ahead: dict[date, float | None] = {}
    if isinstance(forecast, Forecast):
        # Its first day is the one that is under way.
        ahead = {day + timedelta(days=step): value for step, value in enumerate(forecast.values)}
    traces = [line(dict(demand), name="demand", tone="1", unit="messages")]
    if ahead:
        traces.append(line(ahead, name="forecast", tone="1", dash="dot", unit="messages"))
    if capacity := facts.capacity_now and facts.capacity_now.capacity_per_day:
        ends = dict.fromkeys((min([*demand, day]), max([*ahead, day])), float(capacity))
        traces.append(line(dict(ends), name="capacity now", tone="5", dash="dash", unit="messages"))
    rows = tuple((one.day.isoformat(), number(one.ended), number(one.refused)) for one in reversed(facts.demand))
    ahead_rows = tuple((f"{one.isoformat()} (forecast)", number(value), "") for one, value in reversed(ahead.items()))
    columns = (Column("day (UTC)", "name"), Column("ended", "number"), Column("turned away", "number"))
    return Chart(
        "demand",
        "Demand a day",
        " ".join(_demand_in_words(facts, forecast)),
        tuple(traces),
        layout(y="messages a day"),
        Table("Demand, messages a day", columns, ahead_rows + rows, ""),
    )


def _demand_in_words(facts: FleetFacts, forecast: Forecast | NoForecast | None) -> Iterator[str]:
    busiest = max(facts.demand, key=lambda one: one.demand)
    yield f"{counted(len(facts.demand), 'day')}; the busiest was {on(busiest.day)} with {messages(busiest.demand)}."
    if facts.capacity_now and facts.capacity_now.measured_at:
        yield f"The fleet can send {messages(facts.capacity_now.capacity_per_day)} a day now."
    if isinstance(forecast, Forecast):
        yield (
            f"Forecast: {messages(max(forecast.values))} on the busiest of the next {len(forecast.values)} days, "
            f"typical error {number(forecast.typical_error)}."
        )


def _present(facts: FleetFacts, demand: float | None) -> tuple[Figure, Figure]:
    """What nobody writes down for later."""
    rotation = Figure("In rotation", number(facts.in_rotation_now), "may send now")
    capacity = facts.capacity_now
    if capacity is None or capacity.measured_at is None or demand is None:
        return rotation, Figure("Capacity used", NOT_KNOWN, "not measured yet")
    # Not what its present nodes sent: those that left lately carried some of it.
    share = percent(ratio(demand, capacity.capacity_per_day))
    note = f"{messages(demand)} asked of {number(capacity.capacity_per_day)} in 24 hours"
    return rotation, Figure("Capacity used", share, f"{note}; {moment(capacity.measured_at)}")
