"""`penguin-infra plan`: what the fleet would do now, what it may not, and why. A dry run."""

from dataclasses import asdict

from rich.markup import escape
from sqlalchemy.exc import DBAPIError

from penguin_infra.cli.output import AsJson, console, print_json, show, told_in_words, wire
from penguin_infra.operations.preview_plan import FleetPreview, Outcome, preview_plan
from penguin_infra.store.database import explain


@told_in_words
def plan(as_json: AsJson = False) -> None:
    """Show what the fleet would do now, with its sums. Nothing is written, asked for or changed by this.

    Every rule is asked as the sensors ask it. `would do`: a sensor does it within seconds. `waits for approval`: decide
    by `penguin-infra actions approve` or `reject`. `refused by RULE`: a guardrail or a cap speaks against it.
    `left alone`: a deep queue that no larger plan would help. `planned`, `running`: the ledger has it.

    Example: penguin-infra plan
    """
    fleet = wire()
    try:
        preview = preview_plan(fleet.engine, fleet.wanted_limits, fleet.clock.now())
    except DBAPIError as error:
        raise explain(error, fleet.database_url) from None
    if as_json:
        print_json(_as_json(preview))
        return
    rows = [
        {"what": line.kind, "node": line.subject, "verdict": line.verdict, "why": line.why} for line in preview.lines
    ]
    columns = {"what": "what", "node": "node", "verdict": "verdict", "why": "why"}
    show(rows, columns, as_json=False, empty="Nothing is to be done, and nothing is open.")
    for said in preview.sums(growth_plan=fleet.policy.growth.plan):
        console.print(escape(said))
    if preview.counts[Outcome.WAITS]:
        console.print("`penguin-infra actions list --status proposed` names what waits; approve or reject it there.")


def _as_json(preview: FleetPreview) -> dict[str, object]:
    return {
        "made_at": preview.made_at,
        "frozen_by": preview.frozen_by,
        "counts": {outcome.value: count for outcome, count in preview.counts.items()},
        "lines": [asdict(line) | {"verdict": line.verdict} for line in preview.lines],
        "growth": asdict(preview.growth) if preview.growth else None,
        "shrink": asdict(preview.shrink) if preview.shrink else None,
    }
