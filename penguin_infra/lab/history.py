"""What a lab node says it delivered before it was born, so that the first look at a lab shows figures.

And what it would have delivered besides, had its customers asked for more. Told to the gateway as an agent tells it, in
numbered batches: told twice, it counts once. Heartbeats have no past: the gateway knows only when it heard one.
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from penguin_infra.messages.telemetry import DeliveryBatch, DeliveryCount

HISTORY_HOURS = 48
# A sum of 24 hours, and the five hours back to which the present demand is measured.
DEMAND_HOURS = 30
# The nodes' usual rate, 12 a minute: 17,280 a day are 55 % of the 31,200 that the lab's policy lets a fresh node send.
# 60 % more are 27,648, which call for nodes and use up no hour's allowance, though more is sent by day than by night.
# A scenario's storm of 600 a minute, half of them bouncing, must show against that within minutes. The lab's policy
# pauses where bounces are surely above 4 %: of x mails, (207 usual bounces + x / 2) / (17,280 + x) has that lower bound
# from x = 1,170 on, two minutes of the storm. An hour lets a fresh node send up to 2,600 (twice its 24th part), the
# day's first hour half of that. The alert at 3 % takes 660.
_MESSAGES_AN_HOUR = 720
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
    return _batches(node_id, _STREAM, now=now, hours=HISTORY_HOURS, seed=seed, factor=1.0)


def demand_batches(
    node_id: str, *, now: datetime, seed: int, from_percent: int, to_percent: int
) -> Iterator[DeliveryBatch]:
    """What the last hours would have seen besides, had the usual demand been raised from the one to the other."""
    stream = f"demand-{from_percent}-{to_percent}"
    factor = max(0, to_percent - from_percent) / 100
    return _batches(node_id, stream, now=now, hours=DEMAND_HOURS, seed=seed, factor=factor)


def _batches(
    node_id: str, stream: str, *, now: datetime, hours: int, seed: int, factor: float
) -> Iterator[DeliveryBatch]:
    this_hour = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    for hours_ago in range(hours, 0, -1):
        hour = this_hour - timedelta(hours=hours_ago)
        yield DeliveryBatch(
            node_id=node_id,
            stream=stream,
            sequence=int(hour.timestamp()) // 3600,
            counts=tuple(_counts(hour, random.Random(seed + int(hour.timestamp())), factor)),
        )


def _counts(hour: datetime, source: random.Random, factor: float) -> Iterator[DeliveryCount]:
    # Less at night, as people send.
    volume = factor * _MESSAGES_AN_HOUR * (1.3 if 8 <= hour.hour < 20 else 0.7) * source.uniform(0.8, 1.2)
    for provider, provider_share in _PROVIDER_SHARES.items():
        for result, result_share in _RESULT_SHARES.items():
            messages = round(volume * provider_share * result_share + source.random() - 0.5)
            if messages > 0:
                yield DeliveryCount(hour.isoformat(), provider, result, messages)
