"""One sweep of the blacklists over the fleet's addresses: ask, judge, wait out the suspects' TTL, ask again, record.

How lists are asked is `dnsbl`'s, what looks add up to is the domain's; pausing is the ledger's, not this one's.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.dnsbl.catalogue import Blacklist
from penguin_infra.dnsbl.sweep import SweepResult, SweptObservation
from penguin_infra.domain.listing import Observation, Severity
from penguin_infra.domain.listing_advance import ListingChange, advance
from penguin_infra.domain.listing_limits import ListingLimits, blast_limit
from penguin_infra.domain.listing_state import ListingState, ListingStatus
from penguin_infra.operations.node_work import Clock
from penguin_infra.store import list_health, listings
from penguin_infra.store.database import sweep_lock
from penguin_infra.store.listings import ListingEvent, StateKey

# Longest wait for a suspect's second look within the same sweep. Spamhaus answers live 60 s; a suspect that lives
# longer waits for the next sweep, so that a sweep never holds its place in the queue for much over a minute.
CONFIRM_WITHIN = timedelta(seconds=90)

# Reasons (TXT) fetched in one pass, one after another and up to 4 s each: the words for people must not hold up the
# record that takes the nodes out.
MOST_REASONS = 20

Address = IPv4Address | IPv6Address
AskLists = Callable[[Sequence[Address], Sequence[Blacklist]], SweepResult]
FetchReason = Callable[[Address, Blacklist], str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One state that this sweep changed."""

    ip_address: IPv4Address
    zone: str
    change: ListingChange
    state: ListingState


@dataclass(slots=True)
class SweepReport:
    """What a sweep saw and changed."""

    address_count: int
    list_count: int
    verdicts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    newly_suspected: Counter[str] = field(default_factory=Counter)
    frozen: list[str] = field(default_factory=list)

    @property
    def question_count(self) -> int:
        """Questions answered, in whatever way."""
        return self.verdicts.total()

    def count(self, change: ListingChange) -> int:
        """How many states changed so."""
        return sum(each.change is change for each in self.changes)


@dataclass(frozen=True, slots=True)
class BlacklistSweep:
    """What a sweep works with: the lists, a way to ask them, and the time."""

    engine: Engine
    lists: Sequence[Blacklist]
    ask: AskLists
    fetch_reason: FetchReason
    limits: ListingLimits
    clock: Clock
    say: Callable[[str], None]


def sweep_blacklists(work: BlacklistSweep) -> SweepReport:
    """Sweep once; every pass is recorded in one transaction. Raises `Busy` while another sweep is under way."""
    with sweep_lock(work.engine):
        with work.engine.connect() as connection:
            holders = listings.held_addresses(connection)
        report = SweepReport(len(holders), len(work.lists))
        _pass(work, holders, list(holders), work.lists, report)
        suspects = _await_second_look(work, report)
        for blacklist in work.lists:
            if again := [ip for ip, zone in suspects if zone == blacklist.zone]:
                _pass(work, holders, again, [blacklist], report)
        return report


@dataclass(frozen=True, slots=True)
class _Pass:
    """What one pass over some addresses and lists found."""

    holders: dict[IPv4Address, UUID]
    result: SweepResult
    touched: dict[StateKey, ListingState]
    changes: list[tuple[Change, Observation]]


def _pass(
    work: BlacklistSweep,
    holders: dict[IPv4Address, UUID],
    addresses: Sequence[IPv4Address],
    lists: Sequence[Blacklist],
    report: SweepReport,
) -> None:
    found = _Pass(holders, work.ask(addresses, lists), {}, [])
    with work.engine.connect() as connection:
        states = listings.load_states(connection)
    for seen in found.result.observations:
        report.verdicts[seen.observation.verdict] += 1
        change = _advance(seen, states, work.limits)
        found.touched[change.ip_address, change.zone] = change.state
        if change.change is not ListingChange.NONE:
            found.changes.append((change, seen.observation))
    _record(work, found, report)


