"""One sweep: each list's test points, its addresses through a resolver that sees it healthy, and hits once more.

How questions travel is `exchange.py`'s and `sockets.py`'s. States, pauses and records are made from the result
elsewhere; who is asked about, and how much of that a list's terms allow, is decided before.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv4Address, IPv6Network

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.exchange import Finished, Lane, Query, ServerExchange
from penguin_infra.dnsbl.list_health import find_fault, is_quota_error, test_points
from penguin_infra.dnsbl.questions import Address, Clock
from penguin_infra.dnsbl.resolvers import Resolver, ResolverError
from penguin_infra.dnsbl.sockets import exchange
from penguin_infra.dnsbl.wire import Reply
from penguin_infra.domain.list_health import Fault, ListFault, ListHealth, judge_health
from penguin_infra.domain.listing import Answer, Observation, Verdict, classify

# A list that fails more than every second question says nothing useful and is spared the rest of the sweep ...
BREAK_ABOVE_ERROR_SHARE = 0.5
# ... but one lost packet of three questions is no pattern yet.
BREAK_AFTER_QUESTIONS = 20

_TELL_EVERY = 100

# Zone, resolver as text, IP version.
HealthKey = tuple[str, str, int]


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


@dataclass(slots=True, eq=False)
class _Route:
    """One list by one address family: its addresses, the resolvers that see it healthy, and how the questions went."""

    blacklist: Blacklist
    ip_version: int
    groups: dict[Address, list[Address]]
    health: dict[Resolver, ListHealth] = field(default_factory=dict)
    asked: int = 0
    failed: int = 0
    is_over_quota: bool = False
    found: list[tuple[Address, Observation]] = field(default_factory=list)

    @property
    def healthy(self) -> list[Resolver]:
        return [resolver for resolver, health in self.health.items() if health.is_healthy]

    @property
    def is_broken(self) -> bool:
        return self.asked >= BREAK_AFTER_QUESTIONS and self.failed / self.asked > BREAK_ABOVE_ERROR_SHARE

    @property
    def is_over(self) -> bool:
        return self.is_over_quota or self.is_broken

    @property
    def fault(self) -> Fault | None:
        """Why the list is not believed, whatever its test points said."""
        if self.is_over_quota:
            return Fault(ListFault.QUOTA, "answered that it was asked too much: spared the rest of this sweep")
        if self.is_broken:
            words = f"{self.failed} of {self.asked} questions failed: spared the rest of this sweep"
            return Fault(ListFault.MOSTLY_ERRORS, words)
        return None

    def note(self, address: Address, seen: Observation) -> None:
        self.asked += 1
        self.failed += seen.verdict is Verdict.ERROR
        self.is_over_quota |= is_quota_error(seen)
        self.found.append((address, seen))


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
    sweeper = _Sweep(
        list(_routes(askings)), resolvers, clock, health or {}, on_progress=on_progress, on_observation=on_observation
    )
    return sweeper.carry_out()


class _Sweep:
    def __init__(
        self,
        routes: list[_Route],
        resolvers: Sequence[Resolver],
        clock: Clock,
        earlier: Mapping[HealthKey, ListHealth],
        *,
        on_progress: Progress | None,
        on_observation: Callable[[SweptObservation], None] | None,
    ) -> None:
        self._routes = routes
        self._resolvers = resolvers
        self._clock = clock
        self._earlier = earlier
        self._on_progress = on_progress
        self._on_observation = on_observation
        self._asked: Counter[str] = Counter()
        self._began = time.monotonic()
        self._total = sum(len(route.groups) for route in self._routes)
        self._done = 0

    def carry_out(self) -> SweepResult:
        self._check([(route, resolver) for route in self._routes for resolver in self._resolvers])
        self._look([(route, route.healthy[0], list(route.groups)) for route in self._routes if route.healthy])
        for route in self._routes:
            self._note_unasked(route)
        hit = [(route, listed) for route in self._routes if (listed := _listed(route))]
        self._look([(route, route.healthy[1], listed) for route, listed in hit if len(route.healthy) > 1])
        # Again for those that found something: a list that died during the sweep must not be believed.
        self._check([(route, resolver) for route, _ in hit for resolver in route.healthy])
        return self._result()

    def _check(self, pairs: Sequence[tuple[_Route, Resolver]]) -> None:
        """Look at lists' test points, and note how they do."""
        looks: dict[tuple[_Route, Resolver], dict[Address, Observation]] = {pair: {} for pair in pairs}

        def note(route: _Route, resolver: Resolver, address: Address, seen: Observation) -> None:
            looks[route, resolver][address] = seen

        self._exchange(
            [(route, at, [*points[0], *points[1]]) for route, at in pairs if (points := _points(route))],
            note,
            is_over=lambda _route: False,
        )
        for (route, resolver), seen in looks.items():
            zone, version = route.blacklist.zone, route.ip_version
            now = ListHealth(zone, str(resolver), version, self._clock(), find_fault(route.blacklist, version, seen))
            is_second = resolver in route.health
            # The look at a sweep's end may condemn a list, and never adds to what lifts its quarantine.
            earlier = None if is_second else self._earlier.get((zone, str(resolver), version))
            route.health[resolver] = judge_health(earlier, now)
            route.is_over_quota |= any(map(is_quota_error, seen.values()))

    def _look(self, parts: Sequence[tuple[_Route, Resolver, Sequence[Address]]]) -> None:
        self._exchange(parts, self._note_look, is_over=lambda route: route.is_over)

    def _note_look(self, route: _Route, _resolver: Resolver, address: Address, seen: Observation) -> None:
        for one in route.groups[address]:
            route.note(one, seen)
            self._tell(route, one, seen)
        self._progress()

    def _note_unasked(self, route: _Route) -> None:
        looked_at = {address for address, _ in route.found}
        left = [one for group in route.groups.values() for one in group if one not in looked_at]
        if not left:
            return
        fault = route.fault or next((one.fault for one in route.health.values() if one.fault), None)
        resolver = str(self._resolvers[0])
        reason = f"not asked, the list is quarantined: {fault.reason if fault else 'it is not healthy'}"
        seen = classify(Answer(self._clock(), resolver, error=reason), route.blacklist.list_codes)
        for address in left:
            route.found.append((address, seen))
            self._tell(route, address, seen)
        self._progress(len(left))

    def _exchange(
        self,
        parts: Sequence[tuple[_Route, Resolver, Sequence[Address]]],
        note: Callable[[_Route, Resolver, Address, Observation], None],
        *,
        is_over: Callable[[_Route], bool],
    ) -> None:
        lanes: dict[Resolver, list[Lane]] = {}
        routes: dict[int, _Route] = {}
        for route, resolver, addresses in parts:
            lane = Lane(
                _queries(route.blacklist, addresses),
                is_over=lambda route=route: is_over(route),  # type: ignore[misc]
                per_second=route.blacklist.max_questions_per_second,
            )
            lanes.setdefault(resolver, []).append(lane)
            routes[id(lane)] = route
        codes = {id(route): route.blacklist.list_codes for route in routes.values()}
        names = {resolver: str(resolver) for resolver in lanes}

        def on_finished(resolver: Resolver, finished: Finished) -> None:
            route = routes[id(finished.lane)]
            answer = _answer(finished.reply, names[resolver], self._clock())
            note(route, resolver, finished.query.token, classify(answer, codes[id(route)]))  # type: ignore[arg-type]

        try:
            exchange({resolver: ServerExchange(found) for resolver, found in lanes.items()}, on_finished)
        finally:
            for found in lanes.values():
                for lane in found:
                    self._asked[routes[id(lane)].blacklist.zone] += lane.sent

    def _tell(self, route: _Route, address: Address, seen: Observation) -> None:
        if self._on_observation is not None:
            believed = {str(resolver) for resolver in route.healthy}
            self._on_observation(
                SweptObservation(address, route.blacklist.zone, seen, seen.answer.resolver in believed)
            )

    def _progress(self, looks: int = 1) -> None:
        before, self._done = self._done, min(self._done + looks, self._total)
        is_due = self._done == self._total or before // _TELL_EVERY != self._done // _TELL_EVERY
        if self._on_progress is not None and is_due:
            self._on_progress(SweepProgress(self._done, self._total, time.monotonic() - self._began))

    def _result(self) -> SweepResult:
        health, observations = [], []
        for route in self._routes:
            fault = route.fault
            judged = [
                ListHealth(one.zone, one.resolver, one.ip_version, one.checked_at, fault) if fault else one
                for one in route.health.values()
            ]
            health += judged
            believed = {one.resolver for one in judged if one.is_healthy}
            observations += [
                SweptObservation(address, route.blacklist.zone, seen, seen.answer.resolver in believed)
                for address, seen in route.found
            ]
        # Stable: looks at one address on one list stay oldest first.
        observations.sort(key=lambda one: (one.address.version, int(one.address), one.zone))
        quota_hit = frozenset(route.blacklist.zone for route in self._routes if route.is_over_quota)
        return SweepResult(tuple(observations), tuple(health), dict(self._asked), quota_hit)


