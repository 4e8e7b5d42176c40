"""For any history of a list, its resolvers and their caches: no error makes or ends a listing, no echo makes one."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address

from hypothesis import example, given
from hypothesis import strategies as st

from penguin_infra.domain.list_health import PASSES_TO_LIFT, Fault, ListFault, ListHealth, judge_health
from penguin_infra.domain.listing import Answer, ListCodes, ListedCode, Observation, Severity, Verdict, classify
from penguin_infra.domain.listing_advance import ListingChange, advance
from penguin_infra.domain.listing_state import ListingState

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
SPAM = ListedCode(IPv4Address("127.0.0.2"), "spam", Severity.CRITICAL)
POLICY = ListedCode(IPv4Address("127.0.0.10"), "policy", Severity.POLICY)
CODES = ListCodes({code.code: code for code in (SPAM, POLICY)})

# What goes wrong beyond silence: error codes, parked domains, empty answers, codes that nobody knows.
BAD_ANSWERS = [
    (),
    ("127.255.255.254",),
    ("127.255.255.255",),
    ("91.195.240.117",),
    ("127.0.0.2", "127.0.0.1"),
    ("127.0.0.77",),
]


@dataclass(frozen=True)
class Step:
    """One sweep's look at one address through one resolver: the truth then, and what goes wrong."""

    gap_ms: int
    resolver: str
    listed: tuple[ListedCode, ...]
    ttl_seconds: int
    is_silent: bool = False
    bad: tuple[str, ...] | None = None
    fault: ListFault | None = None


@dataclass(frozen=True)
class Seen:
    """What a step left behind; `fetch` tells answers that were fetched from the list from a cache's echoes of them."""

    observation: Observation
    fetch: int
    is_counted: bool
    before: ListingState
    state: ListingState
    change: ListingChange


@dataclass
class Cache:
    """A resolver as unbound is one: whole seconds, an answer lives through the second in which it expires."""

    fetch: int = -1
    listed: tuple[ListedCode, ...] = ()
    expires: int = -1

    def ask(self, at_seconds: float, step: Step, number: int) -> tuple[tuple[ListedCode, ...], int]:
        now = int(at_seconds)
        if now > self.expires:
            self.fetch, self.listed, self.expires = number, step.listed, now + step.ttl_seconds
        return self.listed, self.expires - now


STEPS = st.lists(
    st.builds(
        Step,
        gap_ms=st.one_of(st.integers(0, 5_000), st.integers(0, 4_000_000)),
        resolver=st.sampled_from("ab"),
        listed=st.lists(st.sampled_from([SPAM, POLICY]), unique=True, max_size=2).map(tuple),
        ttl_seconds=st.one_of(st.integers(0, 3), st.integers(0, 3_600)),
        is_silent=st.booleans(),
        bad=st.one_of(st.none(), st.none(), st.sampled_from(BAD_ANSWERS)),
        fault=st.one_of(st.none(), st.none(), st.sampled_from(list(ListFault))),
    ),
    max_size=40,
)


