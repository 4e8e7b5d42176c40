"""What a lab's past leaves in the registry, the ledger and the bill: rows of tables by their columns' names.

What happened to its addresses and its health is `lab_past_events.py`'s.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from itertools import pairwise
from uuid import UUID, uuid5

from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra.lab.hostwind_addresses import address_of
from penguin_infra.lab.hostwind_plans import HOURS_A_MONTH, PLANS
from penguin_infra.lab.past import Past, PastAction, PastInstance, PastNode, PastPrice
from penguin_infra.lab.past_mail import PastHour
from penguin_infra.store.nodes import REQUESTED

Rows = Iterator[Mapping[str, object]]

_ID_PREFIX = "hw-"
_CURVE, _FULL_DAILY = "lab", 33_600
# From an instance's creation until the provider shows its address.
_ADDRESS_AFTER = timedelta(seconds=40)
_FOREIGN_LABEL = "panel-vps-1"
_ORPHANED_LABEL = "former-012"


@dataclass(frozen=True, slots=True)
class Names:
    """What the past's instances are called: by the fleet they belong to."""

    past: Past
    fleet_name: str
    zone: str

    @property
    def labels(self) -> dict[int, str]:
        """Each instance's label at the provider, by its number."""
        labels = {self.past.foreign.number: _FOREIGN_LABEL}
        orphaned = uuid5(self.past.nodes[0].node_id, _ORPHANED_LABEL)
        label = InstanceLabel.of(fleet_name=self.fleet_name, label=_ORPHANED_LABEL, node_id=orphaned)
        labels[self.past.orphan.number] = str(label)
        for node in self.past.nodes:
            for number, instance in enumerate(node.instances, start=1):
                label = InstanceLabel.of(
                    fleet_name=self.fleet_name, label=node.label, node_id=node.node_id, instance_try=number
                )
                labels[instance.number] = str(label)
        return labels


def provider_id(instance: PastInstance) -> str:
    """The instance's id at the simulated provider."""
    return f"{_ID_PREFIX}{instance.number}"


def address(instance: PastInstance) -> IPv4Address:
    """The address that it had."""
    return address_of(instance.number - 1)


def node_rows(names: Names, scores: Mapping[UUID, int]) -> Rows:
    """The nodes as they are now: gone."""
    for node in names.past.nodes:
        last = node.instances[-1]
        yield {
            "id": node.node_id,
            "provider_id": provider_id(last),
            "ip_address": address(last),
            "hostname": f"{node.label}.{names.zone}",
            "region": node.region,
            "status": NodeStatus.DECOMMISSIONED.value,
            "reputation_score": scores.get(node.node_id, 100),
            "created_at": node.requested_at,
            "label": node.label,
            "plan": last.terms[-1].plan,
            "requested_by": node.requested_by,
            "updated_at": node.ended_at,
            "health_since": node.ended_at,
            "instance_try": len(node.instances),
        }


def tenure_rows(past: Past) -> Rows:
    """Which node held which address, and when."""
    for node in past.nodes:
        for instance in node.instances:
            yield {
                "node_id": node.node_id,
                "ip_address": address(instance),
                "began_at": instance.created_at + _ADDRESS_AFTER,
                "ended_at": instance.deleted_at,
            }


def action_rows(past: Past) -> Rows:
    """What was done to the nodes, as the ledger has it."""
    for node in past.nodes:
        for action in node.actions:
            yield {
                "id": _action_id(node, action),
                "node_id": node.node_id,
                "kind": action.kind,
                "status": "failed" if action.is_failed else "succeeded",
                "reason": action.reason,
                "evidence": {},
                "requested_by": action.requested_by,
                "outcome": action.outcome,
                "planned_at": action.planned_at,
                "dispatched_at": action.planned_at,
                "started_at": action.planned_at,
                "finished_at": action.finished_at,
                "decided_by": action.decided_by,
                "decided_at": action.planned_at if action.decided_by else None,
            }


