"""A day of a large fleet over the default lists: their terms are kept, every address is seen in time, suspects first.

The clock is simulated and a script stands in for the network; the operation, the budgets and PostgreSQL are real.
"""

import gc
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

import pytest
from sqlalchemy import Engine, text

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.sweep import Progress, SweepResult, SweptObservation
from penguin_infra.domain.list_budget import BudgetLimits, allowance_of
from penguin_infra.domain.list_health import HealthKey, ListHealth
from penguin_infra.domain.listing import Answer, classify
from penguin_infra.domain.listing_advance import ListingChange
from penguin_infra.domain.listing_limits import DEFAULT_LIMITS
from penguin_infra.operations.pace_lists import count_test_points
from penguin_infra.operations.record_looks import SweepReport
from penguin_infra.operations.sweep_blacklists import BlacklistSweep, sweep_blacklists
from penguin_infra.store import list_paces
from penguin_infra_tests.fleets import NOW, address

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"
SENDERSCORE = "bl.score.senderscore.com"
DAY = timedelta(hours=24)

_FLEET = """
WITH made AS (
    INSERT INTO fleet.sending_nodes (label, region, plan, status, requested_by, ip_address, provider_id)
    SELECT 'node-' || number, 'dallas', 'ssd-1', 'active', 'person:test', '127.77.0.0'::inet + number, 'hw-' || number
    FROM generate_series(1, :count) AS number RETURNING id, ip_address
)
INSERT INTO fleet.ip_tenures (node_id, ip_address, began_at) SELECT id, ip_address, :now FROM made
"""


