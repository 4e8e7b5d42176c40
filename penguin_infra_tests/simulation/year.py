"""A year of the fleet, hour by hour: troubles strike, the fleet decides, mail flows. Where queues are deep, by minutes.

The same seed is the same year, to the last message.
"""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.demand import DemandHour
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.sending_allowance import allowance_now
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra_tests.simulation.deciding import Deciding
from penguin_infra_tests.simulation.limits import Limits
from penguin_infra_tests.simulation.mail import deliver, end_hour, place, see_window
from penguin_infra_tests.simulation.nodes import SimulatedNode, plan_of
from penguin_infra_tests.simulation.record import HourSeen, WarmingDay, Year
from penguin_infra_tests.simulation.sizing import NEW_NODE
from penguin_infra_tests.simulation.weather import REGIONS, Event, Trouble, Weather

BEGIN_AT = datetime(2027, 1, 4, tzinfo=UTC)  # a Monday
_FIRST_NODES = 10
_STEPS_AN_HOUR = 12
# From here on a queue is looked at every five minutes; the rule's own limit is a thousand.
_WATCHED_DEPTH = 400


def live(weather: Weather, limits: Limits | None = None) -> Year:
    """Live through it."""
    limits = limits or Limits()
    cap = limits.growth.most_monthly_usd
    if cap is None:
        raise ValueError("a simulated fleet has a cap on its spending: set limits.growth.most_monthly_usd")
    year = Year(weather, BEGIN_AT, cap)
    world = _World(year, limits)
    for hour in range(len(weather.demand)):
        world.live_hour(hour)
    year.refusals = dict(world.fleet.ledger.refusals)
    return year


