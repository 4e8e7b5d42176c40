"""The mail of a lab's past, hour by hour: what customers asked for, and what became of it at each mailbox provider.

Demand grows day by day to what a fresh lab's six nodes are asked for. Less is sent by night and at weekends; warming
nodes carry their share as it grows.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from penguin_infra.lab.past import Past, PastNode

# What today's six nodes send by themselves: 720 an hour each.
_MESSAGES_AN_HOUR = 6 * 720
_FULL_AFTER_DAYS, _FIRST_SHARE = 58, 0.2
_DAY_FACTOR, _NIGHT_FACTOR = 1.3, 0.7
# Mild, so that the hours that today's decisions look at are like those to come.
_WEEKDAY_FACTORS = (1.02, 1.03, 1.03, 1.02, 1.0, 0.96, 0.94)
# Of a warmed node, as a fresh lab's policy has it; its allowance grows by two fifths a day until there.
_FULL_PER_HOUR = 1_300.0
_FIRST_PER_HOUR = 25.0
_GROWTH_A_DAY = 1.4

_HOUR = timedelta(hours=1)

_PROVIDERS: Mapping[str, float] = {"gmail": 0.5, "microsoft": 0.2, "yahoo": 0.1, "apple": 0.05, "other": 0.15}
# Of what was asked for; the rest is sent. Hard and soft bounces, policy rejections, expired.
_USUAL = (0.012, 0.006, 0.002, 0.003)
_IN_STORM = (0.32, 0.02, 0.006, 0.003)
_WHILE_LISTED = (0.012, 0.02, 0.06, 0.01)
_DEFERRED, _DEFERRED_WARMING, _DEFERRED_THROTTLED = 0.03, 0.09, 0.28


@dataclass(frozen=True, slots=True)
class PastHour:
    """What became of a node's mail to one mailbox provider, in one hour."""

    node: PastNode
    hour_at: datetime
    mailbox_provider: str
    sent: int
    hard_bounces: int
    soft_bounces: int
    policy_rejections: int
    expired: int
    deferrals: int


def past_hours(past: Past, *, seed: int = 0) -> Iterator[PastHour]:
    """Every hour of every node that sent in it, the oldest first; the same for the same past."""
    hour_at = past.began_at
    while hour_at < past.ended_at:
        source = random.Random(f"{seed} {hour_at.isoformat()}")
        part = min(1.0, (past.ended_at - hour_at) / _HOUR)
        asked = part * _asked(past, hour_at) * source.uniform(0.92, 1.08)
        carried = {node.label: _carries(node, hour_at) for node in past.nodes}
        weights = {label: most * _liking(label) for label, most in carried.items()}
        total = sum(weights.values())
        for node in past.nodes:
            if carried[node.label]:
                messages = min(asked * weights[node.label] / total, carried[node.label])
                yield from _by_provider(node, hour_at, messages, source)
        hour_at += _HOUR


def _asked(past: Past, hour_at: datetime) -> float:
    days = (hour_at - past.began_at) / timedelta(days=1)
    share = min(1.0, _FIRST_SHARE + (1 - _FIRST_SHARE) * days / _FULL_AFTER_DAYS)
    of_day = _DAY_FACTOR if 8 <= hour_at.astimezone(UTC).hour < 20 else _NIGHT_FACTOR
    return _MESSAGES_AN_HOUR * share * of_day * _WEEKDAY_FACTORS[hour_at.weekday()]


def _carries(node: PastNode, hour_at: datetime) -> float:
    """What a node can send in an hour, by the part of the hour that it serves; nothing where it began within it."""
    if node.idle_since is not None and hour_at >= node.idle_since:
        return 0
    span = next((span for span in node.sending if span.begin_at <= hour_at < span.end_at), None)
    if span is None or any(
        silence.begin_at < hour_at + _HOUR and silence.end_at > hour_at for silence in node.silences
    ):
        return 0
    days = (hour_at - node.sending[0].begin_at) / timedelta(days=1)
    by_day = _DAY_FACTOR if 8 <= hour_at.hour < 20 else _NIGHT_FACTOR
    full: float = min(_FULL_PER_HOUR, _FIRST_PER_HOUR * _GROWTH_A_DAY ** min(days, 30.0))
    return full * by_day * min(1.0, (span.end_at - hour_at) / _HOUR)


def _liking(label: str) -> float:
    """Customers are spread over nodes by chance: some have more than their share."""
    return random.Random(label).uniform(0.75, 1.25)


def _by_provider(node: PastNode, hour_at: datetime, messages: float, source: random.Random) -> Iterator[PastHour]:
    shares = _USUAL
    if any(storm.begin_at < hour_at + _HOUR and storm.end_at > hour_at for storm in node.storms):
        shares = _IN_STORM
    elif any(listing.listed_at <= hour_at + _HOUR and listing.delisted_at > hour_at for listing in node.listings):
        shares = _WHILE_LISTED
    warmed_at = node.event_at("warmed_up")
    is_warming = warmed_at is None or hour_at < warmed_at
    for provider, provider_share in _PROVIDERS.items():
        count = _whole(messages * provider_share, source)
        ended = [_whole(count * share * source.uniform(0.7, 1.3), source) for share in shares]
        deferred = _DEFERRED_WARMING if is_warming else _DEFERRED
        if node.is_throttled and provider == "microsoft":
            deferred = _DEFERRED_THROTTLED
        if count:
            hard, soft, rejected, expired = ended
            yield PastHour(
                node=node,
                hour_at=hour_at,
                mailbox_provider=provider,
                sent=max(0, count - sum(ended)),
                hard_bounces=hard,
                soft_bounces=soft,
                policy_rejections=rejected,
                expired=expired,
                deferrals=_whole(count * deferred * source.uniform(0.6, 1.4), source),
            )


def _whole(value: float, source: random.Random) -> int:
    """Rounded so that small numbers add up right in the long run."""
    return int(value + source.random())
