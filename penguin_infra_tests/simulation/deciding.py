"""What the sensors and their jobs do in the product: real policies over the year's facts, guardrails, the act.

Acts take their time: twenty minutes for a new node, twenty-five for a resize, an hour for one that leaves.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from ipaddress import IPv4Address
from random import Random
from uuid import UUID

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.delivery import DeliveryFacts, NodeDelivery
from penguin_infra.domain.fleet_size import RipeNode, look_ahead
from penguin_infra.domain.guardrails import Rejection, floor_breach
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.domain.policies import pause_bouncing, pause_listed
from penguin_infra.domain.policies.grow_fleet import plan_growth
from penguin_infra.domain.policies.resize_deep_queue import NAME as RESIZE
from penguin_infra.domain.policies.resize_deep_queue import plan_resizes
from penguin_infra.domain.policies.resume_recovered import PausedNode, plan_resumes
from penguin_infra.domain.policies.shrink_fleet import NAME as SHRINK
from penguin_infra.domain.policies.shrink_fleet import propose_shrink
from penguin_infra.domain.queue_pressure import QueueingNode
from penguin_infra.domain.warmup_state import begin_warmup
from penguin_infra_tests.simulation.ledger import Ledger
from penguin_infra_tests.simulation.limits import Limits
from penguin_infra_tests.simulation.nodes import LADDER, RUNGS, SimulatedNode, plan_of
from penguin_infra_tests.simulation.record import Deed, Year
from penguin_infra_tests.simulation.sizing import NEW_NODE, Sizing
from penguin_infra_tests.simulation.warming import STEPS, review, take

_PROVISIONING = timedelta(minutes=20)
_RESIZING = timedelta(minutes=25)
_LEAVING = timedelta(hours=1)
_PERSON = "person:simulated"
_LIST_ADDRESS = IPv4Address("192.0.2.1")


class Deciding:
    """The fleet's own judgement over a year, and the one person who approves, resumes and repairs."""

    def __init__(self, nodes: list[SimulatedNode], year: Year, limits: Limits, random: Random) -> None:
        self.nodes = nodes
        self.year = year
        self.limits = limits
        self.sizing = Sizing()
        self.ledger = Ledger(limits.guardrails)
        self._random = random
        self._by_id = {node.node_id: node for node in nodes}
        self._approve_at: dict[UUID, datetime] = {}

    def add(self, region: str, now: datetime) -> SimulatedNode:
        """A node is asked for."""
        number = len(self.nodes)
        node = SimulatedNode(
            UUID(int=number), f"node-{number:03}", region, NEW_NODE.plan, NodeStatus.PROVISIONING,
            ready_at=now + _PROVISIONING,
        )  # fmt: skip
        self.nodes.append(node)
        self._by_id[node.node_id] = node
        return node

    def finish_work(self, now: datetime, gone: frozenset[str]) -> None:
        """What has had its time is done: nodes come, come back, and leave."""
        for node in self.nodes:
            if node.status is NodeStatus.DECOMMISSIONED:
                continue
            if node.ready_at and now >= node.ready_at:
                self._admit(node, now, is_gone=node.region in gone)
            if node.away_until and now >= node.away_until:
                self._come_back(node, now)
            if node.listed_until and now >= node.listed_until:
                node.listed_until = None
                if node.status is NodeStatus.PAUSED and node.paused_by == pause_listed.NAME:
                    self._resume(node, now)  # by a person: the fleet does not undo it

    def decide_hour(self, now: datetime) -> None:
        """The sensors of an hour, urgent ones first."""
        self._pause_and_resume(now)
        self._advance_warmups(now)
        self._grow(now)
        if now.hour == 10:
            self._propose_shrink(now)
        self._approve(now)

    def decide_resizes(self, now: datetime) -> None:
        """The resize sensor, which looks at queues every five minutes."""
        facts = [
            QueueingNode(
                node.node_id, node.label, node.region, node.plan, node.status, tuple(node.windows),
                node.to_plan is not None, node.resized_at,
            )
            for node in self.nodes
            if node.windows or node.to_plan
        ]  # fmt: skip
        if not facts:
            return
        room = self.year.most_monthly_usd - self.sizing.size(self.nodes, now).monthly_usd
        plan = plan_resizes(facts, ladder=LADDER, spend_room_usd=room, limits=self.limits.resize, now=now)
        self.sizing.wanted = {}
        for asked in plan.another_node:
            self.sizing.wanted[asked.region] = self.sizing.wanted.get(asked.region, 0) + 1
        to_plan = {proposal.node_id: proposal.to_plan for proposal in plan.resizes}
        for node in self._allowed(
            [PlannedAction(each.node_id, ActionKind.RESIZE, each.reason, RESIZE) for each in plan.resizes],
            now,
        ):
            node.to_plan = to_plan[node.node_id]
            node.away_until = now + _RESIZING

    def _allowed(self, actions: Sequence[PlannedAction], now: datetime) -> list[SimulatedNode]:
        """What the guardrails let pass, each with its deed written down; proposals wait for a person."""
        if not actions:
            return []
        decision = self.ledger.decide(actions, self.ledger.facts(self.nodes, self._demand, now), now)
        for action in decision.proposed:
            self.ledger.proposed[action.node_id, action.kind] = (action, now)
            self._approve_at[action.node_id] = now + timedelta(hours=self._random.randint(24, 48))
        taken: set[UUID] = set()
        for action in decision.allowed:
            self._write(action, taken, now)
            taken.add(action.node_id)
        return [self._by_id[action.node_id] for action in decision.allowed]

    def _write(self, action: PlannedAction, taken: set[UUID], now: datetime, *, by_person: bool = False) -> None:
        node = self._by_id[action.node_id]
        is_own = node.is_in_rotation
        sending = [n for n in self.nodes if n.is_in_rotation and n is not node and n.node_id not in taken]
        facts = self.ledger.facts(self.nodes, self._demand, now)
        self.year.deeds.append(
            Deed(
                at=now, kind=action.kind, node_id=node.node_id, label=node.label, requested_by=action.requested_by,
                reason=action.reason, by_person=by_person, is_own=is_own, sending=len(sending),
                fleet_size=facts.fleet_size, capacity_left=sum(n.per_day for n in sending),
                demand=self.true_demand, disruptions=facts.disruptions_last_hour,
            )
        )  # fmt: skip

    @property
    def _demand(self) -> float | None:
        recent = self.sizing.recent
        return sorted(recent)[(len(recent) - 1) // 2] if recent else None

    @property
    def true_demand(self) -> float:
        """What the last 24 hours really asked for."""
        return float(sum(hour.asked for hour in self.year.hours[-24:]))

    def _pause_and_resume(self, now: datetime) -> None:
        sending = [node for node in self.nodes if node.status in SENDING_STATUSES]
        listed = [pause_listed.ListedNode(
            node.node_id, node.label, _LIST_ADDRESS,
            (pause_listed.OpenListing("zen.spamhaus.org", Severity.CRITICAL, ("127.0.0.2",), now, False),),
        ) for node in sending if node.listed_until]  # fmt: skip
        bouncing = [self._delivery(node, now) for node in sending if node.bounce_share > 0.1]
        pauses = (*pause_listed.plan_pauses(listed), *pause_bouncing.plan_pauses(bouncing, self.limits.delivery, now))
        by_whom = {action.node_id: action.requested_by for action in pauses}
        for node in self._allowed(pauses, now):
            node.left_status, node.status = node.status, NodeStatus.PAUSED
            node.paused_by, node.paused_at, node.bounce_share = by_whom[node.node_id], now, 0.005
            self.ledger.end(node.node_id, ActionKind.PAUSE)
        paused = [
            PausedNode(node.node_id, node.label, node.paused_by, node.paused_at, node.listed_until is not None)
            for node in self.nodes
            if node.status is NodeStatus.PAUSED and node.paused_at
        ]
        for node in self._allowed(plan_resumes(paused, self.limits.delivery, now), now):
            self._resume(node, now)
            self.ledger.end(node.node_id, ActionKind.RESUME)

    def _delivery(self, node: SimulatedNode, now: datetime) -> NodeDelivery:
        ended, bounced, complained = (sum(hour[each] for hour in node.hours) for each in range(3))
        facts = DeliveryFacts(sent=ended - bounced, hard_bounces=bounced, complaints=complained)
        return NodeDelivery(node.node_id, node.label, now - timedelta(days=1), now, facts)

    def _resume(self, node: SimulatedNode, now: datetime) -> None:
        node.status = node.left_status or NodeStatus.WARMING
        node.returned_at, node.paused_at, node.left_status = now, None, None
        node.hours.clear()

    def _admit(self, node: SimulatedNode, now: datetime, *, is_gone: bool) -> None:
        node.ready_at = None
        if is_gone:
            # Three attempts failed; what was asked for is released.
            node.status = NodeStatus.DECOMMISSIONED
            self.year.failed_requests.append(now)
            return
        node.status, node.state = NodeStatus.WARMING, begin_warmup(plan_of(node.plan), now)

    def _come_back(self, node: SimulatedNode, now: datetime) -> None:
        node.away_until = None
        if node.is_leaving:
            node.status, node.is_leaving = NodeStatus.DECOMMISSIONED, False
            self.ledger.end(node.node_id, ActionKind.DECOMMISSION)
        if node.to_plan:
            node.plan, node.to_plan, node.resized_at = node.to_plan, None, now
            node.rate = RUNGS[node.plan].messages_per_hour
            node.windows.clear()
            self.ledger.end(node.node_id, ActionKind.RESIZE)

    def _advance_warmups(self, now: datetime) -> None:
        steps = {node.node_id: step for node in self.nodes if (step := review(node, now)) and step.decision in STEPS}
        actions = [
            PlannedAction(node_id, ActionKind.ADVANCE_WARMUP, step.reasons[0], "policy:advance_warmup")
            for node_id, step in steps.items()
        ]
        for node in self._allowed(actions, now):
            take(node, steps[node.node_id])
            self.ledger.end(node.node_id, ActionKind.ADVANCE_WARMUP)

    def _grow(self, now: datetime) -> None:
        size = self.sizing.size(self.nodes, now)
        plan = plan_growth(size, new_node=NEW_NODE, limits=self.limits.growth)
        for region, count in plan.by_region:
            for _ in range(count):
                self.add(region, now)
                self.sizing.requested_at.append(now)
        if plan.count:
            peak = look_ahead(size, NEW_NODE, self.limits.growth).peak_demand(0)
            in_service = float(sum(node.per_day for node in self.nodes))
            self.year.requests.append((now, plan.count, peak, in_service, plan.reason))

    def _propose_shrink(self, now: datetime) -> None:
        size = self.sizing.size(self.nodes, now)
        if any(kind is ActionKind.DECOMMISSION for _, kind in self.ledger.proposed):
            return
        candidates = [
            RipeNode(node.node_id, node.label, node.region, 90, node.per_day, node.monthly_usd)
            for node in self.nodes
            if node.status is NodeStatus.ACTIVE
        ]
        plan = propose_shrink(
            size, candidates, new_node=NEW_NODE, growth=self.limits.growth, limits=self.limits.shrink, now=now
        )
        self._allowed(
            [
                PlannedAction(node_id, ActionKind.DECOMMISSION, plan.reason, SHRINK, needs_approval=True)
                for node_id in plan.node_ids
            ],
            now,
        )

    def _approve(self, now: datetime) -> None:
        """One proposal an hour, a day or two after it was made; what the fleet has outgrown since is rejected."""
        for key, (action, proposed_at) in list(self.ledger.proposed.items()):
            if now < self._approve_at[action.node_id]:
                continue
            node = self._by_id[action.node_id]
            has_grown = bool(self.sizing.requested_at) and self.sizing.requested_at[-1] >= proposed_at
            if has_grown or node.status is not NodeStatus.ACTIVE:
                del self.ledger.proposed[key]
                self.ledger.rejected[key] = Rejection(_PERSON, now)
                continue
            facts = self.ledger.facts(self.nodes, self._demand, now)
            if floor_breach(action.node_id, action.kind, facts, self.limits.guardrails) or not node.is_in_rotation:
                continue
            if self.ledger.disruptions(now) >= self.limits.guardrails.disruptions_per_hour(facts.fleet_size):
                continue
            del self.ledger.proposed[key]
            self.ledger.begin(node.node_id, action.kind, now)
            self._write(action, set(), now, by_person=True)
            size = self.sizing.size(self.nodes, now)
            peak = look_ahead(size, NEW_NODE, self.limits.growth).peak_demand(0)
            self.year.shrinks.append((now, peak, float(sum(each.per_day for each in self.nodes))))
            self.sizing.shrunk_at = now
            node.is_leaving, node.away_until = True, now + _LEAVING
            return
