"""One sweep: each list's test points, its addresses through a resolver that sees it healthy, and hits once more.

How questions travel is `exchange.py`'s and `sockets.py`'s. States, pauses and records are made from the result
elsewhere; who is asked about, and how much of that a list's terms allow, is decided before.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.exchange import Finished, Lane, ServerExchange
from penguin_infra.dnsbl.list_health import find_fault, is_quota_error
from penguin_infra.dnsbl.questions import Address, Clock
from penguin_infra.dnsbl.resolvers import Resolver, ResolverError
from penguin_infra.dnsbl.route import Group, Route, routes_of
from penguin_infra.dnsbl.sockets import exchange
from penguin_infra.dnsbl.wire import Reply
from penguin_infra.domain.list_health import Fault, HealthKey, ListFault, ListHealth, judge_health
from penguin_infra.domain.listing import Answer, ListCodes, Observation, Verdict, classify

_TELL_EVERY = 100


@dataclass(frozen=True, slots=True)
class SweptObservation:
    """What one look found; `is_list_healthy` says whether it counts."""

    address: Address
    zone: str
    observation: Observation
    is_list_healthy: bool

    @property
    def verdict(self) -> Verdict:
        """What the look counts for: nothing, where the list is quarantined."""
        return self.observation.verdict if self.is_list_healthy else Verdict.ERROR


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """How far a sweep's looks at addresses have come."""

    done: int
    total: int
    elapsed_seconds: float

    @property
    def per_second(self) -> float:
        """Looks a second so far."""
        return self.done / self.elapsed_seconds if self.elapsed_seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """At this rate; None before there is one."""
        return (self.total - self.done) / self.per_second if self.per_second else None


Progress = Callable[[SweepProgress], None]

# What hears of each look: the route, the resolver, whom it is about, and what it showed.
Note = Callable[[Route, Resolver, Group, Observation], None]


@dataclass(frozen=True, slots=True)
class SweepResult:
    """All looks, oldest first for each address and list; how each list does; and what was spent.

    `asked`: questions sent a zone, whatever for, each try counted. `quota_hit`: zones that answered that they were
    asked too much; they were left alone from then on.
    """

    observations: tuple[SweptObservation, ...]
    health: tuple[ListHealth, ...]
    asked: Mapping[str, int] = field(default_factory=dict)
    quota_hit: frozenset[str] = frozenset()

    @property
    def quarantined(self) -> tuple[ListHealth, ...]:
        """The lists that are not believed, by resolver, with the reason."""
        return tuple(one for one in self.health if not one.is_healthy)


def sweep(
    askings: Sequence[Asking],
    resolvers: Sequence[Resolver],
    *,
    clock: Clock,
    health: Mapping[HealthKey, ListHealth] | None = None,
    on_progress: Progress | None = None,
    on_observation: Callable[[SweptObservation], None] | None = None,
) -> SweepResult:
    """Ask each list about its addresses, and say what each answer means.

    Never raises for a list or a resolver that fails: their looks are errors with the reason. IPv6 addresses are asked
    only of lists that hold them, once for each network where the list keeps networks. A hit is looked at again through
    the next healthy resolver, where there is one. `health`: how the lists did before; a quarantine needs two good
    looks at the test points to end. `on_observation` hears of each look as it comes; one at a list that turns out to
    have died meanwhile counts for less in the result.
    Errors: `ResolverError` without any resolver; what the callbacks raise.
    """
    if not resolvers:
        raise ResolverError("there is no resolver to ask: set PENGUIN_RESOLVERS to address:port")
    found = _Sweep(list(routes_of(askings)), resolvers, clock, on_progress, on_observation)
    return found.carry_out(health or {})