class _World:
    def __init__(self, year: Year, limits: Limits) -> None:
        self.year = year
        self.random = Random(-1 - year.weather.seed)
        self.nodes = [_ripe_node(number) for number in range(_FIRST_NODES)]
        self.fleet = Deciding(self.nodes, year, limits, self.random)
        self.peaks: dict[UUID, tuple[int, int]] = {}

    def live_hour(self, hour: int) -> None:
        now = BEGIN_AT + timedelta(hours=hour)
        events = self.year.weather.at(hour)
        self._strike(events, hour, now)
        gone = frozenset(event.region for event in events if event.trouble is Trouble.REGION_OUTAGE)
        self.fleet.finish_work(now, gone)
        self._allow(now)
        self.fleet.decide_hour(now)
        self._allow(now)
        ended, refused = self._send(hour, events, now)
        self._end(hour, events, ended, refused, now + timedelta(hours=1))

    def _strike(self, events: tuple[Event, ...], hour: int, now: datetime) -> None:
        """Troubles find their nodes."""
        for node in self.nodes:
            if node.silent_until and now >= node.silent_until:
                node.silent_until = None
        for event in events:
            self._strike_one(event, hour, now)

    def _strike_one(self, event: Event, hour: int, now: datetime) -> None:
        serving = [node for node in self.nodes if node.status in SENDING_STATUSES]
        if event.trouble is Trouble.REGION_OUTAGE:
            for node in serving:
                if node.region == event.region:
                    node.silent_until = BEGIN_AT + timedelta(hours=event.end)
            return
        if event.begin != hour or not serving:
            return
        if event.trouble is Trouble.LISTING_WAVE:
            for node in self.random.sample(serving, max(1, round(len(serving) * event.strength))):
                node.listed_until = now + timedelta(hours=self.random.randint(36, 96))
        elif event.trouble is Trouble.HARDWARE_FAULT:
            self.random.choice(serving).silent_until = now + timedelta(hours=event.hours)
        elif event.trouble is Trouble.BAD_LIST:
            self.random.choice(serving).bounce_share = event.strength

    def _allow(self, now: datetime) -> None:
        """What each warming node may send in this hour."""
        for node in self.nodes:
            if node.status is NodeStatus.WARMING and node.state:
                allowed = allowance_now(node.state.daily, node.sent_today, node.sent_this_hour, now)
                node.hour_allowance = min(allowed.hour, allowed.day - node.sent_today + node.sent_this_hour)
                most, highest = self.peaks.get(node.node_id, (0, 0))
                self.peaks[node.node_id] = (most, max(highest, node.state.daily))

    def _send(self, hour: int, events: tuple[Event, ...], now: datetime) -> tuple[int, int]:
        asked = self.year.weather.demand[hour]
        known = {event.trouble: event for event in events}
        put_off = known[Trouble.MAILBOX_OUTAGE].strength if Trouble.MAILBOX_OUTAGE in known else 0.0
        lie = known.get(Trouble.LYING_METRIC)
        rate = sum(node.rate for node in self.nodes if node.is_in_rotation and node.status is NodeStatus.ACTIVE)
        is_watched = (
            bool(put_off) or lie is not None or Trouble.HOT_NODE in known or asked > 0.95 * rate
            or any(node.depth >= _WATCHED_DEPTH or node.away_until for node in self.nodes)
        )  # fmt: skip
        steps = _STEPS_AN_HOUR if is_watched else 1
        span, ended, refused = 1 / steps, 0, 0
        for step in range(1, steps + 1):
            at = now + timedelta(hours=step * span)
            arrived = asked * step // steps - asked * (step - 1) // steps
            self._heat(known.get(Trouble.HOT_NODE), span)
            refused += place(self.nodes, arrived, span)
            for node in self.nodes:
                if node.status not in SENDING_STATUSES:
                    continue
                done, deferrals = deliver(node, span, put_off=put_off, random=self.random, now=at)
                ended += done
                if is_watched:
                    see_window(node, done, deferrals, lie=lie.strength if lie else None, now=at)
                else:
                    node.windows.clear()
            if is_watched:
                if step < steps:
                    self.fleet.finish_work(at, frozenset())
                self.fleet.decide_resizes(at)
        return ended, refused

    def _heat(self, event: Event | None, span: float) -> None:
        """A customer who is bound to one node asks for more than its plan delivers."""
        if event is None:
            return
        here = [node for node in self.nodes if node.status is NodeStatus.ACTIVE and node.region == event.region]
        if here and here[0].is_in_rotation:
            here[0].queue += int(2_500 * event.strength * span)

    def _end(self, hour: int, events: tuple[Event, ...], ended: int, refused: int, now: datetime) -> None:
        """The hour's books, true ones and those that were told."""
        for node in self.nodes:
            if node.status is NodeStatus.DECOMMISSIONED:
                continue
            if node.node_id in self.peaks:
                most, highest = self.peaks[node.node_id]
                self.peaks[node.node_id] = (max(most, node.sent_this_hour), highest)
            end_hour(node)
            if node.status is NodeStatus.PAUSED:
                node.queue = 0  # what it holds is given to others by the platform
            if now.hour == 0:
                if node.node_id in self.peaks:
                    most, highest = self.peaks.pop(node.node_id)
                    self.year.warming_days.append(WarmingDay(now, node.label, node.sent_today, most, highest))
                node.sent_today = 0
        depth = sum(node.depth for node in self.nodes)
        self.year.deepest_queue = max(self.year.deepest_queue, *(node.depth for node in self.nodes))
        before = self.year.hours[-1].depth if self.year.hours else 0
        known = [node for node in self.nodes if node.status is not NodeStatus.DECOMMISSIONED]
        self.year.hours.append(
            HourSeen(
                at=now - timedelta(hours=1), asked=max(0, ended + refused + depth - before), ended=ended,
                refused=refused, depth=depth, capacity=sum(node.per_day for node in known),
                monthly_usd=sum((node.monthly_usd for node in known), NEW_NODE.monthly_usd * 0),
                by_status=Counter(node.status.value for node in known),
            )
        )  # fmt: skip
        told = DemandHour(now - timedelta(hours=1), ended, refused, depth)
        for event in events:
            if event.trouble is Trouble.LYING_METRIC and event.begin == hour:
                told = _lied(told, event.strength)
        self.fleet.sizing.measure(told, now)


def _lied(told: DemandHour, strength: float) -> DemandHour:
    """A counter that overflowed, one that ran backwards, or a queue's depth that nobody can have."""
    return (
        replace(told, ended=10**12),
        replace(told, ended=-(10**9)),
        replace(told, queue_depth=10**12),
        replace(told, queue_depth=-(10**9)),
        replace(told, refused=10**10),
    )[int(strength * 5) % 5]


def _ripe_node(number: int) -> SimulatedNode:
    state = WarmupState("cautious", plan_of("ssd-1").full_daily, BEGIN_AT - timedelta(days=60))
    return SimulatedNode(
        UUID(int=number), f"node-{number:03}", REGIONS[number % len(REGIONS)], "ssd-1", NodeStatus.ACTIVE, state,
        stage=DeliveryFacts(),
    )  # fmt: skip
