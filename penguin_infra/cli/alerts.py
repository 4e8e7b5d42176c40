"""`penguin-infra alerts`: what people must know of, as the rules found it last."""

from typing import Annotated

import typer

from penguin_infra.cli.output import AsJson, show, show_one, told_in_words, transaction, wire
from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.store import alerts as alert_store
from penguin_infra.store import nodes

app = typer.Typer(help="What people must know of: alerts open and close with their cause.", no_args_is_help=True)


@app.command("list")
@told_in_words
def list_alerts(
    severity: Annotated[AlertSeverity | None, typer.Option(help="Only these.")] = None,
    node: Annotated[str | None, typer.Option(help="Only this node's (label, address or id).")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Those that are resolved too.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many, open ones first, then the gravest.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the open alerts, the gravest first.

    Example: penguin-infra alerts list --severity high
    """
    fleet = wire()
    with transaction(fleet) as connection:
        node_id = nodes.find_node(connection, node).node_id if node else None
        found = alert_store.list_alerts(connection, severity=severity, node_id=node_id, with_resolved=all_, limit=limit)
    rows = [dict(row._mapping) | {"short_id": str(row.id)[:8]} for row in found]
    columns = {
        "short_id": "id", "severity": "severity", "rule": "rule", "subject": "subject", "summary": "what",
        "opened_at": "since (UTC)", "resolved_at": "resolved (UTC)",
    }  # fmt: skip
    if not all_:
        del columns["resolved_at"]
    show(rows, columns, as_json=as_json, empty="No alert is open." if not all_ else "There was no alert.")


@app.command("show")
@told_in_words
def show_alert(
    alert_id: Annotated[str, typer.Argument(help="The alert's id, or its beginning.")], as_json: AsJson = False
) -> None:
    """Show all of one alert: evidence, times, and the run that found it.

    Example: penguin-infra alerts show 1a2b3c4d
    """
    fleet = wire()
    with transaction(fleet) as connection:
        found = alert_store.find_alerts(connection, alert_id)
    show_one(found, alert_id, noun="alert", listed_by="penguin-infra alerts list --all", as_json=as_json)
