"""`make bench`: measures against the budgets, beside a peer in the same run, and prints a table. It fails nobody."""

import os
import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penguin_infra_tests.benchmarks.detect_to_act import (
    MEDIAN_BUDGET_SECONDS,
    P95_BUDGET_SECONDS,
    measure_detect_to_act,
)
from penguin_infra_tests.benchmarks.load_time import BUDGET_SECONDS, measure_load_time


def main(
    listings: Annotated[int, typer.Option(min=5, help="How many listings are measured.")] = 20,
    only: Annotated[str | None, typer.Option(help="`load` or `detect`; by default both.")] = None,
) -> None:
    """Measure, a few minutes, and print each figure beside its budget and its peer."""
    console = Console(width=None if os.isatty(1) else 120)
    table = Table("what", "ours", "budget", "within", "peer", "ratio", title="Seconds; lower is better")
    with tempfile.TemporaryDirectory(prefix="penguin-bench-") as folder:
        directory = Path(folder)
        directory.chmod(0o711)  # PostgreSQL's own account passes through
        if only != "detect":
            console.print("loading the definitions ...")
            load = measure_load_time(directory / "no-home")
            _row(table, "definitions load beyond `import dagster`", load.ours, BUDGET_SECONDS,
                 "one empty asset", load.one_empty_asset)  # fmt: skip
        if only != "load":
            console.print(f"{listings} listings, twice: about {listings * 12 // 60 + 3} minutes ...")
            found = measure_detect_to_act(directory, listings=listings)
            ours, defaults = found["ours"], found["Dagster's defaults"]
            _row(table, "listing confirmed → pause done, median", ours.median, MEDIAN_BUDGET_SECONDS,
                 "Dagster's defaults", defaults.median)  # fmt: skip
            _row(table, "listing confirmed → pause done, p95", ours.p95, P95_BUDGET_SECONDS,
                 "Dagster's defaults", defaults.p95)  # fmt: skip
    console.print(table)


def _row(table: Table, what: str, ours: float, budget: float, peer: str, peers: float) -> None:
    table.add_row(
        what, f"{ours:.2f}", f"{budget:.2f}", "yes" if ours <= budget else "NO", f"{peer}: {peers:.2f}",
        f"{ours / peers:.2f}",
    )  # fmt: skip


typer.run(main)
