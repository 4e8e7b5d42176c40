"""A fleet that is swept every five minutes over real lists, judged by the pause policy, and told of by alerts.

By a clock of its own, on which a day of sweeps takes a second; no assertions.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.questions import fetch_reason
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.sweep import Progress, SweepProgress, sweep
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.listing_limits import DEFAULT_LIMITS
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.operations.refresh_alerts import refresh_alerts
from penguin_infra.operations.sweep_blacklists import BlacklistSweep, sweep_blacklists
from penguin_infra.operations.want_pauses import want_pauses
from penguin_infra.store import listings
from penguin_infra.store.alerts import list_alerts
from penguin_infra_tests.fleets import add_nodes, rotation
from penguin_infra_tests.operations.sweeps import LookingClock

SWEEP_SECONDS = 300.0

AlertKey = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Picture:
    """What must not change because a list is unwell: who may send, who is to be paused, what is held to be listed."""

    rotation: frozenset[UUID]
    pauses: frozenset[UUID]
    listings: frozenset[tuple[str, str]]


@dataclass
class Watch:
    """The fleet, its sweeps so far, and the alerts that they opened and resolved."""

    engine: Engine
    resolvers: Sequence[Resolver]
    zones: Sequence[str]
    size: int = 6
    clock: LookingClock = field(default_factory=LookingClock)
    opened: Counter[AlertKey] = field(default_factory=Counter)
    resolved: Counter[AlertKey] = field(default_factory=Counter)
    nodes: list[UUID] = field(init=False)

    def __post_init__(self) -> None:
        self.nodes = add_nodes(self.engine, self.size)

    def sweep(self, *, minutes: float = 5, meanwhile: Callable[[SweepProgress], None] | None = None) -> SweepReport:
        """What the fleet does every few minutes: sweep, and hold the alerts against what that found."""
        self.clock.at += timedelta(minutes=minutes)
        report = sweep_blacklists(self._work(meanwhile))
        changes = refresh_alerts(self.engine, limits=SilenceLimits(), now=self.clock.now())
        for rule, change in changes.items():
            self.opened.update((rule, subject) for subject in change.opened)
            self.resolved.update((rule, subject) for subject in change.resolved)
        return report

    def picture(self) -> Picture:
        with self.engine.connect() as connection:
            wanted = want_pauses(connection, DeliveryLimits(), self.clock.at)
            listed = [(str(row.ip_address), row.zone) for row in listings.open_events(connection)]
        return Picture(
            frozenset(rotation(self.engine)), frozenset(action.node_id for action in wanted), frozenset(listed)
        )

    def alerts(self) -> dict[AlertKey, str]:
        """The words of the open alerts about lists and resolvers; those about listed addresses aside."""
        with self.engine.connect() as connection:
            rows = list_alerts(connection)
        return {(row.rule, row.subject): row.summary for row in rows if row.rule != "listed"}

    def _work(self, meanwhile: Callable[[SweepProgress], None] | None) -> BlacklistSweep:
        def tell(progress: Progress) -> Progress:
            return meanwhile or progress

        return BlacklistSweep(
            engine=self.engine,
            lists=load_catalogue().select(self.zones),
            ask=lambda askings, health, progress: sweep(
                askings, self.resolvers, clock=self.clock.now, health=health, on_progress=tell(progress)
            ),
            fetch_reason=lambda ip, blacklist: fetch_reason(ip, blacklist, self.resolvers[0]),
            limits=DEFAULT_LIMITS,
            clock=self.clock,
            say=lambda _: None,
            sweep_seconds=SWEEP_SECONDS,
            resolver_count=len(self.resolvers),
        )
