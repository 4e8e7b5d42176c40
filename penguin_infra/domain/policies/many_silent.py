"""When many nodes are silent at once, or nobody listens, a person is called: no node is at fault for that."""

from datetime import datetime

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.domain.heartbeat import SilenceLimits, are_many_silent, is_observer_alive

RULE = "many_silent"
OBSERVER_RULE = "observer_lost"


def many_silent(*, silent_count: int, speaking_count: int, limits: SilenceLimits) -> list[Alert]:
    """High while more than the share is silent together: recovery probes one node and leaves the others alone."""
    if not are_many_silent(silent_count=silent_count, speaking_count=speaking_count, limits=limits):
        return []
    return [
        Alert(
            RULE,
            "fleet",
            AlertSeverity.HIGH,
            f"{silent_count} of {speaking_count} nodes that spoke are silent together (more than "
            f"{limits.most_silent_share:.0%}): suspect the gateway, its network or the provider. One node is probed, "
            "the others are not touched",
            {"silent": silent_count, "speaking": speaking_count, "most_silent_share": limits.most_silent_share},
        )
    ]


def observer_lost(*, served_seconds: float, ticked_at: datetime, now: datetime) -> list[Alert]:
    """High while no gateway serves, once one ever did: health stays as it was last known, and grows old."""
    if served_seconds == 0 or is_observer_alive(ticked_at, now):
        return []
    return [
        Alert(
            OBSERVER_RULE,
            "gateway",
            AlertSeverity.HIGH,
            f"no gateway has served since {ticked_at:%Y-%m-%d %H:%M:%S} UTC: no node's health is known since then",
            {"ticked_at": ticked_at.isoformat()},
        )
    ]
