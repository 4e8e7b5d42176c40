"""A reputation score in words: what limits it, by which figures, and what would raise it. The sums are elsewhere."""

from collections.abc import Iterator, Mapping

from penguin_infra.domain.delivery_limits import FRESH_FOR
from penguin_infra.domain.heartbeat import Health
from penguin_infra.domain.reputation_evidence import (
    BEST,
    CAPS,
    WEIGHINGS,
    Component,
    Evidence,
    age_cap,
    listing_cap,
)
from penguin_infra.domain.reputation_score import ReputationLimits, ReputationScore, target_of

_NAMES: Mapping[Component, str] = {
    Component.BOUNCES: "hard bounces",
    Component.COMPLAINTS: "complaints",
    Component.POLICY_REJECTIONS: "rejections for its sake",
    Component.DEFERRALS: "deferrals",
}


def explain(scored: ReputationScore, evidence: Evidence, limits: ReputationLimits) -> str:
    """The score in a few sentences."""
    return " ".join(
        [*_limiting(scored, evidence), *_rising(scored, limits), *_unknown(evidence), *_raising(scored, evidence)]
    )


def _limiting(scored: ReputationScore, evidence: Evidence) -> Iterator[str]:
    if scored.target == BEST:
        yield "Nothing that is known counts against it."
        return
    component = _decisive(scored.points)
    if component is Component.LISTINGS:
        listed = ", ".join(
            f"{each.zone} ({each.severity})"
            for each in sorted(evidence.listings, key=lambda each: (each.cap, each.zone))
            if each.cap < BEST
        )
        yield f"Open listings allow {listing_cap(evidence.listings)} at most: {listed}."
    elif component is Component.AGE:
        yield (
            f"{evidence.proven_share:.0%} of its warm-up is behind it: an address that has proven no more has "
            f"{age_cap(evidence.proven_share)} at most."
        )
    else:
        yield f"Its evidence leaves {scored.target}: lost are {', '.join(_losses(scored, evidence))}."


def _losses(scored: ReputationScore, evidence: Evidence) -> Iterator[str]:
    for name, weighing in WEIGHINGS.items():
        if scored.points[name]:
            figures = f", {weighing.rate_of(evidence.delivery)}" if evidence.delivery else ", as last measured"
            yield f"{scored.points[name]} to {_NAMES[name]}{figures}"
    if scored.points[Component.HEALTH]:
        yield f"{scored.points[Component.HEALTH]} to its health, since it is unhealthy"


def _rising(scored: ReputationScore, limits: ReputationLimits) -> Iterator[str]:
    if scored.score < scored.target:
        yield f"It is at {scored.score}, and rises by {limits.points_a_day:g} points a day to {scored.target}."


def _unknown(evidence: Evidence) -> Iterator[str]:
    if evidence.delivery is None:
        minutes = FRESH_FOR.seconds // 60
        yield f"Its mail was not measured in the last {minutes} minutes: what was known before counts on."
    if evidence.health is Health.UNKNOWN:
        yield "Its health is not known, and counts nothing."
    if frozen := sorted(each.zone for each in evidence.listings if not each.is_believed):
        yield f"Listings by {', '.join(frozen)} count nothing while that list is frozen."


def _raising(scored: ReputationScore, evidence: Evidence) -> Iterator[str]:
    if scored.target == BEST:
        return
    component = _decisive(scored.points)
    then = target_of({**scored.points, **dict.fromkeys(_together(component), 0)})
    if component is Component.LISTINGS:
        yield f"What raises it: the end of the listing, to {then}."
    elif component is Component.AGE:
        yield f"What raises it: each stage of its warm-up, to {then} in the end."
    else:
        wanted = [
            f"{_NAMES[name]} below {weighing.harmless:.2%}"
            for name, weighing in WEIGHINGS.items()
            if scored.points[name]
        ]
        if evidence.health is Health.UNHEALTHY:
            wanted.append("heartbeats, and an MTA that runs")
        yield f"What raises it, to {then}: {'; '.join(wanted)}."


def _decisive(points: Mapping[Component, int]) -> Component:
    """The cap that decides, or any of those that are added up where it is them (HEALTH stands for them all)."""
    lost = sum(points[each] for each in _together(Component.HEALTH))
    caps = {cap: points[cap] for cap in CAPS}
    highest = max(caps, key=lambda cap: caps[cap])
    return highest if caps[highest] >= lost else Component.HEALTH


def _together(component: Component) -> tuple[Component, ...]:
    """Those that count as one: a cap by itself, the others added up."""
    return (component,) if component in CAPS else tuple(each for each in Component if each not in CAPS)