@dataclass
class Day:
    """A fleet, its lists, and what those are asked when; `listed` are hits, by address and zone."""

    engine: Engine
    zones: Sequence[str] | None = None
    every: timedelta = timedelta(hours=1)
    limits: BudgetLimits = field(default_factory=BudgetLimits)
    at: datetime = NOW
    ttl_seconds: int = 60
    listed: set[tuple[IPv4Address, str]] = field(default_factory=set)
    sent: dict[str, list[tuple[datetime, int]]] = field(default_factory=lambda: defaultdict(list))
    addresses_asked: Counter[str] = field(default_factory=Counter)
    looks: dict[str, dict[IPv4Address, list[datetime]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    is_killed: bool = False

    @property
    def lists(self) -> Sequence[Blacklist]:
        return load_catalogue().select(self.zones)

    def now(self) -> datetime:
        self.at += timedelta(milliseconds=1)
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)

    def sweep(self) -> SweepReport:
        return sweep_blacklists(
            BlacklistSweep(
                engine=self.engine,
                lists=self.lists,
                ask=self._ask,
                fetch_reason=self._fetch_reason,
                limits=DEFAULT_LIMITS,
                clock=self,
                say=lambda words: None,
                budgets=self.limits,
                sweep_seconds=self.every.total_seconds(),
            )
        )

    def run(
        self, length: timedelta, *, before_each: Callable[[int], object] = lambda number: None
    ) -> list[SweepReport]:
        """Sweep on schedule for so long."""
        begin, reports = self.at, []
        for number in range(int(length / self.every)):
            self.at = max(self.at, begin + number * self.every)
            before_each(number)
            reports.append(self.sweep())
        self.at = begin + length
        return reports

    def budget(self, zone: str) -> int:
        (blacklist,) = (one for one in self.lists if one.zone == zone)
        return allowance_of(blacklist.published_terms, self.limits).per_day

    def most_in_24_hours(self, zone: str) -> int:
        """The questions of the fullest 24 hours."""
        most, total = 0, 0
        window: deque[tuple[datetime, int]] = deque()
        for at, count in self.sent[zone]:
            window.append((at, count))
            total += count
            while window[0][0] <= at - DAY:
                total -= window.popleft()[1]
            most = max(most, total)
        return most

    def longest_wait(self, zone: str) -> timedelta:
        """The longest that an address waited for its first look, between two, or since the last."""
        return max(
            later - earlier
            for looks in self.looks[zone].values()
            for earlier, later in zip([NOW, *looks], [*looks, self.at], strict=True)
        )

    def interval(self, zone: str) -> timedelta:
        """How often each address's turn comes, as the sweep reckons and shows it."""
        with self.engine.connect() as connection:
            seconds = list_paces.load_paces(connection)[zone].interval_seconds
        assert seconds is not None
        return timedelta(seconds=seconds)

    def in_ledger(self, zone: str) -> int:
        with self.engine.connect() as connection:
            return list_paces.spent_questions(connection, [zone], self.at)[zone].in_24_hours

    def _ask(
        self, askings: Sequence[Asking], health: Mapping[HealthKey, ListHealth], on_progress: Progress
    ) -> SweepResult:
        asked: Counter[str] = Counter()
        observations = []
        for asking in askings:
            zone, codes = asking.blacklist.zone, asking.blacklist.list_codes
            asked[zone] = count_test_points(asking.blacklist, 1) + len(asking.addresses)
            self.addresses_asked[zone] += len(asking.addresses)
            at = self.now()
            self.sent[zone].append((at, asked[zone]))
            clean = classify(Answer(at, "r", is_nxdomain=True), codes)
            code = asking.blacklist.worst_code.code
            hit = classify(Answer(at, "r", (code,), ttl_seconds=self.ttl_seconds), codes)
            for one in asking.addresses:
                assert isinstance(one, IPv4Address)
                self.looks[zone][one].append(at)
                seen = hit if (one, zone) in self.listed else clean
                observations.append(SweptObservation(one, zone, seen, is_list_healthy=True))
        if self.is_killed:
            # As a kill does: the questions are out, and nobody is left to write that down.
            raise KeyboardInterrupt
        found = tuple(ListHealth(zone, "r", 4, self.at) for zone in asked)
        return SweepResult(tuple(observations), found, asked=asked, quota_hit=frozenset())

    def _fetch_reason(self, _: object, blacklist: Blacklist) -> str | None:
        self.sent[blacklist.zone].append((self.now(), 1))
        return "spam"


def add_fleet(engine: Engine, count: int) -> None:
    with engine.begin() as connection:
        connection.execute(text(_FLEET), {"count": count, "now": NOW - DAY})
        connection.execute(text("ANALYZE"))


@pytest.fixture
def uncollected() -> Iterator[None]:
    """No collection of garbage in a test that makes millions of small objects: a third of its time."""
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("uncollected")
def test_ten_thousand_addresses_are_seen_in_time_on_every_list_and_no_lists_day_is_overdrawn(engine: Engine) -> None:
    add_fleet(engine, 10_000)
    # Far apart, for the test's own sake: a sweep then asks all that its two hours allow.
    day = Day(engine, every=timedelta(hours=2))
    bad = [address(number) for number in (17, 4_711, 9_999)]

    def list_in_the_evening(number: int) -> None:
        if number == 3:
            day.listed |= {(one, zone) for one in bad for zone in (ZEN, SPAMCOP)}

    reports = day.run(DAY, before_each=list_in_the_evening)

    for blacklist in day.lists:
        zone = blacklist.zone
        assert len(day.looks[zone]) == 10_000, zone
        assert day.most_in_24_hours(zone) <= day.budget(zone), zone
        # Whose turn comes between two waits for the second.
        assert day.longest_wait(zone) <= day.interval(zone) + day.every, zone
        assert day.in_ledger(zone) >= sum(count for _, count in day.sent[zone]), zone
    confirmed = {
        (one.ip_address, one.zone)
        for report in reports
        for one in report.changes
        if one.change is ListingChange.CONFIRMED
    }
    assert confirmed == day.listed
    for report in reports:
        # Within one sweep, past the first answer's TTL, for all that the day's questions are dealt out.
        assert report.count(ListingChange.SUSPECTED) == report.count(ListingChange.CONFIRMED)


def test_a_list_with_a_small_budget_sees_a_small_fleet_in_batches_and_within_its_month(engine: Engine) -> None:
    add_fleet(engine, 200)
    day = Day(engine, [SENDERSCORE], every=timedelta(minutes=30))
    day.run(3 * DAY)
    assert len(day.looks[SENDERSCORE]) == 200
    assert day.most_in_24_hours(SENDERSCORE) <= 333
    assert day.longest_wait(SENDERSCORE) <= day.interval(SENDERSCORE) + day.every <= DAY
    test_points = sum(count for _, count in day.sent[SENDERSCORE]) - day.addresses_asked[SENDERSCORE]
    assert test_points <= day.addresses_asked[SENDERSCORE] / 10


def test_a_list_whose_terms_the_fleet_breaks_is_not_asked_and_the_others_go_on(engine: Engine) -> None:
    add_fleet(engine, 400)
    day = Day(engine, [SENDERSCORE, ZEN])
    (report,) = day.run(day.every)
    assert list(report.refused) == [SENDERSCORE]
    assert "400 addresses once in 24 h are 400 questions a day; its terms allow 10,000 in 30 days" in str(
        report.refused
    )
    assert (day.sent[SENDERSCORE], len(day.looks[ZEN])) == ([], 400)

    # Whoever asks for fewer is served again.
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.ip_tenures SET ended_at = now() WHERE ip_address > '127.77.0.200'"))
    (report,) = day.run(day.every)
    assert report.refused == {}
    assert len(day.looks[SENDERSCORE]) >= 30


def test_a_suspect_is_confirmed_from_the_reserve_when_the_routine_has_nothing_left(engine: Engine) -> None:
    add_fleet(engine, 100)
    # Too long to be waited for: the second look is the next sweep's.
    day = Day(engine, [ZEN], limits=BudgetLimits(own={ZEN: 2_000}), ttl_seconds=600)
    day.listed.add((address(7), ZEN))
    (report,) = day.run(day.every)
    assert report.count(ListingChange.SUSPECTED) == 1
    with engine.begin() as connection:
        list_paces.add_questions(connection, {ZEN: 1_960 - day.in_ledger(ZEN)}, day.at)
    (report,) = day.run(day.every)
    assert (report.addresses_asked, report.count(ListingChange.CONFIRMED)) == ({ZEN: 1}, 1)


def test_sweeps_that_are_killed_forget_no_question_and_lose_one_pass_each(engine: Engine) -> None:
    add_fleet(engine, 500)
    day = Day(engine, [ZEN], every=timedelta(minutes=30), limits=BudgetLimits(own={ZEN: 3_000}))
    day.is_killed = True
    for _ in range(30):
        with suppress(KeyboardInterrupt):
            day.sweep()
        day.at += timedelta(minutes=30)
        assert day.in_ledger(ZEN) >= sum(count for _, count in day.sent[ZEN])
    day.is_killed = False
    assert 0 < sum(count for _, count in day.sent[ZEN]) < 3_000
    day.run(2 * DAY)
    assert day.most_in_24_hours(ZEN) <= 3_000
    assert len(day.looks[ZEN]) == 500


def test_a_list_that_lists_too_many_of_a_slice_is_frozen_as_one_that_lists_too_many_of_the_fleet(
    engine: Engine,
) -> None:
    add_fleet(engine, 200)
    day = Day(engine, [ZEN], every=timedelta(minutes=5), limits=BudgetLimits(own={ZEN: 1_000}))
    # Ten of two hundred would be believed; five of the first slice are as many as that.
    day.listed |= {(address(number), ZEN) for number in range(1, 6)}
    (report,) = day.run(day.every)
    assert 30 <= report.addresses_asked[ZEN] < 60
    assert report.frozen == [ZEN]
