"""What counts as good and as bad mail in a warm-up: the bounds of each rate, and what a node's facts are by them.

Three answers: good enough to go on, proven trouble, and between them neither, which holds. What follows is
`warmup.py`'s; alerts and pauses have limits of their own in `delivery_limits.py`.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.reputation import Rate, wilson_interval

# One bounce or complaint is an event, no rate; of two, a good sender has his share by chance.
LONE_EVENT = 1
PROVING_EVENTS = 3


@dataclass(frozen=True, slots=True)
class RateBounds:
    """What one rate must show, as shares of 1.

    `target`: the observed rate stays below it. `ceiling`: the upper bound stays below it, where a stage's volume can
    show that. `trouble`: a lower bound above it proves trouble.
    """

    target: float
    ceiling: float
    trouble: float


@dataclass(frozen=True, slots=True)
class WarmupLimits:
    """The limits that an operator may change.

    `bounces`: others stop a warm-up above 3 %; Amazon SES puts a sender under review at 5 %.
    `complaints`: Gmail's "stay below 0.1 %, never reach 0.3 %": the observed rate does the first, its upper bound the
    second. To show 0.1 % by an upper bound takes 3,840 messages without any complaint, and a good sender at 0.05 %
    some 15,000: that would hold the middle of a curve for days.
    `policy_rejections`: no provider publishes one; as of bounces.
    `minimum_stage_hours`: the curves are by day. `delivered_share`: SparkPost's.
    `silent_days`: two large senders begin anew after 30. `stuck_days`: a stage is to take a day; ten need a person.
    `rest_hours`: what a step back changes shows in a day's mail, not before.
    `provider_minimum`: a provider's mail, or that of the others beside it, says something from so many messages on:
    the cautious curve's first stage.
    """

    bounces: RateBounds = RateBounds(target=0.03, ceiling=0.05, trouble=0.05)
    complaints: RateBounds = RateBounds(target=0.001, ceiling=0.003, trouble=0.001)
    policy_rejections: RateBounds = RateBounds(target=0.03, ceiling=0.05, trouble=0.05)
    minimum_stage_hours: float = 24.0
    delivered_share: float = 0.9
    silent_days: float = 30.0
    stuck_days: float = 10.0
    rest_hours: float = 24.0
    provider_minimum: int = 50


DEFAULT_WARMUP_LIMITS = WarmupLimits()


def find_trouble(facts: DeliveryFacts, limits: WarmupLimits) -> tuple[str, ...]:
    """What is proven to be bad, a sentence each.

    The lower bound with three events: Wilson's alone calls one complaint in 150 a rate above 0.1 %.
    """
    return tuple(
        f"The {name} rate is {rate}, proven above {bounds.trouble:.2%}."
        for name, rate, bounds in _rates(facts, limits)
        if rate.count >= PROVING_EVENTS and rate.lower > bounds.trouble
    )


def find_doubts(facts: DeliveryFacts, limits: WarmupLimits, *, volume: int) -> tuple[str, ...]:
    """What is not shown to be good, a sentence each.

    Where `volume` is too small for an upper bound below the ceiling even without any event, the observed rate decides,
    and a lone event is forgiven: on the first day of 50 messages a complaint would hold a node for a thousand.
    """
    if not facts.attempted:
        return ("Nothing was attempted, which shows nothing.",)
    doubts = []
    for name, rate, bounds in _rates(facts, limits):
        can_show = wilson_interval(0, max(volume, 0))[1] < bounds.ceiling
        if rate.point >= bounds.target and (can_show or rate.count > LONE_EVENT):
            doubts.append(f"The {name} rate is {rate}, not below {bounds.target:.2%}.")
        elif can_show and rate.upper >= bounds.ceiling:
            doubts.append(f"The {name} rate is {rate}, not shown to be below {bounds.ceiling:.2%}.")
    return tuple(doubts)


def _rates(facts: DeliveryFacts, limits: WarmupLimits) -> Iterator[tuple[str, Rate, RateBounds]]:
    yield "bounce", facts.bounce_rate, limits.bounces
    yield "complaint", facts.complaint_rate, limits.complaints
    yield "policy rejection", facts.policy_rejection_rate, limits.policy_rejections
