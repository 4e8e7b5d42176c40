"""What the UI shows of a sweep: where addresses stand, how lists do, what they were asked. Facts are the store's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import dagster as dg
from sqlalchemy import Connection

from penguin_infra.defs.tables import bars, lines_over_time, markdown_table
from penguin_infra.domain.list_budget import most_sent
from penguin_infra.domain.list_pace import Spent, room
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.operations.pace_lists import PacedList
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.store import list_health, list_paces, listing_states, listings
from penguin_infra.store.tables import AnyRow

Metadata = dict[str, int | float | dg.MarkdownMetadataValue]

# An address that three turns went by without an answer for is not watched any more on that list.
STALE_AFTER_TURNS = 3

_DAYS_SHOWN = 30


@dataclass(frozen=True, slots=True)
class BlacklistFacts:
    """What stands in the database after a sweep."""

    events: Sequence[AnyRow]
    frozen: Sequence[AnyRow]
    worst: Sequence[AnyRow]
    counts: Sequence[AnyRow]
    observations: Sequence[AnyRow]
    by_day: Mapping[str, Sequence[int]]
    health: Sequence[AnyRow]
    ill: Sequence[AnyRow]
    health_changes: Sequence[AnyRow]
    spent: Mapping[str, Spent]

    def total(self, name: str) -> int:
        """A count over all lists."""
        return sum(getattr(row, name) for row in self.counts)

    @property
    def quarantined(self) -> dict[str, str]:
        """The lists that are not believed, with the reason: those too that were not asked this time."""
        return {row.zone: row.reason for row in self.ill}

    @property
    def stale(self) -> list[AnyRow]:
        """The lists that did not answer for some address in time."""
        return [row for row in self.counts if row.stale]


def read_facts(connection: Connection, report: SweepReport, now: datetime) -> BlacklistFacts:
    """Read all that the two assets show."""
    zones = [one.zone for one in report.paced]
    stale_after = {
        one.zone: STALE_AFTER_TURNS * one.turns.interval_seconds for one in report.paced if one.refused_because is None
    }
    return BlacklistFacts(
        events=listings.open_events(connection),
        frozen=listings.open_freezes(connection),
        worst=listing_states.worst_states(connection),
        counts=listing_states.count_states(connection, stale_after, now),
        observations=listing_states.newest_observations(connection),
        by_day=listings.listings_by_day(connection, days=_DAYS_SHOWN, now=now),
        health=list_health.list_health(connection, zones),
        ill=[row for row in list_health.ill_lists(connection) if row.zone in zones],
        health_changes=list_health.health_changes(connection),
        spent=list_paces.spent_questions(connection, zones, now),
    )


def status_metadata(report: SweepReport, facts: BlacklistFacts) -> Metadata:
    """Where the fleet's addresses stand, worst first."""
    return {
        "dagster/row_count": len(facts.events),
        "addresses": report.address_count,
        "lists": report.list_count,
        "answers": report.question_count,
        "errors": report.verdicts["error"],
        "newly_confirmed": report.count(ListingChange.CONFIRMED),
        "newly_delisted": report.count(ListingChange.DELISTED),
        "suspected": report.count(ListingChange.SUSPECTED),
        "quarantined_lists": len(facts.quarantined),
        **{name: facts.total(name) for name in ("clean", "suspect", "listed", "stale", "unasked")},
        "answers_by_meaning": bars(report.verdicts),
        "listed_nodes": markdown_table(
            ["node", "address", "status", "list", "state", "severity", "codes", "since", "answered", "reason", "off"],
            map(_state_row, facts.worst),
        ),
        "states_by_list": markdown_table(
            ["list", "clean", "suspect", "listed", "stale", "never asked", "longest unanswered since"],
            [(r.zone, r.clean, r.suspect, r.listed, r.stale, r.unasked, _minute(r.oldest_at)) for r in facts.counts],
        ),
        "listings_over_30_days": lines_over_time(facts.by_day),
        "raw_answers": markdown_table(
            ["at", "address", "list", "change", "answer", "TTL", "resolver", "reason"],
            [
                (_minute(r.observed_at), r.ip_address, r.zone, r.change, r.answer, r.ttl_seconds, r.resolver, r.reason)
                for r in facts.observations
            ],
        ),
    }


def health_metadata(report: SweepReport, facts: BlacklistFacts) -> Metadata:
    """How the lists do, and what they were asked of what they allow."""
    paced = {one.zone: one for one in report.paced}
    return {
        "dagster/row_count": len(facts.health),
        "healthy": sum(row.is_healthy for row in facts.health),
        "quarantined": sum(not row.is_healthy for row in facts.health),
        "refused": len(report.refused),
        "resting": len(report.resting),
        "questions_sent": report.asked.total(),
        "questions_in_24_hours": sum(spent.in_24_hours for spent in facts.spent.values()),
        "asked_in_24_hours": bars({one.zone: facts.spent[one.zone].in_24_hours for one in report.paced}),
        "lists": markdown_table(
            ["list", "resolver", "family", "health", "fault", "since", "passes", "asked of its 24 h", "turn every"],
            [_health_row(row, paced[row.zone], facts.spent[row.zone]) for row in facts.health],
        ),
        "budgets": markdown_table(
            ["list", "asked in 24 h", "allowed", "by", "turn every", "state"],
            [_budget_row(one, facts.spent[one.zone], report) for one in report.paced],
        ),
        "history": markdown_table(
            ["at", "list", "resolver", "family", "health", "fault", "reason"],
            [
                (_minute(r.happened_at), r.zone, r.resolver, _family(r), _health_word(r), r.fault, r.reason)
                for r in facts.health_changes
            ],
        ),
    }


def duration(seconds: float) -> str:
    """A span for people: minutes below two hours, hours above."""
    return f"{seconds / 60:.0f} min" if seconds < timedelta(hours=2).total_seconds() else f"{seconds / 3600:.1f} h"


def _state_row(row: AnyRow) -> tuple[object, ...]:
    return (
        row.label,
        row.ip_address,
        row.status,
        row.zone,
        row.state,
        row.severity,
        " ".join(row.codes or ()),
        _minute(row.since),
        _minute(row.answered_at),
        row.reason,
        row.delist_url,
    )


def _health_row(row: AnyRow, paced: PacedList, spent: Spent) -> tuple[object, ...]:
    return (
        row.zone,
        row.resolver,
        _family(row),
        _health_word(row),
        f"{row.fault or 'unknown'}: {row.reason}" if not row.is_healthy else None,
        _minute(row.since),
        row.passes,
        f"{spent.in_24_hours:,} of {paced.allowance.per_day:,}",
        duration(paced.turns.interval_seconds),
    )


def _budget_row(one: PacedList, spent: Spent, report: SweepReport) -> tuple[object, ...]:
    state = "asked"
    if one.refused_because is not None:
        state = "refused"
    elif one.zone in report.resting:
        state = f"rests until {_minute(report.resting[one.zone])}"
    elif room(one.allowance, spent) < most_sent(one.turns.batch, one.turns.test_points):
        state = "nothing left until older questions are a day old"
    turn = None if one.refused_because else duration(one.turns.interval_seconds)
    return one.zone, spent.in_24_hours, one.allowance.per_day, one.allowance.source, turn, state


def _family(row: AnyRow) -> str:
    return f"IPv{row.ip_version}"


def _health_word(row: AnyRow) -> str:
    return "healthy" if row.is_healthy else "quarantined"


def _minute(at: datetime | None) -> str | None:
    return None if at is None else f"{at:%Y-%m-%d %H:%M}"