def _advance(seen: SweptObservation, states: dict[StateKey, ListingState], limits: ListingLimits) -> Change:
    ip_address = IPv4Address(seen.address)
    key = (ip_address, seen.zone)
    state = states.get(key) or ListingState(since=seen.observation.answer.observed_at)
    step = advance(state, seen.observation, is_list_healthy=seen.is_list_healthy, limits=limits)
    states[key] = step.state
    return Change(ip_address, seen.zone, step.change, step.state)


def _record(work: BlacklistSweep, found: _Pass, report: SweepReport) -> None:
    changes = [change for change, _ in found.changes]
    report.changes += changes
    report.quarantined |= {one.zone: one.fault.reason for one in found.result.quarantined if one.fault}
    report.newly_suspected.update(change.zone for change in changes if change.change is ListingChange.SUSPECTED)
    by_zone = {blacklist.zone: blacklist for blacklist in work.lists}
    # Asked before the transaction: the network never holds a lock.
    confirmed = [change for change in changes if change.change is ListingChange.CONFIRMED]
    reasons = {
        (change.ip_address, change.zone): work.fetch_reason(change.ip_address, by_zone[change.zone])
        for change in confirmed[:MOST_REASONS]
    }
    now = work.clock.now()
    with work.engine.begin() as connection:
        # Frozen before its listings are confirmed, so that no sensor can pause by them in between.
        for zone, reason in _blasts(report, len(found.holders)):
            if listings.freeze_list(connection, zone, reason=reason, now=now):
                report.frozen.append(zone)
                work.say(f"{zone} is frozen: {reason}")
        for change, observation in found.changes:
            work.say(f"{change.ip_address} on {change.zone}: {change.change}")
            if change.change is ListingChange.DELISTED:
                listings.close_event(connection, change.ip_address, change.zone, change.state.since)
            elif change.change in {ListingChange.CONFIRMED, ListingChange.CHANGED_CODES}:
                event = _event(change, observation, by_zone[change.zone], found.holders, reasons)
                listings.save_event(connection, event)
        listings.save_states(connection, found.touched, now)
        list_health.save_health(connection, found.result.health)


def _blasts(report: SweepReport, fleet_size: int) -> Iterable[tuple[str, str]]:
    limit = blast_limit(fleet_size)
    for zone, count in report.newly_suspected.items():
        if count > limit:
            yield zone, f"newly lists {count} addresses in one sweep; more than {limit} of {fleet_size} is not believed"


def _event(
    change: Change,
    observation: Observation,
    blacklist: Blacklist,
    holders: dict[IPv4Address, UUID],
    reasons: dict[StateKey, str | None],
) -> ListingEvent:
    state, answer = change.state, observation.answer
    return ListingEvent(
        node_id=holders[change.ip_address],
        ip_address=change.ip_address,
        zone=change.zone,
        list_name=blacklist.name,
        codes=tuple(str(code.code) for code in state.codes),
        severity=state.severity or Severity.INFORMATIONAL,
        suspected_at=state.suspected_at or answer.observed_at,
        listed_at=answer.observed_at,
        details=(
            f"{', '.join(code.meaning for code in state.codes)}; answered {' '.join(map(str, answer.addresses))} "
            f"(TTL {answer.ttl_seconds} s) through {answer.resolver}"
        ),
        reason=reasons.get((change.ip_address, change.zone)),
    )


def _await_second_look(work: BlacklistSweep, report: SweepReport) -> list[StateKey]:
    """Wait until the suspects' first answers have expired everywhere; returns those that can be asked again now."""
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
    return list(due)


def _expires_at(state: ListingState) -> datetime:
    hit = state.first_hit
    if hit is None:
        return state.since
    # Strictly past the TTL: one second more.
    return hit.observed_at + timedelta(seconds=hit.ttl_seconds + 1)
