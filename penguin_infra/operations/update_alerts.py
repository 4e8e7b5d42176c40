"""Open, change and resolve a rule's alerts, so that those open are exactly those that the rule finds now.

Level-triggered like all rules: nothing must be told that a cause went away.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.domain.alerts import Alert
from penguin_infra.store.alerts import AlertChanges, save_alerts

RESOLVED_BY_ITSELF = "its cause is gone"


def update_alerts(
    engine: Engine, rule: str, alerts: Iterable[Alert], *, now: datetime, run_id: str | None = None
) -> AlertChanges:
    """Give all that a rule finds now; what it has open beyond that is resolved. Safe to repeat, and twice at once.

    Raises `ValueError` for an alert of another rule, which this one would resolve the next time.
    """
    found = list(alerts)
    if strangers := {alert.rule for alert in found} - {rule}:
        raise ValueError(f"alerts of {', '.join(sorted(strangers))} were given as those of {rule}")
    with engine.begin() as connection:
        return save_alerts(connection, rule, found, now=now, run_id=run_id, resolution=RESOLVED_BY_ITSELF)
