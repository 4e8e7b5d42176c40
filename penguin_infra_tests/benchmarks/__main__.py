"""`make bench`: measures against the budgets, beside a peer in the same run, and prints a table. It fails nobody."""

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penguin_infra_tests.benchmarks import (
    agent_budget,
    capacity_time,
    cost_time,
    delivery_time,
    detect_to_act,
    frame_rate,
    gateway_rate,
    health_time,
    load_time,
    reputation_time,
    scaling_time,
    tick_time,
    warmup_time,
)

# A stated budget is for ten minutes; three show the same and let the whole take a quarter of an hour.
_AGENT_SECONDS = 180.0
_LISTINGS = 20


@dataclass(frozen=True, slots=True)
class Row:
    """One figure beside its budget and its peer; lower is better unless it says otherwise."""

    what: str
    ours: float
    budget: float
    peer: str
    peers: float
    is_more_better: bool = False

    @property
    def is_within(self) -> bool:
        """Whether the budget is kept."""
        return self.ours >= self.budget if self.is_more_better else self.ours <= self.budget


def _load(directory: Path) -> Iterator[Row]:
    found = load_time.measure_load_time(directory / "no-home")
    yield Row("definitions load beyond `import dagster`, s", found.ours, load_time.BUDGET_SECONDS,
              "one empty asset", found.one_empty_asset)  # fmt: skip


def _tick(directory: Path) -> Iterator[Row]:
    sizes = (tick_time.LARGE_FLEET, tick_time.SMALL_FLEET)
    large, small = (tick_time.measure_tick_time(directory, node_count=count) for count in sizes)
    what, peer = f"pause sensor, {sizes[0]:,} nodes, a fifth listed", f"{sizes[1]} nodes"
    yield Row(f"{what}: first tick, s", large.first, tick_time.BUDGET_SECONDS, peer, small.first)
    yield Row(f"{what}: later ticks, s", large.later, tick_time.BUDGET_SECONDS, peer, small.later)


def _health(directory: Path) -> Iterator[Row]:
    sizes = (health_time.LARGE_FLEET, health_time.SMALL_FLEET)
    large, small = (health_time.measure_health_time(directory, node_count=count) for count in sizes)
    for what, budget, ours, peers in (
        ("health judged", health_time.RUN_BUDGET_SECONDS, large.judging, small.judging),
        ("alerts refreshed", health_time.RUN_BUDGET_SECONDS, large.alerts, small.alerts),
        ("recover sensor's tick", health_time.TICK_BUDGET_SECONDS, large.tick, small.tick),
    ):
        yield Row(f"{what}, {sizes[0]:,} nodes, s", ours, budget, f"{sizes[1]} nodes", peers)


def _delivery(directory: Path) -> Iterator[Row]:
    sizes = (delivery_time.LARGE_FLEET, delivery_time.SMALL_FLEET)
    large, small = (delivery_time.measure_delivery_time(directory, node_count=count) for count in sizes)
    what = f"delivery measured, {sizes[0]:,} nodes, {large.row_count:,} counts, s"
    peer = f"{sizes[1]:,} nodes, {small.row_count:,} counts"
    yield Row(what, large.slowest, delivery_time.BUDGET_SECONDS, peer, small.slowest)


def _capacity(directory: Path) -> Iterator[Row]:
    sizes = (capacity_time.LARGE_FLEET, capacity_time.SMALL_FLEET)
    large, small = (capacity_time.measure_capacity_time(directory, node_count=count) for count in sizes)
    for what, ours, peers in (
        ("a window closed", large.closing, small.closing),
        ("in between", large.between, small.between),
    ):
        told = f"capacity measured, {what}, {sizes[0]:,} nodes, s"
        yield Row(told, ours, capacity_time.BUDGET_SECONDS, f"{sizes[1]} nodes", peers)


def _warmup(directory: Path) -> Iterator[Row]:
    sizes = (warmup_time.LARGE_FLEET, warmup_time.SMALL_FLEET)
    large, small = (warmup_time.measure_warmup_time(directory, node_count=count) for count in sizes)
    for what, budget, ours, peers in (
        ("warm-ups measured, half of", warmup_time.MEASUREMENT_BUDGET_SECONDS, large.measurement, small.measurement),
        ("steps of warm-up wanted, half of", warmup_time.TICK_BUDGET_SECONDS, large.wanting, small.wanting),
        ("allowances read, all of", warmup_time.ALLOWANCES_BUDGET_SECONDS, large.allowances, small.allowances),
    ):
        yield Row(f"{what} {sizes[0]:,} nodes warming, s", ours, budget, f"{sizes[1]} nodes", peers)


def _scaling(directory: Path) -> Iterator[Row]:
    sizes = (scaling_time.LARGE_FLEET, scaling_time.SMALL_FLEET)
    large, small = (scaling_time.measure_scaling_time(directory, node_count=count) for count in sizes)
    peer, run, tick = f"{sizes[1]} nodes", scaling_time.RUN_BUDGET_SECONDS, scaling_time.TICK_BUDGET_SECONDS
    yield Row(f"warm-ups measured, {sizes[0]:,} nodes, s", large.warmups, run, peer, small.warmups)
    yield Row(f"capacity measured, {sizes[0]:,} nodes, s", large.capacity, run, peer, small.capacity)
    for kind, seconds in large.ticks.items():
        yield Row(f"{kind} sensor's tick, {sizes[0]:,} nodes, s", seconds, tick, peer, small.ticks[kind])


