"""What a lab node says it delivered before it was born, so that the first look at a lab shows figures.

Told to the gateway as an agent tells it, in numbered batches: told twice, it counts once. Heartbeats have no past: the
gateway knows only when it heard one.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from penguin_infra.messages.telemetry import DeliveryBatch, DeliveryCount

HISTORY_HOURS = 48
# A node in warm-up sends little; a scenario's storm must show against it within minutes.
_MESSAGES_AN_HOUR = 200
_STREAM = "history"

_PROVIDER_SHARES = {"gmail": 0.5, "microsoft": 0.2, "yahoo": 0.1, "apple": 0.05, "other": 0.15}
_RESULT_SHARES = {
    "sent": 0.975,
    "hard_bounce": 0.012,
    "soft_bounce": 0.006,
    "policy_rejection": 0.002,
    "deferred": 0.03,
    "expired": 0.005,
}


def history_batches(node_id: str, *, now: datetime, seed: int) -> Iterator[DeliveryBatch]:
    """One batch an hour, the oldest first. The same node tells the same, hour by hour."""
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for hours_ago in range(HISTORY_HOURS, 0, -1):
        hour = this_hour - timedelta(hours=hours_ago)
        yield DeliveryBatch(
            node_id=node_id,
            stream=_STREAM,
            sequence=int(hour.timestamp()) // 3600,
            counts=tuple(_counts(hour, random.Random(seed + int(hour.timestamp())))),
        )


def _counts(hour: datetime, source: random.Random) -> Iterator[DeliveryCount]:
    # Less at night, as people send.
    volume = _MESSAGES_AN_HOUR * (1.3 if 8 <= hour.hour < 20 else 0.6) * source.uniform(0.8, 1.2)
    for provider, provider_share in _PROVIDER_SHARES.items():
        for result, result_share in _RESULT_SHARES.items():
            messages = round(volume * provider_share * result_share + source.random() - 0.5)
            if messages > 0:
                yield DeliveryCount(hour.isoformat(), provider, result, messages)
