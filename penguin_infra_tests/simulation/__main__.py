"""`python -m penguin_infra_tests.simulation --seed 7 --chart FILE`: a year, its sums, its picture."""

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from penguin_infra_tests.simulation.weather import make_weather
from penguin_infra_tests.simulation.year import live


def main(
    seed: Annotated[int, typer.Option(help="Which year.")] = 7,
    chart: Annotated[Path | None, typer.Option(help="A file to draw it into: .svg or .png.")] = None,
) -> None:
    """Live through a simulated year and print its sums."""
    year = live(make_weather(seed))
    use = year.daily_use()
    last = year.hours[-1]
    print(f"seed {seed}: {len(use)} days, {sum(last.by_status.values())} nodes at the end, ${last.monthly_usd} a month")
    print(f"utilisation: {sum(use) / len(use):.0%} on average, {max(use):.0%} at most")
    print(
        f"requested: {sum(count for _, count, *_ in year.requests)} nodes, {len(year.failed_requests)} of them failed"
    )
    for kind, count in sorted(Counter(deed.kind.value for deed in year.deeds).items()):
        print(f"{kind}: {count}")
    for rule, count in sorted(year.refusals.items()):
        print(f"refused by {rule}: {count}")
    if chart is not None:
        from penguin_infra_tests.simulation.chart import draw  # noqa: PLC0415 - only a chart pays for it

        draw(year, chart)


if __name__ == "__main__":
    typer.run(main)
