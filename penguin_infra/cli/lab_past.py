"""A fresh lab's past, told to its simulated provider and to the fleet's own memory, before anything runs.

What happened stands in `lab/past.py`; what it leaves in each table, in `lab_past_rows.py`. Everything of it is over:
nothing here may move what the fleet decides about its living nodes.
"""

from datetime import datetime
from pathlib import Path

from sqlalchemy import Connection, Table

from penguin_infra.cli import lab_past_events as events
from penguin_infra.cli import lab_past_rows as rows
from penguin_infra.cli.lab_past_scores import last_scores, score_steps
from penguin_infra.lab.hostwind_past import PastRefused
from penguin_infra.lab.hostwind_state import HostwindState
from penguin_infra.lab.past import Past
from penguin_infra.lab.past_fates import build_past
from penguin_infra.lab.past_mail import past_hours
from penguin_infra.store import demand, nodes
from penguin_infra.store.analytics_tables import instance_spells, reputation_steps
from penguin_infra.store.blacklist_tables import ip_blacklist_events
from penguin_infra.store.capacity_tables import delivery_hours, node_warmups, plan_prices
from penguin_infra.store.copied_rows import append_rows
from penguin_infra.store.installation_tables import address_rejections
from penguin_infra.store.tables import instance_drift, ip_tenures, node_actions, node_transitions, sending_nodes
from penguin_infra.store.telemetry_tables import alerts, complaints, node_health_events


def fill_past(connection: Connection, *, directory: Path, fleet_name: str, zone: str, now: datetime) -> Past:
    """Put the past before a lab's first node, in the caller's transaction. Errors: `PastRefused`.

    `directory`: where the simulated provider, which does not run yet, keeps its instances.
    """
    if nodes.list_nodes(connection):
        raise PastRefused("this registry has nodes already: a past comes before the first of them")
    with HostwindState(directory) as state:
        if state.all_instances():
            raise PastRefused("the simulated Hostwind has instances already: a past comes before the first of them")
        past = build_past(now)
        names = rows.Names(past, fleet_name=fleet_name, zone=zone)
        _fill_tables(connection, names)
        demand.count_hours(connection, now)
        # Last, and in its own file: what fails before leaves nothing there either.
        state.take_past(past, names.labels)
    return past


def _fill_tables(connection: Connection, names: rows.Names) -> None:
    past = names.past
    hours = list(past_hours(past))
    steps = list(score_steps(past, hours))
    tables: tuple[tuple[Table, rows.Rows], ...] = (
        (sending_nodes, rows.node_rows(names, last_scores(steps))),
        (ip_tenures, rows.tenure_rows(past)),
        (node_actions, rows.action_rows(past)),
        (node_transitions, rows.transition_rows(past)),
        (node_warmups, rows.warmup_rows(past)),
        (plan_prices, rows.price_rows(past)),
        (instance_spells, rows.spell_rows(names)),
        (delivery_hours, rows.hour_rows(hours)),
        (reputation_steps, iter(steps)),
        (complaints, events.complaint_rows(past)),
        (node_health_events, events.health_rows(past)),
        (ip_blacklist_events, events.listing_rows(past)),
        (address_rejections, events.rejection_rows(past)),
        (instance_drift, events.drift_rows(names)),
        (alerts, events.alert_rows(past)),
    )
    for table, filling in tables:
        append_rows(connection, table, filling)
