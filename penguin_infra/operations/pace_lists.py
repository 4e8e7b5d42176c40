"""Which lists a sweep may ask, and about how many addresses: budgets, rests and refusals held against the ledger.

The sums are `domain/list_budget.py`'s and `list_pace.py`'s; asking and recording are `sweep_blacklists.py`'s.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from sqlalchemy import Connection

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.domain import list_pace
from penguin_infra.domain.list_budget import (
    URGENT_FACTOR,
    Allowance,
    BudgetLimits,
    Turns,
    allowance_of,
    most_sent,
    plan_turns,
    why_refused,
)
from penguin_infra.domain.list_pace import Pace
from penguin_infra.store import list_paces, listing_states
from penguin_infra.store.list_paces import ListPace
from penguin_infra.store.listing_states import Wanted

# Sweeps are never quite punctual: an address that was asked in the sweep before is due again in this one.
_PUNCTUALITY = 0.8


@dataclass(frozen=True, slots=True)
class PacedList:
    """One list of a sweep with what it may be asked. `refused_because`: it is not asked at all, with the sum."""

    blacklist: Blacklist
    allowance: Allowance
    turns: Turns
    pace: Pace | None
    refused_because: str | None = None

    @property
    def zone(self) -> str:
        """The list's identity."""
        return self.blacklist.zone

    def is_askable(self, now: datetime) -> bool:
        """Whether it is asked at all now."""
        return self.refused_because is None and not list_pace.is_resting(self.pace, now)


@dataclass(frozen=True, slots=True)
class ListPass:
    """One list and whom it is asked about in one pass; `pace` is its bucket before."""

    paced: PacedList
    pace: Pace
    suspects: Sequence[IPv4Address]
    routine: Sequence[IPv4Address]

    @property
    def addresses(self) -> list[IPv4Address]:
        """All of them, suspects first."""
        return [*self.suspects, *self.routine]

    @property
    def reserved(self) -> int:
        """The most questions that the pass may come to."""
        return most_sent(len(self.suspects) + len(self.routine), self.paced.turns.test_points)


def count_test_points(blacklist: Blacklist, resolver_count: int) -> int:
    """Questions that one look at a list's health takes, by IPv4 and through every resolver."""
    positive = sum(point.version == 4 for point in blacklist.test_points)
    return (positive + (1 if blacklist.is_negative_test_exempt else 2)) * max(resolver_count, 1)


def pace_lists(
    connection: Connection,
    lists: Iterable[Blacklist],
    limits: BudgetLimits,
    *,
    address_count: int,
    resolver_count: int,
    sweep_seconds: float,
    now: datetime,
) -> list[PacedList]:
    """Hold every list's terms against the fleet's size, and write down who is refused and how often turns come."""
    known = list_paces.load_paces(connection)
    urgent_count = listing_states.count_urgent(connection, now)
    paced = []
    for blacklist in lists:
        allowance = allowance_of(blacklist.published_terms, limits)
        test_points = count_test_points(blacklist, resolver_count)
        fleet = {"address_count": address_count, "test_points": test_points}
        turns = plan_turns(allowance, **fleet, sweep_seconds=sweep_seconds, urgent_count=urgent_count)
        refused = why_refused(allowance, limits, **fleet, sweep_seconds=sweep_seconds)
        former = known.get(blacklist.zone)
        paced.append(PacedList(blacklist, allowance, turns, former.pace if former else None, refused))
    list_paces.forget_turns(connection, [one.zone for one in paced])
    list_paces.save_paces(connection, (_remembered(one, list_pace.fill(one.pace, one.turns, now)) for one in paced))
    return paced


