"""Hold the open alerts against the fleet's present facts, every rule that needs nothing but those, in one transaction.

Rules that judge with figures of their own (delivery rates, costs) are told by whoever makes the figures.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection, Engine

from penguin_infra.domain import listing_alerts, node_alerts
from penguin_infra.domain.alerts import Alert
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.policies import many_silent
from penguin_infra.operations.judge_health import read_health
from penguin_infra.operations.update_alerts import RESOLVED_BY_ITSELF
from penguin_infra.store import alert_facts
from penguin_infra.store.alerts import AlertChanges, lock_rule, save_alerts

# A request that failed is over: a day is long enough for somebody to read of it.
_FAILED_REQUESTS_SHOWN = timedelta(days=1)

RULES = tuple(
    sorted(
        [
            listing_alerts.LISTED,
            listing_alerts.LIST_FROZEN,
            listing_alerts.LIST_OVER_BUDGET,
            listing_alerts.LIST_QUARANTINED,
            listing_alerts.LIST_RESTING,
            listing_alerts.RESOLVER_BLOCKED,
            node_alerts.PAUSED,
            node_alerts.MAINTENANCE,
            node_alerts.PROVISION_FAILED,
            node_alerts.PROVISION_HANGS,
            many_silent.RULE,
            many_silent.OBSERVER_RULE,
            *(kind.value for kind in DriftKind),
        ]
    )
)


def refresh_alerts(
    engine: Engine, *, limits: SilenceLimits, now: datetime, run_id: str | None = None
) -> Mapping[str, AlertChanges]:
    """Open, change and resolve; returns the changes a rule."""
    with engine.begin() as connection:
        # All locks before the facts are read: what another process tells meanwhile is then among them.
        for rule in RULES:
            lock_rule(connection, rule)
        return {
            rule: save_alerts(connection, rule, found, now=now, run_id=run_id, resolution=RESOLVED_BY_ITSELF)
            for rule, found in sorted(find_alerts(connection, limits=limits, now=now).items())
        }


def find_alerts(connection: Connection, *, limits: SilenceLimits, now: datetime) -> dict[str, list[Alert]]:
    """What each rule finds now, rules that find nothing too: theirs are to be resolved."""
    held = alert_facts.held_nodes(connection)
    drifts = alert_facts.open_drifts(connection)
    ill = alert_facts.ill_lists(connection)
    health = read_health(connection, now=now)
    return {
        listing_alerts.LISTED: listing_alerts.listed(alert_facts.listed_addresses(connection)),
        listing_alerts.LIST_FROZEN: listing_alerts.list_frozen(alert_facts.frozen_lists(connection)),
        listing_alerts.LIST_OVER_BUDGET: listing_alerts.list_over_budget(alert_facts.refused_lists(connection)),
        listing_alerts.LIST_QUARANTINED: listing_alerts.list_quarantined(ill),
        listing_alerts.LIST_RESTING: listing_alerts.list_resting(alert_facts.resting_lists(connection)),
        listing_alerts.RESOLVER_BLOCKED: listing_alerts.resolver_blocked(ill),
        node_alerts.PAUSED: node_alerts.held(node_alerts.PAUSED, held),
        node_alerts.MAINTENANCE: node_alerts.held(node_alerts.MAINTENANCE, held),
        node_alerts.PROVISION_FAILED: node_alerts.provision_failed(
            alert_facts.failed_requests(connection, now - _FAILED_REQUESTS_SHOWN)
        ),
        node_alerts.PROVISION_HANGS: node_alerts.provision_hangs(alert_facts.open_requests(connection), now),
        **{kind.value: node_alerts.drifted(kind, drifts) for kind in DriftKind},
        many_silent.RULE: many_silent.many_silent(
            silent_count=health.silent_count, speaking_count=health.speaking_count, limits=limits
        ),
        many_silent.OBSERVER_RULE: many_silent.observer_lost(
            served_seconds=health.clock.served_seconds, ticked_at=health.clock.ticked_at, now=now
        ),
    }