class _Sweep:
    """The phases of one sweep over its routes."""

    def __init__(
        self,
        routes: list[Route],
        resolvers: Sequence[Resolver],
        clock: Clock,
        on_progress: Progress | None,
        on_observation: Callable[[SweptObservation], None] | None,
    ) -> None:
        self._routes = routes
        self._resolvers = resolvers
        self._clock = clock
        self._on_progress = on_progress
        self._on_observation = on_observation
        self._began = time.monotonic()
        self._total = sum(len(route.groups) for route in routes)
        self._done = 0

    def carry_out(self, earlier: Mapping[HealthKey, ListHealth]) -> SweepResult:
        self._check([(route, resolver) for route in self._routes for resolver in self._resolvers], earlier)
        self._exchange([(route, route.healthy[0], route.groups) for route in self._routes if route.healthy], self._note)
        for route in self._routes:
            self._note_unasked(route)
        hit = [route for route in self._routes if route.hits and not route.is_over()]
        others = [(route, route.healthy[1], route.hits) for route in hit if len(route.healthy) > 1]
        self._exchange(others, self._note_again)
        # Again for those that found something: a list that died during the sweep must not be believed. This look may
        # condemn a list, and never adds to what lifts its quarantine.
        self._check([(route, resolver) for route in hit if not route.is_over() for resolver in route.healthy], {})
        return _result(self._routes)

    def _check(self, pairs: Sequence[tuple[Route, Resolver]], earlier: Mapping[HealthKey, ListHealth]) -> None:
        """Look at lists' test points, and note how they do."""
        looks: dict[tuple[Route, Resolver], dict[Address, Observation]] = {pair: {} for pair in pairs}

        def note(route: Route, resolver: Resolver, group: Group, seen: Observation) -> None:
            looks[route, resolver][group[0]] = seen
            route.ration.is_used_up |= is_quota_error(route.blacklist, seen)

        self._exchange([(route, resolver, route.test_groups) for route, resolver in pairs], note)
        for (route, resolver), seen in looks.items():
            zone, version = route.blacklist.zone, route.ip_version
            fault = _known_fault(route) or find_fault(route.blacklist, version, seen)
            now = ListHealth(zone, str(resolver), version, self._clock(), fault)
            route.health[resolver] = judge_health(earlier.get((zone, str(resolver), version)), now)

    def _note(self, route: Route, resolver: Resolver, group: Group, seen: Observation) -> None:
        self._note_again(route, resolver, group, seen)
        if seen.verdict is Verdict.LISTED:
            route.hits.append(group)
        self._progress()

    def _note_again(self, route: Route, _resolver: Resolver, group: Group, seen: Observation) -> None:
        route.note(group, seen)
        if self._on_observation is not None:
            self._tell(route, group, seen)

    def _note_unasked(self, route: Route) -> None:
        left = route.unasked
        if not left:
            return
        fault = route.fault or next((one.fault for one in route.health.values() if one.fault), None)
        reason = f"not asked, the list is quarantined: {fault.reason if fault else 'it is not healthy'}"
        answer = Answer(self._clock(), str(self._resolvers[0]), error=reason)
        seen = classify(answer, route.blacklist.list_codes)
        route.found += [(group, seen) for group in left]
        for group in left:
            self._tell(route, group, seen)
        self._progress(len(left))

    def _exchange(self, parts: Sequence[tuple[Route, Resolver, Sequence[Group]]], note: Note) -> None:
        lanes: dict[Lane, tuple[Route, ListCodes]] = {}
        exchanges: dict[Resolver, list[Lane]] = {}
        for route, resolver, groups in parts:
            with suppress(ValueError):
                lane = Lane(route.queries(groups), route.is_over, route.ration.pace)
                lanes[lane] = (route, route.blacklist.list_codes)
                exchanges.setdefault(resolver, []).append(lane)
        names = {resolver: str(resolver) for resolver in exchanges}
        clock = self._clock

        def on_finished(resolver: Resolver, finished: Finished) -> None:
            route, codes = lanes[finished.lane]
            answer = _answer(finished.reply, names[resolver], clock())
            note(route, resolver, finished.query.token, classify(answer, codes))

        try:
            exchange({resolver: ServerExchange(found) for resolver, found in exchanges.items()}, on_finished)
        finally:
            for lane, (route, _) in lanes.items():
                route.ration.asked += lane.sent

    def _tell(self, route: Route, group: Group, seen: Observation) -> None:
        if self._on_observation is None:
            return
        is_healthy = any(str(resolver) == seen.answer.resolver for resolver in route.healthy)
        for address in group:
            self._on_observation(SweptObservation(address, route.blacklist.zone, seen, is_healthy))

    def _progress(self, looks: int = 1) -> None:
        before, self._done = self._done, self._done + looks
        is_due = self._done == self._total or before // _TELL_EVERY != self._done // _TELL_EVERY
        if self._on_progress is not None and is_due:
            self._on_progress(SweepProgress(self._done, self._total, time.monotonic() - self._began))


def _result(routes: Sequence[Route]) -> SweepResult:
    health: list[ListHealth] = []
    observations: list[SweptObservation] = []
    for route in routes:
        fault, zone = route.fault, route.blacklist.zone
        judged = [replace(one, fault=fault, passes=0) if fault else one for one in route.health.values()]
        health += judged
        believed = {one.resolver for one in judged if one.is_healthy}
        observations += [
            SweptObservation(address, zone, seen, seen.answer.resolver in believed)
            for group, seen in route.found
            for address in group
        ]
    # Stable: looks at one address on one list stay oldest first.
    observations.sort(key=lambda one: (one.address.version, int(one.address), one.zone))
    rations = {route.blacklist.zone: route.ration for route in routes}
    return SweepResult(
        tuple(observations),
        tuple(health),
        {zone: ration.asked for zone, ration in rations.items()},
        frozenset(zone for zone, ration in rations.items() if ration.is_used_up),
    )


def _known_fault(route: Route) -> Fault | None:
    """What is wrong with a list whatever its test points show."""
    try:
        route.queries([])
    except ValueError as error:
        words = f"cannot be asked: {error}; is its key in PENGUIN_BLACKLIST_KEYS right?"
        return Fault(ListFault.SERVER_ERROR, words)
    return route.fault


def _answer(reply: Reply, resolver: str, observed_at: datetime) -> Answer:
    if reply.error is not None:
        return Answer(observed_at, resolver, error=f"{resolver} {reply.error}")
    return Answer(observed_at, resolver, reply.addresses, reply.ttl_seconds, reply.is_nxdomain)
