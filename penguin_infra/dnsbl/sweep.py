"""One sweep: every address asked of every list through a resolver that sees the list healthy.

Plain and correct, a socket a question. States, pauses and records are made from its result elsewhere; budgets and
keyed lists are not its business.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from penguin_infra.dnsbl.catalogue import Blacklist
from penguin_infra.dnsbl.list_health import ListHealth, find_fault
from penguin_infra.dnsbl.questions import Address, Clock, ask
from penguin_infra.dnsbl.resolvers import Resolver, ResolverError
from penguin_infra.domain.listing import Answer, Observation, Verdict, classify

# Questions in flight. A server's receive buffer overflows at some 150 (measured with rbldnsd); half of that is safe.
CONCURRENCY = 64

# A list that fails more than every second question says nothing useful and is spared the rest of the sweep ...
BREAK_ABOVE_ERROR_SHARE = 0.5
# ... but one lost packet of three questions is no pattern yet.
BREAK_AFTER_QUESTIONS = 20

# Called with the questions answered so far and the sweep's total.
Progress = Callable[[int, int], None]


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
class SweepResult:
    """All looks, oldest first for each address and list, and how each list does through each resolver."""

    observations: tuple[SweptObservation, ...]
    health: tuple[ListHealth, ...]

    @property
    def quarantined(self) -> tuple[ListHealth, ...]:
        """The lists that are not believed, by resolver, with the reason."""
        return tuple(one for one in self.health if not one.is_healthy)


@dataclass(slots=True)
class _Route:
    """One list by one address family: the resolvers that see it healthy, and how the questions went."""

    blacklist: Blacklist
    ip_version: int
    health: dict[Resolver, ListHealth]
    asked: int = 0
    failed: int = 0
    found: list[tuple[Address, Observation]] = field(default_factory=list)

    @property
    def healthy(self) -> list[Resolver]:
        return [resolver for resolver, health in self.health.items() if health.is_healthy]

    @property
    def is_broken(self) -> bool:
        return self.asked >= BREAK_AFTER_QUESTIONS and self.failed / self.asked > BREAK_ABOVE_ERROR_SHARE

    @property
    def why_quarantined(self) -> str | None:
        if self.is_broken:
            return f"{self.failed} of {self.asked} questions failed: spared the rest of this sweep"
        return None if self.healthy else "; ".join(dict.fromkeys(str(one.reason) for one in self.health.values()))


def sweep(
    addresses: Sequence[Address],
    lists: Sequence[Blacklist],
    resolvers: Sequence[Resolver],
    *,
    clock: Clock,
    on_progress: Progress | None = None,
) -> SweepResult:
    """Ask each list about each address, and say what each answer means.

    Never raises for a list or a resolver that fails: their looks are errors with the reason. IPv6 addresses are asked
    only of lists that hold them. A hit is looked at again through the next healthy resolver, where there is one.
    Errors: `ResolverError` without any resolver.
    """
    return asyncio.run(sweep_async(addresses, lists, resolvers, clock=clock, on_progress=on_progress))


async def sweep_async(
    addresses: Sequence[Address],
    lists: Sequence[Blacklist],
    resolvers: Sequence[Resolver],
    *,
    clock: Clock,
    on_progress: Progress | None = None,
) -> SweepResult:
    """The same inside a running event loop."""
    if not resolvers:
        raise ResolverError("there is no resolver to ask: set PENGUIN_RESOLVERS to address:port")
    sweeper = _Sweeper(clock, on_progress)
    routes = [
        _Route(blacklist, version, {})
        for version in sorted({address.version for address in addresses})
        for blacklist in lists
        if version == 4 or blacklist.ipv6
    ]
    await asyncio.gather(*(sweeper.check(route, resolver) for route in routes for resolver in resolvers))
    questions = [(address, route) for address in addresses for route in routes if route.ip_version == address.version]
    await sweeper.ask_all(questions)
    # Again for those that found something: a list that died during the sweep must not be believed.
    hit = [route for route in routes if any(seen.verdict is Verdict.LISTED for _, seen in route.found)]
    await asyncio.gather(*(sweeper.check(route, resolver) for route in hit for resolver in route.healthy))
    return _result(routes)


class _Sweeper:
    """The questions in flight, and the progress through them."""

    def __init__(self, clock: Clock, on_progress: Progress | None) -> None:
        self._clock = clock
        self._on_progress = on_progress
        self._done = 0
        self._in_flight = asyncio.Semaphore(CONCURRENCY)

    async def check(self, route: _Route, resolver: Resolver) -> None:
        """Look at a list's test points through a resolver, and note how it does."""

        async def look(point: Address) -> Observation:
            return await self._look(point, route.blacklist, resolver)

        fault = await find_fault(route.blacklist, route.ip_version, look)
        zone = route.blacklist.zone
        route.health[resolver] = ListHealth(zone, str(resolver), route.ip_version, self._clock(), fault)

    async def ask_all(self, questions: Sequence[tuple[Address, _Route]]) -> None:
        """Ask all questions; a fixed crew of workers takes them from one queue."""
        queue = iter(questions)
        async with asyncio.TaskGroup() as crew:
            for _ in range(min(CONCURRENCY, len(questions))):
                crew.create_task(self._work(queue, len(questions)))

    async def _work(self, queue: Iterator[tuple[Address, _Route]], total: int) -> None:
        for address, route in queue:
            await self._ask(address, route)
            self._done += 1
            if self._on_progress:
                self._on_progress(self._done, total)

    async def _ask(self, address: Address, route: _Route) -> None:
        if route.why_quarantined is not None:
            resolver = next(iter(route.health))
            reason = f"not asked, the list is quarantined: {route.why_quarantined}"
            unasked = Answer(self._clock(), str(resolver), error=reason)
            route.found.append((address, classify(unasked, route.blacklist.list_codes)))
            return
        for resolver in route.healthy[:2]:
            seen = await self._look(address, route.blacklist, resolver)
            route.asked += 1
            route.failed += seen.verdict is Verdict.ERROR
            route.found.append((address, seen))
            if seen.verdict is not Verdict.LISTED:
                return

    async def _look(self, address: Address, blacklist: Blacklist, resolver: Resolver) -> Observation:
        async with self._in_flight:
            answer = await ask(address, blacklist.zone, resolver, clock=self._clock)
        return classify(answer, blacklist.list_codes)


def _result(routes: Sequence[_Route]) -> SweepResult:
    health, observations = [], []
    for route in routes:
        broken = route.why_quarantined if route.is_broken else None
        judged = [replace(one, reason=broken) if broken else one for one in route.health.values()]
        health += judged
        believed = {one.resolver for one in judged if one.is_healthy}
        observations += [
            SweptObservation(address, route.blacklist.zone, seen, seen.answer.resolver in believed)
            for address, seen in route.found
        ]
    observations.sort(
        key=lambda one: (one.address.version, int(one.address), one.zone, one.observation.answer.observed_at)
    )
    return SweepResult(tuple(observations), tuple(health))