def _frames(directory: Path) -> Iterator[Row]:
    found = frame_rate.measure_frame_rate(directory)
    what = f"rows of a frame checked and written a minute ({frame_rate.ROWS:,})"
    yield Row(what, found.ours, frame_rate.BUDGET_ROWS_A_MINUTE, "pandas' to_sql", found.peers, is_more_better=True)


def _gateway(directory: Path) -> Iterator[Row]:
    found = gateway_rate.measure_gateway_rate(directory)
    ours, plain, peer = found.ours, found.plain, "a plain handler"
    yield Row("heartbeats committed a second", ours.per_second, gateway_rate.BUDGET_RATE, peer,
              plain.per_second, is_more_better=True)  # fmt: skip
    yield Row("heartbeats, p99, s", ours.p99, gateway_rate.BUDGET_P99_SECONDS, peer, plain.p99)


def _agent(directory: Path) -> Iterator[Row]:
    found = agent_budget.measure_agent_budget(directory / "agent", seconds=_AGENT_SECONDS)
    agent, sleeper = found.agent, found.sleeper
    yield Row("the agent's CPU, % of a core", agent.cpu_percent, agent_budget.CPU_BUDGET_PERCENT,
              "a sleeping process", sleeper.cpu_percent)  # fmt: skip
    yield Row("the agent's memory, MiB", agent.peak_mib, agent_budget.MEMORY_BUDGET_MIB,
              "a sleeping process", sleeper.peak_mib)  # fmt: skip


def _detect(directory: Path) -> Iterator[Row]:
    found = detect_to_act.measure_detect_to_act(directory, listings=_LISTINGS)
    ours, defaults = found["ours"], found["Dagster's defaults"]
    what, peer = "listing confirmed → pause done", "Dagster's defaults"
    yield Row(f"{what}, median, s", ours.median, detect_to_act.MEDIAN_BUDGET_SECONDS, peer, defaults.median)
    yield Row(f"{what}, p95, s", ours.p95, detect_to_act.P95_BUDGET_SECONDS, peer, defaults.p95)


def _reputation(directory: Path) -> Iterator[Row]:
    sizes = (reputation_time.LARGE_FLEET, reputation_time.SMALL_FLEET)
    large, small = (reputation_time.measure_reputation_time(directory, node_count=count) for count in sizes)
    scoring, day = reputation_time.SCORING_BUDGET_SECONDS, reputation_time.DAY_BUDGET_SECONDS
    for what, budget, ours, peers in (
        ("scored for the first time,", scoring, large.first, small.first),
        ("scored again,", scoring, large.later, small.later),
        ("a day of history of", day, large.history, small.history),
        ("a day of mailbox providers of", day, large.providers, small.providers),
        ("listings' costs in mail, of a twentieth of", day, large.impacts, small.impacts),
    ):
        yield Row(f"{what} {sizes[0]:,} nodes, s", ours, budget, f"{sizes[1]:,} nodes", peers)


def _costs(directory: Path) -> Iterator[Row]:
    sizes = (cost_time.LARGE_FLEET, cost_time.SMALL_DAY_FLEET)
    large, small = (cost_time.measure_cost_time(directory, node_count=count, days=1) for count in sizes)
    what = f"a day of costs, {sizes[0]:,} nodes, s"
    yield Row(what, large, cost_time.DAY_BUDGET_SECONDS, f"{sizes[1]} nodes", small)
    days, count = cost_time.YEAR_DAYS, cost_time.YEAR_FLEET
    year = cost_time.measure_cost_time(directory, node_count=count, days=days)
    peer = f"as many node-days of {sizes[0]:,} nodes"
    yield Row(f"{days} days of costs in one run, {count:,} nodes, s", year, cost_time.YEAR_BUDGET_SECONDS, peer,
              large * days * count / sizes[0])  # fmt: skip


BENCHMARKS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "load": _load,
    "tick": _tick,
    "health": _health,
    "gateway": _gateway,
    "detect": _detect,
    "agent": _agent,
    "delivery": _delivery,
    "scaling": _scaling,
    "capacity": _capacity,
    "warmup": _warmup,
    "costs": _costs,
    "reputation": _reputation,
    "frames": _frames,
}


def main(
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(BENCHMARKS)}; may be repeated; by default all.")
    ] = None,
) -> None:
    """Measure, about a quarter of an hour, and print each figure beside its budget and its peer."""
    if unknown := set(only or []) - BENCHMARKS.keys():
        raise typer.BadParameter(f"{', '.join(sorted(unknown))}: there are {', '.join(BENCHMARKS)}")
    console = Console(width=None if os.isatty(1) else 140)
    table = Table("what", "ours", "budget", "within", "peer", "ratio")
    for name in only or BENCHMARKS:
        console.print(f"{name} ...")
        with tempfile.TemporaryDirectory(prefix="penguin-bench-") as folder:
            directory = Path(folder)
            directory.chmod(0o711)  # PostgreSQL's own account passes through
            for row in BENCHMARKS[name](directory):
                _show(table, row)
    console.print(table)


def _show(table: Table, row: Row) -> None:
    bound = "at least" if row.is_more_better else "at most"
    ratio = f"{row.ours / row.peers:.2f}" if row.peers else "-"
    table.add_row(
        row.what, f"{row.ours:,.2f}", f"{bound} {row.budget:,.2f}", "yes" if row.is_within else "NO",
        f"{row.peer}: {row.peers:,.2f}", ratio,
    )  # fmt: skip


if __name__ == "__main__":
    typer.run(main)
