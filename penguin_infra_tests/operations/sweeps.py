"""Sweeps of a test's fleet over the lab's blacklists, by a clock that waits for nobody."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Engine

from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.questions import fetch_reason
from penguin_infra.dnsbl.sweep import SweepProgress, sweep
from penguin_infra.domain.list_budget import BudgetLimits
from penguin_infra.domain.listing_limits import DEFAULT_LIMITS, ListingLimits
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.operations.sweep_blacklists import BlacklistSweep, sweep_blacklists
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import NOW

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"


def _nothing(*_: object) -> None:
    """What happens during a sweep unless a test says so."""


@dataclass
class LookingClock:
    """A millisecond passes at every look at it; `sleep` passes at once, and lets a test act meanwhile."""

    at: datetime = NOW
    while_asleep: Callable[[], None] = _nothing

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.while_asleep()


@dataclass
class Sweeps:
    """How this test's sweeps are made; change the fields between them."""

    engine: Engine
    lab_dns: DnsProcess
    zones: Sequence[str] = (ZEN, SPAMCOP)
    limits: ListingLimits = DEFAULT_LIMITS
    budgets: BudgetLimits = field(default_factory=BudgetLimits)
    # Every address is due at every sweep unless a test says otherwise.
    sweep_seconds: float = 0.0
    clock: LookingClock = field(default_factory=LookingClock)

    def sweep(
        self,
        *,
        say: Callable[[str], None] = _nothing,
        between_looks: Callable[[], None] = _nothing,
        on_progress: Callable[[SweepProgress], None] | None = None,
    ) -> SweepReport:
        """One sweep, as the wiring makes it but for the clock."""
        self.clock.while_asleep = between_looks
        return sweep_blacklists(self.work(say=say, on_progress=on_progress))

    def work(
        self, *, say: Callable[[str], None] = _nothing, on_progress: Callable[[SweepProgress], None] | None = None
    ) -> BlacklistSweep:
        """What a sweep works with."""
        resolver = self.lab_dns.resolver
        return BlacklistSweep(
            engine=self.engine,
            lists=load_catalogue().select(self.zones),
            ask=lambda askings, health, tell: sweep(
                askings, [resolver], clock=self.clock.now, health=health, on_progress=on_progress or tell
            ),
            fetch_reason=lambda ip, blacklist: fetch_reason(ip, blacklist, resolver),
            limits=self.limits,
            clock=self.clock,
            say=say,
            budgets=self.budgets,
            sweep_seconds=self.sweep_seconds,
        )
