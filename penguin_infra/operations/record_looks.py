"""What one pass over the blacklists found, written down: states, changes, listings as events, health and budgets.

In one transaction a pass, so that a sweep that dies loses one at most. Whom to ask is `pace_lists.py`'s.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID

from sqlalchemy import Engine

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.sweep import SweepResult, SweptObservation
from penguin_infra.domain.listing import Observation, Severity, Verdict
from penguin_infra.domain.listing_advance import ListingChange, advance
from penguin_infra.domain.listing_limits import ListingLimits, blast_limit
from penguin_infra.domain.listing_state import ListingState
from penguin_infra.operations.pace_lists import ListPass, PacedList, settle_pass
from penguin_infra.store import list_health, listing_states, listings
from penguin_infra.store.listing_states import RecordedObservation, StateKey
from penguin_infra.store.listings import ListingEvent

# Reasons (TXT) fetched in one pass, one after another: the words for people must not hold up the record that takes the
# nodes out. A server that is silent for the first costs its patience once or twice, not for each.
MOST_REASONS = 20
REASONS_WITHIN = timedelta(seconds=5)

FetchReason = Callable[[IPv4Address, Blacklist], str | None]


@dataclass(frozen=True, slots=True)
class Change:
    """One state that this sweep changed."""

    ip_address: IPv4Address
    zone: str
    change: ListingChange
    state: ListingState


@dataclass(slots=True)
class SweepReport:
    """What a sweep saw and changed.

    `asked`: questions sent by zone; `addresses_asked`: whose turn it was, by zone; `paced`: what each list allowed.
    """

    address_count: int
    list_count: int
    verdicts: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    quarantined: dict[str, str] = field(default_factory=dict)
    newly_suspected: Counter[str] = field(default_factory=Counter)
    frozen: list[str] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    addresses_asked: Counter[str] = field(default_factory=Counter)
    paced: Sequence[PacedList] = ()
    refused: dict[str, str] = field(default_factory=dict)
    resting: dict[str, datetime] = field(default_factory=dict)

    @property
    def question_count(self) -> int:
        """Questions answered, in whatever way."""
        return self.verdicts.total()

    def count(self, change: ListingChange) -> int:
        """How many states changed so."""
        return sum(each.change is change for each in self.changes)


@dataclass(frozen=True, slots=True)
class Finding:
    """One pass: whom it asked, when its questions were reserved, and what came back."""

    passes: Sequence[ListPass]
    reserved_at: datetime
    result: SweepResult


def record_looks(
    engine: Engine,
    found: Finding,
    report: SweepReport,
    *,
    holders: Mapping[IPv4Address, UUID],
    lists: Mapping[str, Blacklist],
    limits: ListingLimits,
    fetch_reason: FetchReason,
    say: Callable[[str], None],
    now: Callable[[], datetime],
) -> None:
    """Advance the states by a pass's looks, and write everything down that follows."""
    result = found.result
    with engine.connect() as connection:
        states = listing_states.load_states(connection, {_key(seen) for seen in result.observations})
    touched: dict[StateKey, ListingState] = {}
    changes: list[tuple[Change, Observation]] = []
    for seen in result.observations:
        report.verdicts[seen.observation.verdict] += 1
        change = _advance(seen, states, limits)
        touched[change.ip_address, change.zone] = change.state
        if change.change is not ListingChange.NONE:
            changes.append((change, seen.observation))
    _report(report, found, [change for change, _ in changes])
    # Asked before the transaction: the network never holds a lock.
    reasons = _fetch_reasons([change for change, _ in changes], lists, fetch_reason, now)
    sent = Counter(result.asked) + Counter(zone for _, zone in reasons)
    report.asked.update(sent)
    at = now()
    with engine.begin() as connection:
        # Frozen before its listings are confirmed, so that no sensor can pause by them in between.
        for zone, why in _blasts(report, len(holders)):
            if listings.freeze_list(connection, zone, reason=why, now=at):
                report.frozen.append(zone)
                say(f"{zone} is frozen: {why}")
        for change, observation in changes:
            say(f"{change.ip_address} on {change.zone}: {change.change}")
            if change.change is ListingChange.DELISTED:
                listings.close_event(connection, change.ip_address, change.zone, change.state.since)
            elif change.change in {ListingChange.CONFIRMED, ListingChange.CHANGED_CODES}:
                reason = reasons.get((change.ip_address, change.zone))
                event = _event(change, observation, lists[change.zone], holders[change.ip_address], reason)
                listings.save_event(connection, event)
        listing_states.save_observations(connection, (_observation(*one, reasons) for one in changes))
        asked = {_key(seen) for seen in result.observations if seen.is_list_healthy}
        listing_states.save_states(connection, touched, at, asked=asked)
        list_health.save_health(connection, result.health)
        settle_pass(
            connection,
            found.passes,
            reserved_at=found.reserved_at,
            sent=sent,
            quota_hit=result.quota_hit,
            answered={seen.zone for seen in result.observations if seen.verdict is not Verdict.ERROR},
            now=at,
        )


