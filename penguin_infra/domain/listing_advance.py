"""How looks advance the state of an address on a list: two make a listing, a span of clean ones ends it.

Both hold for each code by itself: a list such as Spamhaus ZEN holds several lists in one zone, and a long-known
policy entry must not vouch for a critical code that was seen once. Errors change nothing. What an answer means is
`listing.py`'s.
"""

from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum

from penguin_infra.domain.listing import ListedCode, Observation, Verdict
from penguin_infra.domain.listing_limits import DEFAULT_LIMITS, ListingLimits
from penguin_infra.domain.listing_state import CleanStreak, FirstHit, ListingState

# Resolvers count whole seconds: an answer lives on through the second in which its TTL ends.
CACHES_SECOND = timedelta(seconds=1)


class ListingChange(StrEnum):
    """What one observation changed; everything but NONE is worth a record."""

    NONE = "none"
    SUSPECTED = "suspected"
    CONFIRMED = "confirmed"
    CLEARED_SUSPICION = "cleared_suspicion"
    DELISTED = "delisted"
    CHANGED_CODES = "changed_codes"


@dataclass(frozen=True, slots=True)
class Advance:
    """The state after an observation, and what that changed."""

    state: ListingState
    change: ListingChange


def advance(
    state: ListingState, observation: Observation, *, is_list_healthy: bool, limits: ListingLimits = DEFAULT_LIMITS
) -> Advance:
    """Advance a state by one observation; feed them oldest first.

    An observation older than the last that counted, or that one again, changes nothing: a repeated run is harmless.
    """
    answer = observation.answer
    if _is_stale(state, observation):
        return Advance(state, ListingChange.NONE)
    not_counted = _why_not_counted(observation, is_list_healthy=is_list_healthy)
    if not_counted is not None:
        return Advance(replace(state, last_error=not_counted, last_error_at=answer.observed_at), ListingChange.NONE)

    seen = {code.code: code for code in observation.codes}
    # The catalogue's present words, should it have changed its mind about a code.
    known = tuple(seen.get(code.code, code) for code in state.codes)
    first_hit, confirmed = _second_look(state.first_hit, _without(observation.codes, known), observation)
    streak, dropped = _clean_look(state.clean_streak, known, observation, limits)
    codes = _without(known, dropped) + confirmed
    change = _change(state, codes, first_hit)
    is_new_status = change is not ListingChange.NONE
    suspected_at = state.suspected_at if codes or first_hit else None
    if change is ListingChange.SUSPECTED:
        suspected_at = answer.observed_at
    return Advance(
        ListingState(
            since=answer.observed_at if is_new_status else state.since,
            codes=codes,
            first_hit=first_hit,
            suspected_at=suspected_at,
            clean_streak=streak,
            answered_at=answer.observed_at,
        ),
        change,
    )


def _why_not_counted(observation: Observation, *, is_list_healthy: bool) -> str | None:
    if observation.verdict in (Verdict.ERROR, Verdict.UNRECOGNISED):
        return observation.reason or observation.verdict.value
    if not is_list_healthy:
        return f"the list is quarantined: its answer ({observation.verdict}) does not count"
    return None


def _is_stale(state: ListingState, observation: Observation) -> bool:
    if state.answered_at is None:
        return False
    # Two resolvers may answer in the same instant; one resolver does not answer twice in one.
    if observation.answer.observed_at == state.answered_at and state.first_hit:
        return observation.answer.resolver == state.first_hit.resolver
    return observation.answer.observed_at <= state.answered_at


def _second_look(
    first: FirstHit | None, new: tuple[ListedCode, ...], observation: Observation
) -> tuple[FirstHit | None, tuple[ListedCode, ...]]:
    """Which unconfirmed codes still wait, and which this look confirms."""
    answer = observation.answer
    again = _within(new, first.codes) if first else ()
    if first and again:
        # Within the TTL the same resolver only repeats its cache: an echo, not a second witness.
        fresh_from = first.observed_at + timedelta(seconds=first.ttl_seconds) + CACHES_SECOND
        if answer.resolver == first.resolver and answer.observed_at < fresh_from:
            return replace(first, codes=again), ()
    waiting = _without(new, again)
    hit = FirstHit(waiting, answer.observed_at, answer.ttl_seconds, answer.resolver) if waiting else None
    return hit, again


def _clean_look(
    streak: CleanStreak | None, known: tuple[ListedCode, ...], observation: Observation, limits: ListingLimits
) -> tuple[CleanStreak | None, tuple[ListedCode, ...]]:
    """The streak of answers that lack confirmed codes, and the codes that it ends."""
    missing = _without(known, observation.codes)
    # A hit that shows none of the known codes says that the listing changed, not that it is over.
    if not missing or (observation.codes and missing == known):
        return None, ()
    at = observation.answer.observed_at
    still = _within(missing, streak.codes) if streak else ()
    if streak and still:
        streak = CleanStreak(still, streak.answers + 1, streak.since)
    if not streak or not still:
        streak = CleanStreak(missing, 1, at)
    is_long_enough = (at - streak.since).total_seconds() >= limits.clean_span_seconds
    if streak.answers >= limits.clean_answers_to_delist and is_long_enough:
        return None, streak.codes
    return streak, ()


def _change(state: ListingState, codes: tuple[ListedCode, ...], first_hit: FirstHit | None) -> ListingChange:
    was_listed, is_listed = bool(state.codes), bool(codes)
    if was_listed != is_listed:
        return ListingChange.CONFIRMED if is_listed else ListingChange.DELISTED
    if is_listed:
        is_same = {code.code for code in codes} == {code.code for code in state.codes}
        return ListingChange.NONE if is_same else ListingChange.CHANGED_CODES
    if state.first_hit is None:
        return ListingChange.SUSPECTED if first_hit else ListingChange.NONE
    return ListingChange.NONE if first_hit else ListingChange.CLEARED_SUSPICION


def _without(codes: tuple[ListedCode, ...], others: tuple[ListedCode, ...]) -> tuple[ListedCode, ...]:
    left_out = {code.code for code in others}
    return tuple(code for code in codes if code.code not in left_out)


def _within(codes: tuple[ListedCode, ...], others: tuple[ListedCode, ...]) -> tuple[ListedCode, ...]:
    wanted = {code.code for code in others}
    return tuple(code for code in codes if code.code in wanted)
