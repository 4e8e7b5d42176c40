"""What several looks at one address on one list add up to."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.listing import Answer, ListCodes, ListedCode, Observation, Severity, Verdict, classify
from penguin_infra.domain.listing_advance import ListingChange, advance
from penguin_infra.domain.listing_limits import ListingLimits, blast_limit
from penguin_infra.domain.listing_state import ListingState, ListingStatus

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
TTL = 60
SBL = ListedCode(IPv4Address("127.0.0.2"), "SBL", Severity.CRITICAL)
XBL = ListedCode(IPv4Address("127.0.0.4"), "XBL", Severity.CRITICAL)
PBL = ListedCode(IPv4Address("127.0.0.10"), "PBL", Severity.POLICY)
ZEN = ListCodes({code.code: code for code in (SBL, XBL, PBL)})
NEW = ListingState(since=START)


def look(seconds: float, *codes: ListedCode, resolver: str = "a", ttl: int = TTL) -> Observation:
    """A look `seconds` after the start that finds these codes, or none."""
    at = START + timedelta(seconds=seconds)
    addresses = tuple(code.code for code in codes)
    return classify(Answer(at, resolver, addresses, ttl, is_nxdomain=not codes), ZEN)


def failed_look(seconds: float, *addresses: str) -> Observation:
    at = START + timedelta(seconds=seconds)
    error = None if addresses else "no answer within 6 s"
    return classify(Answer(at, "a", tuple(map(IPv4Address, addresses)), TTL, error=error), ZEN)


def after(*looks: Observation, state: ListingState = NEW) -> tuple[ListingState, list[ListingChange]]:
    changes = []
    for one in looks:
        step = advance(state, one, is_list_healthy=True)
        state = step.state
        changes.append(step.change)
    return state, changes


LISTED, _ = after(look(0, SBL), look(61, SBL))
HOUR = 61 + 3600


def test_a_first_hit_makes_a_suspect_and_remembers_its_ttl_and_resolver() -> None:
    state, changes = after(look(5, SBL))
    assert (state.status, changes) == (ListingStatus.SUSPECT, [ListingChange.SUSPECTED])
    assert state.codes == ()
    assert state.first_hit is not None
    assert (state.first_hit.ttl_seconds, state.first_hit.resolver) == (TTL, "a")
    assert state.suspected_at == START + timedelta(seconds=5)


@pytest.mark.parametrize("seconds", [1, 59, 60])
def test_a_second_hit_within_the_ttl_confirms_nothing(seconds: int) -> None:
    state, changes = after(look(0, SBL), look(seconds, SBL))
    assert (state.status, changes[-1]) == (ListingStatus.SUSPECT, ListingChange.NONE)


def test_hits_within_the_ttl_do_not_put_the_confirmation_off() -> None:
    state, _ = after(*(look(seconds, SBL) for seconds in (0, 20, 40, 59, 61)))
    assert state.status is ListingStatus.LISTED


def test_a_second_hit_past_the_ttl_confirms() -> None:
    state, changes = after(look(0, SBL), look(61, SBL))
    assert (state.status, changes[-1]) == (ListingStatus.LISTED, ListingChange.CONFIRMED)
    assert (state.codes, state.severity) == ((SBL,), Severity.CRITICAL)
    assert state.since == START + timedelta(seconds=61)
    assert state.suspected_at == START


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_second_resolver_confirms_at_once(seconds: int) -> None:
    state, changes = after(look(0, SBL), look(seconds, SBL, resolver="b"))
    assert (state.status, changes[-1]) == (ListingStatus.LISTED, ListingChange.CONFIRMED)


def test_a_clean_answer_clears_a_suspicion() -> None:
    state, changes = after(look(0, SBL), look(61))
    assert (state.status, changes[-1]) == (ListingStatus.CLEAN, ListingChange.CLEARED_SUSPICION)
    assert (state.first_hit, state.suspected_at) == (None, None)


def test_a_suspicion_that_was_cleared_starts_anew() -> None:
    state, _ = after(look(0, SBL), look(61), look(122, SBL))
    assert state.status is ListingStatus.SUSPECT


def test_three_clean_answers_over_an_hour_delist() -> None:
    state, changes = after(look(61, SBL), look(62), look(1800), look(62 + 3600), state=LISTED)
    assert changes[-2:] == [ListingChange.NONE, ListingChange.DELISTED]
    assert (state.status, state.suspected_at) == (ListingStatus.CLEAN, None)


def test_two_clean_answers_over_an_hour_do_not_delist() -> None:
    state, _ = after(look(62), look(62 + 7200), state=LISTED)
    assert state.status is ListingStatus.LISTED


def test_many_clean_answers_within_the_hour_do_not_delist() -> None:
    state, _ = after(*(look(62 + 300 * count) for count in range(12)), state=LISTED)
    assert state.status is ListingStatus.LISTED


def test_a_hit_within_the_clean_streak_starts_it_anew() -> None:
    state, _ = after(look(62), look(1800), look(1900, SBL), look(2000), look(3700), state=LISTED)
    assert state.status is ListingStatus.LISTED
    state, _ = after(look(5600), state=state)
    assert state.status is ListingStatus.CLEAN


def test_an_operator_may_ask_for_more_clean_answers() -> None:
    limits = ListingLimits(clean_answers_to_delist=4, clean_span_seconds=60)
    state = LISTED
    for seconds in (62, 100, 140):
        state = advance(state, look(seconds), is_list_healthy=True, limits=limits).state
    assert state.status is ListingStatus.LISTED
    assert advance(state, look(180), is_list_healthy=True, limits=limits).change is ListingChange.DELISTED


@pytest.mark.parametrize("state", [NEW, after(look(0, SBL))[0], LISTED], ids=["clean", "suspect", "listed"])
@pytest.mark.parametrize("addresses", [(), ("127.0.0.77",), ("127.255.255.254",)])
def test_an_answer_that_says_nothing_keeps_the_state_and_notes_why(
    state: ListingState, addresses: tuple[str, ...]
) -> None:
    step = advance(state, failed_look(9000, *addresses), is_list_healthy=True)
    assert step.change is ListingChange.NONE
    assert (step.state.status, step.state.codes, step.state.since) == (state.status, state.codes, state.since)
    assert step.state.answered_at == state.answered_at
    assert step.state.last_error
    assert step.state.last_error_at == START + timedelta(seconds=9000)


@pytest.mark.parametrize("codes", [(SBL,), ()])
def test_an_answer_of_a_quarantined_list_does_not_count(codes: tuple[ListedCode, ...]) -> None:
    suspect, _ = after(look(0, SBL))
    step = advance(suspect, look(61, *codes), is_list_healthy=False)
    assert (step.change, step.state.status) == (ListingChange.NONE, ListingStatus.SUSPECT)
    assert "quarantined" in str(step.state.last_error)


def test_an_answer_that_counts_forgets_the_error() -> None:
    state, _ = after(failed_look(10), look(20))
    assert state.last_error is None


def test_the_same_observation_again_changes_nothing() -> None:
    clean = [look(62), look(62), look(62 + 3600), look(62 + 3600)]
    state, _ = after(*clean, state=LISTED)
    assert state.status is ListingStatus.LISTED


def test_a_late_observation_changes_nothing() -> None:
    state, changes = after(look(100), look(50, SBL), failed_look(60))
    assert (state.status, changes[1:]) == (ListingStatus.CLEAN, [ListingChange.NONE] * 2)
    assert state.last_error is None


def test_a_known_policy_code_does_not_vouch_for_a_critical_one() -> None:
    state, _ = after(look(0, PBL), look(61, PBL), look(200, PBL, SBL))
    assert state.codes == (PBL,)
    state, changes = after(look(261, PBL, SBL), state=state)
    assert (set(state.codes), changes) == ({PBL, SBL}, [ListingChange.CHANGED_CODES])


def test_two_hits_with_different_codes_confirm_neither() -> None:
    state, _ = after(look(0, PBL), look(61, SBL))
    assert state.status is ListingStatus.SUSPECT
    state, _ = after(look(122, SBL), state=state)
    assert state.codes == (SBL,)


def test_only_the_codes_of_both_looks_are_confirmed() -> None:
    state, _ = after(look(0, PBL), look(61, PBL, SBL))
    assert state.codes == (PBL,)
    assert state.first_hit is not None
    assert state.first_hit.codes == (SBL,)


def test_a_code_that_vanishes_beside_another_ends_as_slowly_as_a_listing() -> None:
    both, _ = after(look(0, SBL, PBL), look(61, SBL, PBL))
    state, _ = after(look(100, PBL), look(200, PBL), look(300, PBL), state=both)
    assert set(state.codes) == {SBL, PBL}
    state, changes = after(look(3700, PBL), state=state)
    assert (state.codes, changes) == ((PBL,), [ListingChange.CHANGED_CODES])


def test_a_clean_answer_after_answers_with_fewer_codes_is_only_the_first_clean_one() -> None:
    both, _ = after(look(0, SBL, PBL), look(61, SBL, PBL))
    state, _ = after(look(100, PBL), look(200, PBL), look(3700), state=both)
    assert state.codes == (PBL,)


def test_hits_with_other_codes_do_not_count_as_clean() -> None:
    others = [look(100, XBL, ttl=9000), look(200, XBL, ttl=9000)]
    state, _ = after(*others, look(3800), state=LISTED)
    assert state.codes == (SBL,)
    assert state.clean_streak is not None
    assert state.clean_streak.answers == 1


def test_a_code_whose_severity_the_catalogue_changed_takes_the_new_one() -> None:
    softer = ListedCode(SBL.code, "SBL", Severity.LOW)
    at = START + timedelta(seconds=100)
    seen = classify(Answer(at, "a", (SBL.code,), TTL), ListCodes({SBL.code: softer}))
    step = advance(LISTED, seen, is_list_healthy=True)
    assert (step.state.severity, step.change) == (Severity.LOW, ListingChange.NONE)


@pytest.mark.parametrize(
    ("fleet_size", "limit"), [(0, 3), (1, 3), (60, 3), (79, 3), (80, 4), (1_000, 50), (10_000, 500)]
)
def test_the_blast_limit_is_three_or_a_twentieth_of_the_fleet(fleet_size: int, limit: int) -> None:
    assert blast_limit(fleet_size) == limit


CODES = st.lists(st.sampled_from([SBL, XBL, PBL]), unique=True, max_size=3)
LOOKS = st.lists(
    st.tuples(st.integers(1, 2400), CODES, st.sampled_from("ab"), st.sampled_from(["answer", "error", "unhealthy"])),
    max_size=30,
)


def walk(looks: Sequence[tuple[int, list[ListedCode], str, str]]) -> list[tuple[ListingState, Observation, bool]]:
    """The states that a history of looks runs through: state after, the look, and whether it counted."""
    state, at, path = NEW, 0, []
    for gap, codes, resolver, kind in looks:
        at += gap
        seen = failed_look(at) if kind == "error" else look(at, *codes, resolver=resolver)
        state = advance(state, seen, is_list_healthy=kind != "unhealthy").state
        path.append((state, seen, kind == "answer"))
    return path


@given(LOOKS)
def test_no_error_and_no_quarantined_answer_ever_makes_or_ends_a_listing(
    looks: list[tuple[int, list[ListedCode], str, str]],
) -> None:
    before = NEW
    for state, _, counted in walk(looks):
        if not counted:
            assert (state.status, state.codes, state.first_hit, state.clean_streak) == (
                before.status,
                before.codes,
                before.first_hit,
                before.clean_streak,
            )
        before = state


@given(LOOKS)
def test_a_code_is_confirmed_only_by_two_looks_that_are_independent(
    looks: list[tuple[int, list[ListedCode], str, str]],
) -> None:
    path = walk(looks)
    before = NEW
    for index, (state, seen, _) in enumerate(path):
        for code in set(state.codes) - set(before.codes):
            earlier = [
                past.answer
                for _, past, counted in path[:index]
                if counted
                and code in past.codes
                and (
                    past.answer.resolver != seen.answer.resolver
                    or seen.answer.observed_at > past.answer.observed_at + timedelta(seconds=TTL)
                )
            ]
            assert code in seen.codes
            assert earlier
        before = state


@given(LOOKS)
def test_a_listing_ends_only_after_three_clean_answers_in_a_row_over_an_hour(
    looks: list[tuple[int, list[ListedCode], str, str]],
) -> None:
    path = walk(looks)
    before = NEW
    for index, (state, _, _) in enumerate(path):
        if before.codes and not state.codes:
            counted = [seen for _, seen, is_counted in path[: index + 1] if is_counted]
            clean: list[Observation] = []
            for seen in reversed(counted):
                if seen.verdict is not Verdict.CLEAN:
                    break
                clean.append(seen)
            assert len(clean) >= 3
            assert clean[0].answer.observed_at - clean[-1].answer.observed_at >= timedelta(hours=1)
        before = state


@given(LOOKS)
def test_a_suspect_and_a_listed_address_always_know_since_when(
    looks: list[tuple[int, list[ListedCode], str, str]],
) -> None:
    for state, _, _ in walk(looks):
        assert (state.suspected_at is None) == (state.status is ListingStatus.CLEAN)


@given(LOOKS)
def test_the_same_history_fed_twice_ends_in_the_same_state(
    looks: list[tuple[int, list[ListedCode], str, str]],
) -> None:
    path = walk(looks)
    state = path[-1][0] if path else NEW
    for _, seen, counted in path:
        state_again = advance(state, seen, is_list_healthy=counted).state
        assert (state_again.status, state_again.codes) == (state.status, state.codes)