def _advance(seen: SweptObservation, states: dict[StateKey, ListingState], limits: ListingLimits) -> Change:
    key = _key(seen)
    state = states.get(key) or ListingState(since=seen.observation.answer.observed_at)
    step = advance(state, seen.observation, is_list_healthy=seen.is_list_healthy, limits=limits)
    states[key] = step.state
    return Change(*key, step.change, step.state)


def _key(seen: SweptObservation) -> StateKey:
    # The fleet's addresses are IPv4; built anew, they would be parsed from text, which takes as long as the rest.
    address = seen.address
    return address if isinstance(address, IPv4Address) else IPv4Address(address), seen.zone


def _report(report: SweepReport, found: Finding, changes: Sequence[Change]) -> None:
    report.changes += changes
    report.quarantined |= {one.zone: one.fault.reason for one in found.result.quarantined if one.fault}
    report.newly_suspected.update(change.zone for change in changes if change.change is ListingChange.SUSPECTED)
    report.addresses_asked.update({one.paced.zone: len(one.addresses) for one in found.passes})


def _fetch_reasons(
    changes: Iterable[Change], lists: Mapping[str, Blacklist], fetch_reason: FetchReason, now: Callable[[], datetime]
) -> dict[StateKey, str | None]:
    confirmed = [change for change in changes if change.change is ListingChange.CONFIRMED]
    reasons: dict[StateKey, str | None] = {}
    give_up_at = now() + REASONS_WITHIN
    for change in confirmed[:MOST_REASONS]:
        if now() >= give_up_at:
            break
        reasons[change.ip_address, change.zone] = fetch_reason(change.ip_address, lists[change.zone])
    return reasons


def _blasts(report: SweepReport, fleet_size: int) -> Iterable[tuple[str, str]]:
    for zone, count in report.newly_suspected.items():
        # Of those whose turn it was: a list that lists everybody does so a slice of the fleet at a time.
        asked = min(report.addresses_asked[zone], fleet_size)
        limit = blast_limit(asked)
        if count > limit:
            yield zone, f"newly lists {count} addresses in one sweep; more than {limit} of {asked} is not believed"


def _event(
    change: Change, observation: Observation, blacklist: Blacklist, node_id: UUID, reason: str | None
) -> ListingEvent:
    state, answer = change.state, observation.answer
    meanings = ", ".join(code.meaning for code in state.codes)
    return ListingEvent(
        node_id=node_id,
        ip_address=change.ip_address,
        zone=change.zone,
        list_name=blacklist.name,
        codes=tuple(str(code.code) for code in state.codes),
        severity=state.severity or Severity.INFORMATIONAL,
        suspected_at=state.suspected_at or answer.observed_at,
        listed_at=answer.observed_at,
        details=f"{meanings}; answered {_raw(observation)} (TTL {answer.ttl_seconds} s) through {answer.resolver}",
        reason=reason,
        operator=blacklist.operator,
        delist_url=blacklist.delist_url(change.ip_address),
        family=blacklist.family,
    )


def _observation(
    change: Change, observation: Observation, reasons: Mapping[StateKey, str | None]
) -> RecordedObservation:
    answer = observation.answer
    return RecordedObservation(
        ip_address=str(change.ip_address),
        zone=change.zone,
        change=change.change,
        answer=_raw(observation),
        ttl_seconds=answer.ttl_seconds,
        resolver=answer.resolver,
        reason=reasons.get((change.ip_address, change.zone)),
        observed_at=answer.observed_at,
    )


def _raw(observation: Observation) -> str:
    return " ".join(map(str, observation.answer.addresses)) or "NXDOMAIN"