def transition_rows(past: Past) -> Rows:
    """Every change of status, in order: the table numbers them as they come. Raises `IllegalTransition`."""
    changes = [change for node in past.nodes for change in _transitions(node)]
    yield from sorted(changes, key=lambda change: str(change["happened_at"]))


def warmup_rows(past: Past) -> Rows:
    """The warm-ups of nodes that were admitted."""
    for node in past.nodes:
        begun_at, finished_at = node.event_at("admitted"), node.event_at("warmed_up")
        if begun_at is not None:
            yield {
                "node_id": node.node_id,
                "curve": _CURVE,
                "daily": _FULL_DAILY,
                "since_at": finished_at or begun_at,
                "begun_at": begun_at,
                "finished_at": finished_at,
            }


def price_rows(past: Past) -> Rows:
    """What each plan cost and held, from when it did until when that was last seen."""
    for plan in PLANS.values():
        prices = [price for price in past.prices if price.plan == plan.name]
        ends = [later.from_at for _, later in pairwise(prices)] + [past.ended_at]
        for price, end_at in zip(prices, ends, strict=True):
            yield {
                "plan": plan.name,
                "seen_at": price.from_at,
                "last_seen_at": end_at,
                "cpu_count": plan.cpu,
                "memory_mb": plan.memory_mb,
                "disk_gb": plan.disk_gb,
                "transfer_gb": plan.transfer_gb,
                "monthly_usd": price.monthly_usd,
                "hourly_usd": _hourly_usd(price),
            }


def spell_rows(names: Names) -> Rows:
    """What the provider billed, plan by plan."""
    owners = {instance.number: node for node in names.past.nodes for instance in node.instances}
    labels = names.labels
    for instance in names.past.instances:
        ends = [later.from_at for _, later in pairwise(instance.terms)] + [instance.deleted_at]
        for terms, end_at in zip(instance.terms, ends, strict=True):
            owner = owners.get(instance.number)
            yield {
                "provider_id": provider_id(instance),
                "began_at": terms.from_at,
                "ended_at": end_at,
                "plan": terms.plan,
                "extra_addresses": terms.extra_addresses,
                "label": labels[instance.number],
                "region": instance.region,
                "node_id": owner.node_id if owner else None,
            }


def hour_rows(hours: Iterable[PastHour]) -> Rows:
    """The mail, hour by hour."""
    for hour in hours:
        yield {
            "node_id": hour.node.node_id,
            "hour_at": hour.hour_at,
            "mailbox_provider": hour.mailbox_provider,
            "sent": hour.sent,
            "hard_bounces": hour.hard_bounces,
            "soft_bounces": hour.soft_bounces,
            "policy_rejections": hour.policy_rejections,
            "expired": hour.expired,
            "deferrals": hour.deferrals,
        }


def _transitions(node: PastNode) -> Rows:
    status = NodeStatus.PROVISIONING
    yield {
        "node_id": node.node_id,
        "from_status": None,
        "to_status": status.value,
        "event": REQUESTED,
        "reason": node.reason,
        "requested_by": node.requested_by,
        "action_id": None,
        "happened_at": node.requested_at,
    }
    for action in node.actions:
        if action.event is None:
            continue
        former, status = status, next_status(status, NodeEvent(action.event))
        yield {
            "node_id": node.node_id,
            "from_status": former.value,
            "to_status": status.value,
            "event": action.event,
            "reason": action.reason,
            "requested_by": action.requested_by,
            "action_id": _action_id(node, action),
            "happened_at": action.finished_at,
        }


def _action_id(node: PastNode, action: PastAction) -> UUID:
    return uuid5(node.node_id, f"{action.kind} {action.planned_at.isoformat()}")


def _hourly_usd(price: PastPrice) -> Decimal:
    """As the provider makes an hour's price of a month's."""
    return (price.monthly_usd / HOURS_A_MONTH).quantize(Decimal("0.000001"))
