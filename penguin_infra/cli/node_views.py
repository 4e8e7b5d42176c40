"""How nodes are shown: the list with who may send and who is well, and all about one."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy import Connection

from penguin_infra.cli.output import AsJson, print_json, show, show_fields, told_in_words, transaction, wire
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations import decommission_node, provision_node
from penguin_infra.store import actions as ledger
from penguin_infra.store import (
    alerts,
    drains,
    health,
    listings,
    nodes,
    published_names,
    rejections,
    steps,
    verifications,
    warmup_progress,
    warmups,
)
from penguin_infra.store.health import NodeHealth
from penguin_infra.store.tables import AnyRow

Name = Annotated[str, typer.Argument(help="The node's label, address or id.")]


@told_in_words
def list_nodes(
    status: Annotated[list[NodeStatus] | None, typer.Option(help="Only these; may be repeated.")] = None,
    health_is: Annotated[Health | None, typer.Option("--health", help="Only these.")] = None,
    sending: Annotated[bool, typer.Option("--sending", help="Only those that may send now (the rotation).")] = False,
    as_json: AsJson = False,
) -> None:
    """List the nodes, whether each may send now, how much in this hour while it warms up, and how it is.

    Example: penguin-infra nodes list --status paused
    """
    fleet = wire()
    with transaction(fleet) as connection:
        may_send = {row.node_id: row for row in nodes.rotation(connection)}
        by_id = {one.node_id: one for one in health.node_health(connection)}
        found = nodes.list_nodes(connection, status or None)
    rows = [
        asdict(node) | _sending(may_send.get(node.node_id)) | _health(by_id.get(node.node_id))
        for node in found
        if not sending or node.node_id in may_send
    ]
    rows = [row for row in rows if health_is is None or row["health"] == health_is]
    shown = rows if as_json else [row | {"is_sending": "yes" if row["is_sending"] else "no"} for row in rows]
    columns = {
        "label": "label", "status": "status", "is_sending": "sends", "hour_left": "hour left", "health": "health",
        "ip_address": "address", "region": "region", "plan": "plan", "hold_reason": "held because",
        "updated_at": "since (UTC)",
    }  # fmt: skip
    show(shown, columns, as_json=as_json, empty="No such nodes. `penguin-infra nodes provision` asks for one.")


@told_in_words
def show_node(name: Name, as_json: AsJson = False) -> None:
    """Show all about one node: health, warm-up, alerts, listings, provisioning, actions and its whole history.

    Example: penguin-infra nodes show node-dallas-001
    """
    fleet = wire()
    with transaction(fleet) as connection:
        node = nodes.find_node(connection, name)
        is_sending = any(row.node_id == node.node_id for row in nodes.rotation(connection))
        drains_until = drains.drain_until(connection, node.node_id)
        warmup = _warmup(connection, node.node_id)
        known = next(iter(health.node_health(connection, node.node_id)), None)
        tables = {
            "alerts": [dict(row._mapping) for row in alerts.list_alerts(connection, node_id=node.node_id)],
            "listings": [asdict(each) for each in listings.open_listings(connection, node.node_id)],
            "steps": [
                dict(row._mapping) | {"took": _took(row, fleet.clock.now())}
                for row in steps.list_steps(connection, node.node_id, _STEPS)
            ],
            "verification": [dict(row._mapping) for row in verifications.list_findings(connection, node.node_id)],
            "rejections": [dict(row._mapping) for row in rejections.list_rejections(connection, node.node_id)],
            "records": [record._asdict() for record in published_names.live_records(connection, node.node_id)],
            "actions": [dict(row._mapping) for row in ledger.list_actions(connection, node_id=node.node_id)],
            "health_changes": [dict(row._mapping) for row in health.health_events(connection, node.node_id)],
            "transitions": [dict(row._mapping) for row in nodes.transitions(connection, node.node_id)],
        }
    facts = asdict(node) | {"is_sending": is_sending, "drains_until": drains_until} | _health(known) | warmup
    if as_json:
        print_json(facts | tables)
        return
    show_fields(facts)
    for finding in tables["verification"]:
        finding["is_ok"] = "yes" if finding["is_ok"] else "NO"
    for key, (title, columns) in _TABLES.items():
        show(tables[key], columns, as_json=False, empty="", title=title)


# As they are done in a node's life.
_STEPS = (*provision_node.STEPS, *decommission_node.STEPS)

_TABLES = {
    "alerts": ("Alerts", {"severity": "severity", "rule": "rule", "summary": "what", "opened_at": "since (UTC)"}),
    "listings": ("Listed", {"zone": "list", "severity": "severity", "codes": "codes", "confirmed_at": "since (UTC)",
                            "is_list_frozen": "list frozen"}),
    "steps": ("Steps", {"step": "step", "status": "status", "attempt": "attempt", "took": "took",
                        "progress": "waiting for", "error": "error", "started_at": "began", "finished_at": "ended",
                        "run_id": "run"}),
    "verification": ("Verification", {"check_name": "check", "is_ok": "well", "detail": "seen",
                                      "remedy": "to mend it", "found_at": "at (UTC)"}),
    "rejections": ("Addresses given back", {"ip_address": "address", "zone": "listed by", "codes": "codes",
                                            "rejected_at": "at (UTC)"}),
    "records": ("DNS", {"rdtype": "type", "name": "name", "value": "value"}),
    "actions": ("Actions", {"kind": "action", "status": "status", "reason": "why", "outcome": "outcome",
                            "requested_by": "by", "planned_at": "planned", "run_id": "run"}),
    "health_changes": ("Health", {"happened_at": "at (UTC)", "health": "became", "reason": "why"}),
    "transitions": ("History", {"happened_at": "at (UTC)", "from_status": "from", "to_status": "to", "reason": "why",
                                "requested_by": "by", "run_id": "run"}),
}  # fmt: skip


def _took(row: AnyRow, now: datetime) -> str:
    """How long a step took, or has taken so far."""
    return f"{((row.finished_at or now) - row.started_at).total_seconds():.0f} s"


def _health(known: NodeHealth | None) -> dict[str, object]:
    """A decommissioned node has none."""
    return {
        "health": known.health if known else None,
        "health_since": known.health_since if known else None,
        "health_reason": known.health_reason if known else None,
        "heard_at": known.received_at if known else None,
    }


def _sending(row: AnyRow | None) -> dict[str, object]:
    """A node's row of the rotation. No number: no limit, or not in it."""
    return {
        "is_sending": row is not None,
        "hour_left": row.hour_left if row else None,
        "day_left": row.day_left if row else None,
    }


def _warmup(connection: Connection, node_id: UUID) -> dict[str, object]:
    """Where a node stands in its warm-up, what it may still send, and why it is there; nothing of a warmed-up one."""
    allowed = warmups.read_allowance(connection, node_id)
    last = next(iter(warmup_progress.read_progress(connection, [node_id])), None)
    return {
        "warmup_stage": f"{last.stage} of {last.stages}" if last else None,
        "allowed_today": allowed.daily if allowed else None,
        "day_left": max(0, allowed.daily - allowed.sent_today) if allowed else None,
        "hour_left": max(0, allowed.hourly - allowed.sent_this_hour) if allowed else None,
        "full_capacity_on": last.expected_full_at if last else None,
        "warmup_decision": last.decision if last else None,
        "warmup_reasons": " ".join(last.reasons) if last else None,
    }