@dataclass
class World:
    """A list through two caching resolvers, and what is made of it."""

    state: ListingState = field(default_factory=lambda: ListingState(since=START))
    caches: dict[str, Cache] = field(default_factory=lambda: {"a": Cache(), "b": Cache()})
    health: dict[str, ListHealth] = field(default_factory=dict)
    passes: dict[str, int] = field(default_factory=dict)

    def walk(self, steps: Sequence[Step]) -> list[Seen]:
        at, path = 0.0, []
        for number, step in enumerate(steps):
            at += step.gap_ms / 1000
            path.append(self._step(at, step, number))
        return path

    def _step(self, at: float, step: Step, number: int) -> Seen:
        now = START + timedelta(seconds=at)
        fault = Fault(step.fault, "as its test points showed") if step.fault else None
        looked = ListHealth("list.test", step.resolver, 4, now, fault)
        health = judge_health(self.health.get(step.resolver), looked)
        self._check_health(step.resolver, looked, health)
        self.health[step.resolver] = health
        listed, ttl = self.caches[step.resolver].ask(at, step, number)
        addresses = tuple(code.code for code in listed)
        answer = Answer(now, step.resolver, addresses, ttl, is_nxdomain=not addresses)
        if step.bad is not None:
            answer = Answer(now, step.resolver, tuple(map(IPv4Address, step.bad)), ttl)
        if step.is_silent:
            answer = Answer(now, step.resolver, error="no answer within 6 s")
        seen = classify(answer, CODES)
        before = self.state
        moved = advance(before, seen, is_list_healthy=health.is_healthy)
        self.state = moved.state
        is_counted = health.is_healthy and seen.verdict in {Verdict.LISTED, Verdict.CLEAN}
        return Seen(seen, self.caches[step.resolver].fetch, is_counted, before, moved.state, moved.change)

    def _check_health(self, resolver: str, looked: ListHealth, judged: ListHealth) -> None:
        """A quarantine ends with the second good look in a row, and never with the first."""
        earlier = self.health.get(resolver)
        self.passes[resolver] = self.passes.get(resolver, 0) + 1 if looked.is_healthy else 0
        if earlier is not None and not earlier.is_healthy:
            assert judged.is_healthy == (self.passes[resolver] >= PASSES_TO_LIFT)


@given(STEPS)
def test_no_error_and_no_answer_of_a_quarantined_list_ever_makes_changes_or_clears_anything(steps: list[Step]) -> None:
    for seen in World().walk(steps):
        if not seen.is_counted:
            was, now = seen.before, seen.state
            assert seen.change is ListingChange.NONE
            assert (was.codes, was.first_hit, was.clean_streak, was.since, was.answered_at) == (
                now.codes,
                now.first_hit,
                now.clean_streak,
                now.since,
                now.answered_at,
            )


@given(STEPS)
@example(
    [
        Step(900, "a", (SPAM,), 60),
        # Sixty seconds and a half later the resolver's clock shows the second in which its answer expires.
        Step(60_050, "a", (), 60),
    ]
)
def test_a_code_is_confirmed_by_two_fetches_never_by_one_nor_by_a_caches_echo(steps: list[Step]) -> None:
    path = World().walk(steps)
    for index, seen in enumerate(path):
        for code in set(seen.state.codes) - set(seen.before.codes):
            assert seen.is_counted
            assert code in seen.observation.codes
            assert any(
                past.is_counted and code in past.observation.codes and past.fetch != seen.fetch for past in path[:index]
            )


@given(STEPS)
def test_a_listing_ends_with_three_clean_answers_of_a_healthy_list_over_an_hour(steps: list[Step]) -> None:
    path = World().walk(steps)
    for index, seen in enumerate(path):
        for code in set(seen.before.codes) - set(seen.state.codes):
            without: list[datetime] = []
            for past in reversed([one for one in path[: index + 1] if one.is_counted]):
                if code in past.observation.codes:
                    break
                without.append(past.observation.answer.observed_at)
            assert len(without) >= 3
            assert without[0] - without[-1] >= timedelta(hours=1)


@given(STEPS, st.lists(st.integers(-4_000, 4_000), min_size=40, max_size=40))
def test_whatever_a_clock_does_one_observation_confirms_nothing(steps: list[Step], shifts: list[int]) -> None:
    state = ListingState(since=START)
    looks = 0
    for step, shift in zip(steps, shifts, strict=False):
        addresses = tuple(code.code for code in step.listed)
        at = START + timedelta(seconds=shift)
        seen = classify(Answer(at, step.resolver, addresses, step.ttl_seconds, is_nxdomain=not addresses), CODES)
        looks += SPAM in seen.codes
        state = advance(state, seen, is_list_healthy=step.fault is None).state
        assert SPAM not in state.codes or looks > 1