def plan_first_pass(
    connection: Connection, paced: Iterable[PacedList], *, sweep_seconds: float, now: datetime
) -> list[ListPass]:
    """Whom each list is asked about by this sweep, and the questions for it reserved."""
    askable = {one.zone: one for one in paced if one.is_askable(now)}
    list_paces.lock_questions(connection)
    spent = list_paces.spent_questions(connection, askable, now)
    filled = {zone: list_pace.fill(one.pace, one.turns, now) for zone, one in askable.items()}
    wanted = []
    for zone, one in askable.items():
        most = list_pace.most_routine(filled[zone], one.allowance, spent[zone], one.turns)
        punctual_seconds = sweep_seconds * _PUNCTUALITY
        urgent_seconds = max(punctual_seconds, one.turns.interval_seconds / URGENT_FACTOR)
        wanted.append(
            Wanted(
                zone=zone,
                suspects_most=list_pace.most_suspects(one.allowance, spent[zone], one.turns),
                routine_most=most,
                urgent_most=most // URGENT_FACTOR,
                asked_before=now - timedelta(seconds=punctual_seconds),
                urgent_before=now - timedelta(seconds=urgent_seconds),
            )
        )
    passes = []
    for zone, due in listing_states.find_due(connection, wanted, now).items():
        one = askable[zone]
        suspects = len(due.suspects)
        most = list_pace.most_routine(filled[zone], one.allowance, spent[zone], one.turns, suspects=suspects)
        if suspects or due.routine[:most]:
            passes.append(ListPass(one, filled[zone], due.suspects, due.routine[:most]))
    _reserve(connection, passes, now)
    return passes


def plan_second_look(
    connection: Connection, paced: Iterable[PacedList], suspects: Mapping[str, Sequence[IPv4Address]], now: datetime
) -> list[ListPass]:
    """The suspects that there is room to ask about again, from the reserve."""
    paces = list_paces.load_paces(connection)
    lists = [replace(one, pace=paces[one.zone].pace) for one in paced if suspects.get(one.zone) and one.zone in paces]
    askable = {one.zone: one for one in lists if one.is_askable(now)}
    list_paces.lock_questions(connection)
    spent = list_paces.spent_questions(connection, askable, now)
    passes = [
        ListPass(one, list_pace.fill(one.pace, one.turns, now), found, ())
        for zone, one in askable.items()
        if (found := suspects[zone][: list_pace.most_suspects(one.allowance, spent[zone], one.turns)])
    ]
    _reserve(connection, passes, now)
    return passes


def plan_screening(
    connection: Connection, lists: Iterable[Blacklist], limits: BudgetLimits, *, resolver_count: int, now: datetime
) -> dict[str, int]:
    """The lists that may be asked about one address more, with the questions reserved for it."""
    known = list_paces.load_paces(connection)
    askable = [
        one
        for one in lists
        if (former := known.get(one.zone)) is None
        or (former.refused_because is None and not list_pace.is_resting(former.pace, now))
    ]
    list_paces.lock_questions(connection)
    spent = list_paces.spent_questions(connection, [one.zone for one in askable], now)
    most = {one.zone: most_sent(1, count_test_points(one, resolver_count)) for one in askable}
    reserved = {
        one.zone: most[one.zone]
        for one in askable
        if most[one.zone] <= list_pace.room(allowance_of(one.published_terms, limits), spent[one.zone])
    }
    list_paces.add_questions(connection, reserved, now)
    return reserved


def settle_pass(
    connection: Connection,
    passes: Iterable[ListPass],
    *,
    reserved_at: datetime,
    sent: Mapping[str, int],
    quota_hit: Iterable[str],
    answered: Iterable[str],
    now: datetime,
) -> None:
    """Put what was sent in the place of what was reserved, and let the lists rest that asked for it."""
    quota, well = frozenset(quota_hit), frozenset(answered)
    done = list(passes)
    list_paces.settle_questions(
        connection, reserved={one.paced.zone: one.reserved for one in done}, at=reserved_at, sent=sent, now=now
    )
    settled = []
    for one in done:
        zone = one.paced.zone
        pace = _spend(one, sent.get(zone, 0))
        if zone in quota:
            pace = list_pace.rest(pace, now)
        elif zone in well:
            pace = list_pace.resume(pace)
        settled.append(_remembered(one.paced, pace))
    list_paces.save_paces(connection, settled)
    list_paces.forget_questions(connection, now)


def _reserve(connection: Connection, passes: Sequence[ListPass], now: datetime) -> None:
    list_paces.add_questions(connection, {one.paced.zone: one.reserved for one in passes}, now)
    # The bucket too: a sweep that dies must not be made up for at once.
    list_paces.save_paces(
        connection,
        (_remembered(one.paced, _spend(one, len(one.addresses) + one.paced.turns.test_points)) for one in passes),
    )


def _spend(one: ListPass, sent: int) -> Pace:
    return list_pace.spend(one.pace, one.paced.turns, sent=sent, suspects=len(one.suspects), routine=len(one.routine))


def _remembered(one: PacedList, pace: Pace) -> ListPace:
    interval = None if one.refused_because else one.turns.interval_seconds
    return ListPace(one.zone, pace, interval, one.refused_because)
