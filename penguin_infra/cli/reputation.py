"""`penguin-infra reputation`: scores in words, how they came to be day by day, and how lists and providers take it."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from sqlalchemy import Connection

from penguin_infra.cli.day_spans import DaySpan, Month, Since, Until, day_span
from penguin_infra.cli.exports import AsCsv, AsJsonRows, OutFile, ParquetFile, export_of, export_table
from penguin_infra.cli.group_options import refuse_lost_options
from penguin_infra.cli.output import console, show, told_in_words, transaction, wire
from penguin_infra.domain.node import Node
from penguin_infra.store import nodes
from penguin_infra.store.analytics_tables import (
    listing_impacts,
    provider_reputation,
    reputation_history,
    reputation_scores,
)
from penguin_infra.store.analytics_views import days_to_delist
from penguin_infra.store.nodes import NodeNotFound
from penguin_infra.store.reputation_summaries import (
    Fates,
    ReputationDay,
    fleet_days,
    list_impacts,
    list_scores,
    list_sums,
    node_days,
    provider_sums,
)
from penguin_infra.wiring import Wiring

app = typer.Typer(invoke_without_command=True)

_NO_SCORES = (
    "No node has a score yet. The asset reputation_scores reckons it every 5 minutes while the fleet is up "
    "(`penguin-infra up`), of each node that holds an address."
)
_NO_DAYS = (
    "No reputation is summed up for {span}. The schedule report_days does it every hour while the fleet is up "
    "(`penguin-infra up`); days of the past are a back-fill of the asset {asset} in the UI."
)
_NO_LISTINGS = "No address was ever listed, or none is summed up yet: the schedule report_days does it every hour."

_RATES = {"bounced": "bounced", "rejected": "rejected by policy", "deferred": "deferred"}

NodeName = Annotated[
    str | None, typer.Argument(metavar="NODE", help="Only this one: its label, address or id. By default the fleet.")
]
Worst = Annotated[int, typer.Option("--top", min=1, help="How many rows people see at most, the worst ones.")]


@app.callback()
@told_in_words
def reputation(
    context: typer.Context,
    top: Worst = 50,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show each address's reputation as it is now, the worst first, with the points lost and what for.

    100 is spotless, 0 is burnt. A score falls at once and rises slowly; its target is what the evidence says already.

    --json, --csv and --parquet give the rows of analytics.reputation_scores in full.

    Example: penguin-infra reputation

    Example: penguin-infra reputation --csv --out scores.csv
    """
    if context.invoked_subcommand:
        refuse_lost_options(context)
        return
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    if export is not None:
        export_table(fleet, export, reputation_scores)
        return
    with transaction(fleet) as connection:
        rows = list_scores(connection)
    columns = {
        "label": "node", "ip_address": "address", "status": "status", "score": "score", "target": "target",
        "cap": "at most", "explanation": "why",
    }  # fmt: skip
    show(rows[:top], columns, as_json=False, empty=_NO_SCORES)
    if len(rows) > top:
        console.print(f"The worst {top} of {len(rows):,} are shown; --top shows more, --csv all.")