def _routes(askings: Sequence[Asking]) -> Iterator[_Route]:
    for asking in askings:
        for version in (4, 6):
            addresses = [address for address in asking.addresses if address.version == version]
            if addresses and (version == 4 or asking.blacklist.ipv6):
                yield _Route(asking.blacklist, version, _groups(asking.blacklist, addresses))


def _groups(blacklist: Blacklist, addresses: Iterable[Address]) -> dict[Address, list[Address]]:
    """The addresses to ask about, each with those that its answer is about."""
    groups: dict[object, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        is_single = isinstance(address, IPv4Address) or blacklist.ipv6_prefix == 128
        key = address if is_single else IPv6Network((address, blacklist.ipv6_prefix), strict=False)
        groups.setdefault(key, []).append(address)
    return {group[0]: group for group in groups.values()}


def _points(route: _Route) -> tuple[list[Address], list[Address]]:
    return test_points(route.blacklist, route.ip_version)


def _listed(route: _Route) -> list[Address]:
    return [address for address, seen in route.found if seen.verdict is Verdict.LISTED and address in route.groups]


def _queries(blacklist: Blacklist, addresses: Iterable[Address]) -> Iterator[Query]:
    zone = wire.zone_labels(blacklist.query_zone)
    for address in addresses:
        yield Query(address, wire.question(wire.reversed_labels(address) + zone))


def _answer(reply: Reply, resolver: str, observed_at: datetime) -> Answer:
    if reply.error is not None:
        return Answer(observed_at, resolver, error=f"{resolver} {reply.error}")
    addresses = tuple(sorted(map(IPv4Address, reply.addresses)))
    return Answer(observed_at, resolver, addresses, reply.ttl_seconds, is_nxdomain=reply.is_nxdomain)
