"""`penguin-infra lab demand`: the lab's customers ask for more, and the fleet grows while somebody watches."""

import re
from typing import Annotated

import typer

from penguin_infra.cli.lab_nodes import ask_nodes
from penguin_infra.cli.output import console, stop, told_in_words
from penguin_infra.lab.customers import MOST_PERCENT

_MORE = re.compile(r"\+?(\d{1,4})%?")


@told_in_words
def demand(
    more: Annotated[str | None, typer.Argument(help="How much more than usual, such as +60%.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="As usual again.")] = False,
) -> None:
    """Let the lab's customers ask for more mail than usual, of all nodes in service together. It outlives a restart.

    What the last 30 hours would have been then is told too, once, so that the sums of 24 hours move at once. New nodes
    take their share of it and relieve the others. `--reset`: each node is asked for its usual rate again; the sums
    follow within a day.

    Example: penguin-infra lab demand +60%
    """
    if reset == (more is not None):
        stop("say how much more (`penguin-infra lab demand +60%`), or `--reset`")
    percent = 0 if more is None else _percent(more)
    told = ask_nodes("POST", "/demand", {"percent": percent})
    if reset:
        console.print(f"{told['nodes']} nodes are asked for their usual rate again; the sums follow within a day.")
        return
    console.print(
        f"{told['nodes']} nodes are asked for {percent} % more than usual, and the last {told['hours']} hours are told "
        "so. Within two minutes the capacity is measured anew; at 80 % of it the provision sensor asks for nodes: "
        "`penguin-infra plan` shows the sums, `penguin-infra nodes list` the nodes."
    )


def _percent(told: str) -> int:
    match = _MORE.fullmatch(told.strip())
    percent = int(match[1]) if match else 0
    if not 1 <= percent <= MOST_PERCENT:
        stop(f"{told!r}: give between +1% and +{MOST_PERCENT}%")
    return percent
