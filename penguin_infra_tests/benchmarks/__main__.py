"""`make bench`: measures against the budgets, beside a peer in the same run, and prints a table. It fails nobody."""

import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.table import Table

from penguin_infra_tests.benchmarks import delivery_time
from penguin_infra_tests.benchmarks.detect_to_act import (
    MEDIAN_BUDGET_SECONDS,
    P95_BUDGET_SECONDS,
    measure_detect_to_act,
)
from penguin_infra_tests.benchmarks.load_time import BUDGET_SECONDS as LOAD_BUDGET_SECONDS
from penguin_infra_tests.benchmarks.load_time import measure_load_time
from penguin_infra_tests.benchmarks.tick_time import BUDGET_SECONDS as TICK_BUDGET_SECONDS
from penguin_infra_tests.benchmarks.tick_time import LARGE_FLEET, SMALL_FLEET, measure_tick_time


def main(
    listings: Annotated[int, typer.Option(min=5, help="How many listings are measured.")] = 20,
    only: Annotated[
        Literal["load", "tick", "delivery", "detect"] | None,
        typer.Option(help="`load`, `tick`, `delivery` or `detect`; by default all."),
    ] = None,
) -> None:
    """Measure, a few minutes, and print each figure beside its budget and its peer."""
    console = Console(width=None if os.isatty(1) else 120)
    table = Table("what", "ours", "budget", "within", "peer", "ratio", title="Seconds; lower is better")
    with tempfile.TemporaryDirectory(prefix="penguin-bench-") as folder:
        directory = Path(folder)
        directory.chmod(0o711)  # PostgreSQL's own account passes through
        if only in {None, "load"}:
            console.print("loading the definitions ...")
            load = measure_load_time(directory / "no-home")
            _row(table, "definitions load beyond `import dagster`", load.ours, LOAD_BUDGET_SECONDS,
                 "one empty asset", load.one_empty_asset)  # fmt: skip
        if only in {None, "tick"}:
            console.print("ticking in large and small fleets ...")
            large, small = (measure_tick_time(directory, node_count=count) for count in (LARGE_FLEET, SMALL_FLEET))
            _row(table, f"pause sensor's first tick, {LARGE_FLEET:,} nodes, a fifth listed", large.first,
                 TICK_BUDGET_SECONDS, f"{SMALL_FLEET} nodes", small.first)  # fmt: skip
            _row(table, f"its later ticks, {LARGE_FLEET:,} nodes, a fifth listed", large.later,
                 TICK_BUDGET_SECONDS, f"{SMALL_FLEET} nodes", small.later)  # fmt: skip
        if only in {None, "delivery"}:
            _delivery(console, table, directory)
        if only in {None, "detect"}:
            console.print(f"{listings} listings, twice: about {listings * 12 // 60 + 3} minutes ...")
            found = measure_detect_to_act(directory, listings=listings)
            ours, defaults = found["ours"], found["Dagster's defaults"]
            _row(table, "listing confirmed → pause done, median", ours.median, MEDIAN_BUDGET_SECONDS,
                 "Dagster's defaults", defaults.median)  # fmt: skip
            _row(table, "listing confirmed → pause done, p95", ours.p95, P95_BUDGET_SECONDS,
                 "Dagster's defaults", defaults.p95)  # fmt: skip
    console.print(table)


def _delivery(console: Console, table: Table, directory: Path) -> None:
    console.print("measuring delivery in large and small fleets; filling takes minutes ...")
    large, small = (
        delivery_time.measure_delivery_time(directory, node_count=count)
        for count in (delivery_time.LARGE_FLEET, delivery_time.SMALL_FLEET)
    )
    what = f"delivery measured, {delivery_time.LARGE_FLEET:,} nodes, {large.row_count:,} counts"
    peer = f"{delivery_time.SMALL_FLEET:,} nodes, {small.row_count:,} counts"
    _row(table, what, large.slowest, delivery_time.BUDGET_SECONDS, peer, small.slowest)


def _row(table: Table, what: str, ours: float, budget: float, peer: str, peers: float) -> None:
    table.add_row(
        what, f"{ours:.2f}", f"{budget:.2f}", "yes" if ours <= budget else "NO", f"{peer}: {peers:.2f}",
        f"{ours / peers:.2f}",
    )  # fmt: skip


typer.run(main)