@app.command("history")
@told_in_words
def history(
    node: NodeName = None,
    since: Since = None,
    until: Until = None,
    month: Month = None,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show reputation and mail day by day: the fleet's, or a node's, whose address may have changed.

    --json, --csv and --parquet give the rows of analytics.reputation_history in full, a day and address a row.

    Example: penguin-infra reputation history

    Example: penguin-infra reputation history node-dallas-001 --since 2026-03-01

    Example: penguin-infra reputation history --month 2026-03 --parquet history.parquet
    """
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    span = day_span(since, until, month, today=fleet.clock.now().date())
    found = _find(fleet, node)
    if export is not None:
        export_table(fleet, export, reputation_history, span, node_id=found.node_id if found else None)
        return
    with transaction(fleet) as connection:
        days = _days(connection, found, span)
    rows = [
        {
            "day": one.day,
            "holder": one.holder,
            "score": "" if one.score is None else f"{one.score:.0f}",
            "lowest": one.score_lowest,
            "listed": one.listed or "",
            "complained": _percent(one.complaint_rate, places=3),
        }
        | _fates(one.fates)
        for one in days
    ]
    columns = {
        "day": "day", "holder": "address" if found else "addresses", "score": "score at its end", "lowest": "lowest",
        "listed": "listings" if found else "listed", "sent": "delivered", **_RATES, "complained": "complained of",
    }  # fmt: skip
    show(rows, columns, as_json=False, empty=_NO_DAYS.format(span=span, asset="reputation_history"))


@app.command("providers")
@told_in_words
def providers(
    node: NodeName = None,
    since: Since = None,
    until: Until = None,
    month: Month = None,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show how each mailbox provider takes the fleet's mail, or one node's: delivered, bounced, rejected, deferred.

    --json, --csv and --parquet give the rows of analytics.provider_reputation in full: a day, address and provider a
    row, and whether the day's mail is enough to judge by.

    Example: penguin-infra reputation providers

    Example: penguin-infra reputation providers node-dallas-001 --since 2026-03-01 --csv
    """
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    span = day_span(since, until, month, today=fleet.clock.now().date())
    found = _find(fleet, node)
    node_id = found.node_id if found else None
    if export is not None:
        export_table(fleet, export, provider_reputation, span, node_id=node_id)
        return
    with transaction(fleet) as connection:
        sums = provider_sums(connection, first_day=span.first, last_day=span.last, node_id=node_id)
    rows = [
        {"provider": one.mailbox_provider, "addresses": one.addresses, "judged": one.days_with_volume}
        | _fates(one.fates)
        for one in sums
    ]
    columns = {
        "provider": "provider", "addresses": "addresses", "sent": "delivered", **_RATES,
        "judged": "days of an address with enough mail",
    }  # fmt: skip
    empty = _NO_DAYS.format(span=span, asset="provider_reputation")
    show(rows, columns, as_json=False, empty=empty, title=f"{found.label if found else 'The fleet'}, {span}")


@app.command("lists")
@told_in_words
def lists(
    each: Annotated[bool, typer.Option("--each", help="Each listing in a row of its own.")] = False,
    as_json: AsJsonRows = False,
    as_csv: AsCsv = False,
    parquet: ParquetFile = None,
    out: OutFile = None,
) -> None:
    """Show how long each blacklist keeps an address, and how much mail was not sent on its account.

    --json, --csv and --parquet give the rows of analytics.days_to_delist in full; with --each, those of
    analytics.listing_impacts.

    Example: penguin-infra reputation lists

    Example: penguin-infra reputation lists --each --json
    """
    export = export_of(as_json, as_csv, parquet, out)
    fleet = wire()
    if export is not None:
        export_table(fleet, export, listing_impacts if each else days_to_delist)
        return
    with transaction(fleet) as connection:
        rows = list_impacts(connection) if each else list_sums(connection)
    shown = [row | {"lost": f"{row['lost_messages'] or 0:,}"} | _spans(row) for row in rows]
    show(shown, _EACH_COLUMNS if each else _LIST_COLUMNS, as_json=False, empty=_NO_LISTINGS)


_LIST_COLUMNS = {
    "blacklist_provider": "kept by", "zone": "list", "severity": "severity", "listings": "listings",
    "delisted": "over", "median_days": "days to delist (median)", "longest_days": "longest, days",
    "lost": "mail not sent",
}  # fmt: skip
_EACH_COLUMNS = {
    "listed_at": "listed (UTC)", "delisted_at": "gone (UTC)", "zone": "list", "severity": "severity",
    "ip_address": "address", "label": "node", "listed_days": "days", "lost": "mail not sent",
}  # fmt: skip


def _find(fleet: Wiring, name: str | None) -> Node | None:
    if name is None:
        return None
    with transaction(fleet) as connection:
        try:
            return nodes.find_node(connection, name)
        except NodeNotFound as error:
            raise typer.BadParameter(str(error), param_hint="NODE") from None


def _days(connection: Connection, node: Node | None, span: DaySpan) -> Sequence[ReputationDay]:
    if node is None:
        return fleet_days(connection, first_day=span.first, last_day=span.last)
    return node_days(connection, node.node_id, first_day=span.first, last_day=span.last)


def _fates(fates: Fates) -> dict[str, str]:
    return {
        "sent": f"{fates.sent:,}",
        "bounced": _percent(fates.bounce_rate),
        "rejected": _percent(fates.policy_rejection_rate),
        "deferred": _percent(fates.deferral_rate),
    }


def _spans(row: Mapping[str, Any]) -> dict[str, str]:
    """Its spans of time in days."""
    days = {name: row.get(name) for name in ("median_days", "longest_days")}
    if "listed_hours" in row:
        days["listed_days"] = row["listed_hours"] / 24
    return {name: "" if value is None else f"{value:,.1f}" for name, value in days.items()}


def _percent(share: float | None, *, places: int = 2) -> str:
    return "" if share is None else f"{100 * share:.{places}f} %"
