"""How the reputation of a lab's former nodes went: the fleet's own rules, applied to each day's mail and listings."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from penguin_infra.cli.lab_past_events import complaint_rows
from penguin_infra.domain.delivery import DeliveryFacts, total_of
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.reputation_evidence import Evidence, ListingFact
from penguin_infra.domain.reputation_score import VERSION, ReputationLimits, Standing, score_node
from penguin_infra.lab.past import Past, PastNode, Span
from penguin_infra.lab.past_mail import PastHour

_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_LOOKED_EVERY = 6 * _HOUR

_Hours = Mapping[datetime, DeliveryFacts]


def score_steps(past: Past, hours: Iterable[PastHour]) -> Iterator[dict[str, object]]:
    """Every change of a score, as the table of steps has it."""
    mail: dict[UUID, dict[datetime, list[DeliveryFacts]]] = defaultdict(lambda: defaultdict(list))
    for hour in hours:
        mail[hour.node.node_id][hour.hour_at].append(_facts(hour))
    for row in complaint_rows(past):
        hour_at = cast("datetime", row["arrived_at"]).replace(minute=0, second=0, microsecond=0)
        mail[cast("UUID", row["node_id"])][hour_at].append(DeliveryFacts(complaints=1))
    for node in past.nodes:
        yield from _steps_of(node, {hour_at: total_of(facts) for hour_at, facts in mail[node.node_id].items()})


def last_scores(steps: Iterable[Mapping[str, object]]) -> dict[UUID, int]:
    """Each node's last score."""
    return {cast("UUID", step["node_id"]): cast("int", step["score"]) for step in steps}


def _steps_of(node: PastNode, hours: _Hours) -> Iterator[dict[str, object]]:
    begun_at = node.event_at("admitted")
    standing: Standing | None = None
    for at in _looks(node, begun_at) if begun_at else ():
        scored = score_node(_evidence(node, hours, at), standing, at, ReputationLimits())
        if standing is None or standing.score != scored.score:
            yield {
                "node_id": node.node_id,
                "changed_at": at,
                "score": scored.score,
                "version": VERSION,
                "components": {component.value: points for component, points in scored.points.items()},
            }
        standing = scored.standing


def _looks(node: PastNode, begun_at: datetime) -> list[datetime]:
    """Every few hours, and as listings and silences begin."""
    count = (node.ended_at - begun_at) // _LOOKED_EVERY
    regular = [begun_at + number * _LOOKED_EVERY for number in range(count + 1)]
    begun = [listing.listed_at for listing in node.listings] + [silence.begin_at for silence in node.silences]
    return sorted({*regular, *(at for at in begun if begun_at < at < node.ended_at)})


def _evidence(node: PastNode, hours: _Hours, at: datetime) -> Evidence:
    warmed_at = node.event_at("warmed_up")
    begun_at = node.sending[0].begin_at
    length = (warmed_at or node.ended_at) - begun_at
    first_at = at.replace(minute=0, second=0, microsecond=0) - _DAY
    recent = [hours[hour_at] for back in range(24) if (hour_at := first_at + back * _HOUR) in hours]
    return Evidence(
        listings=tuple(
            ListingFact(listing.zone, Severity(listing.severity), listing.operator)
            for listing in node.listings
            if listing.listed_at <= at < listing.delisted_at
        ),
        delivery=total_of(recent),
        health=Health.UNHEALTHY if _is_within(node.silences, at) else Health.HEALTHY,
        proven_share=min(1.0, (at - begun_at) / length),
    )


def _is_within(spans: Iterable[Span], at: datetime) -> bool:
    return any(span.begin_at <= at < span.end_at for span in spans)


def _facts(hour: PastHour) -> DeliveryFacts:
    return DeliveryFacts(
        hour.sent, hour.hard_bounces, hour.soft_bounces, hour.policy_rejections, hour.expired, hour.deferrals
    )
