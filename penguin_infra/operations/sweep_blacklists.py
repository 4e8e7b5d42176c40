"""One sweep of the blacklists over the fleet's addresses: ask, judge, wait out the suspects' TTL, ask again, record.

How lists are asked is `dnsbl`'s, what looks add up to is the domain's, who may be asked how much `pace_lists.py`'s;
pausing is the ledger's, not this one's.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.sweep import Progress, SweepProgress, SweepResult
from penguin_infra.domain.list_budget import BudgetLimits
from penguin_infra.domain.list_health import HealthKey, ListHealth
from penguin_infra.domain.list_pace import is_resting
from penguin_infra.domain.listing_advance import CACHES_SECOND
from penguin_infra.domain.listing_limits import ListingLimits
from penguin_infra.domain.listing_state import ListingState, ListingStatus
from penguin_infra.operations.node_work import Clock
from penguin_infra.operations.pace_lists import (
    ListPass,
    PacedList,
    pace_lists,
    plan_first_pass,
    plan_second_look,
)
from penguin_infra.operations.record_looks import FetchReason, Finding, SweepReport, record_looks
from penguin_infra.store import list_health, listings
from penguin_infra.store.database import sweep_lock

# Longest wait for a suspect's second look within the same sweep. Spamhaus answers live 60 s; a suspect that lives
# longer waits for the next sweep, so that a sweep never holds its place in the queue for much over a minute.
CONFIRM_WITHIN = timedelta(seconds=90)

# A line of progress in the run's log at most so often: a long sweep is followed, a short one says nothing.
PROGRESS_EVERY_SECONDS = 10.0

AskLists = Callable[[Sequence[Asking], Mapping[HealthKey, ListHealth], Progress], SweepResult]


@dataclass(frozen=True, slots=True)
class BlacklistSweep:
    """What a sweep works with: the lists, a way to ask them, their budgets, and the time.

    `sweep_seconds`: how far apart sweeps are; 0 where every address is due at every one. `resolver_count`: through how
    many each list's test points are asked.
    """

    engine: Engine
    lists: Sequence[Blacklist]
    ask: AskLists
    fetch_reason: FetchReason
    limits: ListingLimits
    clock: Clock
    say: Callable[[str], None]
    budgets: BudgetLimits = field(default_factory=BudgetLimits)
    sweep_seconds: float = 0.0
    resolver_count: int = 1


def sweep_blacklists(work: BlacklistSweep) -> SweepReport:
    """Sweep once; every pass is recorded in one transaction. Raises `Busy` while another sweep is under way."""
    with sweep_lock(work.engine):
        holders, paced = _pace(work)
        report = SweepReport(len(holders), len(work.lists), paced=paced)
        _say_who_is_left_out(work, paced, report)
        now = work.clock.now()
        with work.engine.begin() as connection:
            passes = plan_first_pass(connection, paced, sweep_seconds=work.sweep_seconds, now=now)
        _pass(work, holders, passes, now, report)
        suspects = _await_second_look(work, report)
        now = work.clock.now()
        with work.engine.begin() as connection:
            passes = plan_second_look(connection, paced, suspects, now)
        _pass(work, holders, passes, now, report)
        return report


def _pace(work: BlacklistSweep) -> tuple[dict[IPv4Address, UUID], list[PacedList]]:
    with work.engine.begin() as connection:
        holders = listings.held_addresses(connection)
        paced = pace_lists(
            connection,
            work.lists,
            work.budgets,
            address_count=len(holders),
            resolver_count=work.resolver_count,
            sweep_seconds=work.sweep_seconds,
            now=work.clock.now(),
        )
    return holders, paced


def _say_who_is_left_out(work: BlacklistSweep, paced: Sequence[PacedList], report: SweepReport) -> None:
    now = work.clock.now()
    for one in paced:
        if one.refused_because is not None:
            report.refused[one.zone] = one.refused_because
            work.say(f"refused: {one.refused_because}")
        elif one.pace and one.pace.rests_until and is_resting(one.pace, now):
            report.resting[one.zone] = one.pace.rests_until
            work.say(f"{one.zone} rests until {one.pace.rests_until:%H:%M}: its quota was used up")


def _pass(
    work: BlacklistSweep,
    holders: Mapping[IPv4Address, UUID],
    passes: Sequence[ListPass],
    reserved_at: datetime,
    report: SweepReport,
) -> None:
    if not passes:
        return
    zones = [one.paced.zone for one in passes]
    with work.engine.connect() as connection:
        health = list_health.load_health(connection, zones)
    askings = [Asking(one.paced.blacklist, one.addresses) for one in passes]
    result = work.ask(askings, health, _teller(work))
    record_looks(
        work.engine,
        Finding(passes, reserved_at, result),
        report,
        holders=holders,
        lists={one.paced.zone: one.paced.blacklist for one in passes},
        limits=work.limits,
        fetch_reason=work.fetch_reason,
        say=work.say,
        now=work.clock.now,
    )


def _teller(work: BlacklistSweep) -> Progress:
    told_seconds = 0.0

    def tell(progress: SweepProgress) -> None:
        nonlocal told_seconds
        if progress.elapsed_seconds - told_seconds < PROGRESS_EVERY_SECONDS:
            return
        told_seconds = progress.elapsed_seconds
        left = "" if progress.seconds_left is None else f", {progress.seconds_left:.0f} s left"
        work.say(f"{progress.done:,} of {progress.total:,} looks, {progress.per_second:,.0f} a second{left}")

    return tell


def _await_second_look(work: BlacklistSweep, report: SweepReport) -> dict[str, list[IPv4Address]]:
    """Wait until the suspects' first answers have expired everywhere; returns whom to ask again, by zone."""
    latest = {(change.ip_address, change.zone): change.state for change in report.changes}
    now = work.clock.now()
    due = {
        key: at
        for key, state in latest.items()
        if state.status is ListingStatus.SUSPECT and (at := _expires_at(state)) - now <= CONFIRM_WITHIN
    }
    if due:
        wait = max((max(due.values()) - now).total_seconds(), 0)
        work.say(f"{len(due)} suspects: asking again in {wait:.0f} s, past their answers' TTL")
        work.clock.sleep(wait)
    found: dict[str, list[IPv4Address]] = {}
    for ip_address, zone in due:
        found.setdefault(zone, []).append(ip_address)
    return found


def _expires_at(state: ListingState) -> datetime:
    hit = state.first_hit
    if hit is None:
        return state.since
    return hit.observed_at + timedelta(seconds=hit.ttl_seconds) + CACHES_SECOND
