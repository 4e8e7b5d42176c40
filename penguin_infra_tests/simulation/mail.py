"""The mail of an hour or of five minutes: placed on the nodes in rotation, sent, put off, bounced, or turned away.

The dispatcher is the platform's, and simulated; how much a warming node may send is the domain's own rule.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import Random

from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.queue_pressure import QueueWindow
from penguin_infra_tests.simulation.nodes import SimulatedNode

# What a node's queue may hold, in hours of its plan's throughput; what is beyond is turned away.
_LONGEST_QUEUE_HOURS = 3
_COMPLAINT_SHARE = 0.0001


def place(nodes: Sequence[SimulatedNode], arrived: int, span: float) -> int:
    """Hand out what came in within `span` hours; how much is turned away. Warming nodes first: they must be seen."""
    serving = [node for node in nodes if node.is_in_rotation]
    left = arrived
    warming = [node for node in serving if node.status is NodeStatus.WARMING]
    for node in sorted(warming, key=lambda each: (each.hour_allowance, each.label)):
        room = min(node.hour_allowance - node.sent_this_hour, int(node.rate * span)) - node.queue
        taken = max(0, min(left, room))
        node.queue += taken
        left -= taken
    active = [node for node in serving if node.status is NodeStatus.ACTIVE]
    left = _share(active, left, [node.rate * span - node.queue for node in active])
    return _share(active, left, [node.rate * _LONGEST_QUEUE_HOURS - node.depth for node in active])


def _share(nodes: Sequence[SimulatedNode], messages: int, rooms: Sequence[float]) -> int:
    """Spread over the nodes by their room; what is left."""
    total = sum(max(0.0, room) for room in rooms)
    if messages <= 0 or total <= 0:
        return messages
    part = min(1.0, messages / total)
    left = messages
    for node, room in zip(nodes, rooms, strict=True):
        taken = min(left, int(max(0.0, room) * part))
        node.queue += taken
        left -= taken
    return left if part == 1.0 else max(0, left - _remainder(nodes, left))


def _remainder(nodes: Sequence[SimulatedNode], left: int) -> int:
    """What rounding left over goes to the first node."""
    nodes[0].queue += left
    return left


def deliver(node: SimulatedNode, span: float, *, put_off: float, random: Random, now: datetime) -> tuple[int, int]:
    """Send for `span` hours; the deliveries that ended, and the deferrals. `put_off`: the share that others defer."""
    if not node.is_in_rotation and not node.is_leaving:
        return 0, 0
    if put_off == 0 and node.deferred:
        # Postfix tries again within the hour; what was put off comes back at once, not as there is room.
        back = min(node.deferred, 1 + int(node.deferred * min(1.0, span)))
        node.deferred -= back
        node.queue += back
    tried = min(node.queue, int(node.rate * span))
    if node.status is NodeStatus.WARMING:
        tried = max(0, min(tried, node.hour_allowance - node.sent_this_hour))
    deferred = int(tried * put_off)
    ended = tried - deferred
    node.queue -= tried
    again = int(node.deferred * min(1.0, span)) if put_off else 0
    node.deferred += deferred
    if node.deferred:
        node.deferred_at = node.deferred_at or now
    else:
        node.deferred_at = None
    bounced = int(ended * node.bounce_share + random.random())
    complained = int(ended * _COMPLAINT_SHARE + random.random())
    bounced = min(bounced, ended)
    node.sent_this_hour += ended
    node.sent_today += ended
    node.bounced_this_hour += bounced
    node.complained_this_hour += min(complained, ended - bounced)
    if ended:
        node.last_sent_at = now
    return ended, deferred + again


def end_hour(node: SimulatedNode) -> None:
    """Put the hour's counts where they are judged from."""
    ended, bounced, complained = node.sent_this_hour, node.bounced_this_hour, node.complained_this_hour
    node.hours.append((ended, bounced, complained))
    if node.status is NodeStatus.WARMING:
        node.stage_hours.append(ended - bounced)
        facts = node.stage
        node.stage = replace(
            facts,
            sent=facts.sent + ended - bounced,
            hard_bounces=facts.hard_bounces + bounced,
            complaints=facts.complaints + complained,
        )
    node.sent_this_hour = node.bounced_this_hour = node.complained_this_hour = 0


def see_window(node: SimulatedNode, ended: int, deferrals: int, *, lie: float | None, now: datetime) -> None:
    """Five minutes of a node as its agent tells them; a lie is at one time a huge number, at another a negative one."""
    waited = node.queue / node.rate * 3_600
    put_off = (now - node.deferred_at) / timedelta(seconds=1) if node.deferred_at else 0.0
    window = QueueWindow(
        measured_at=now,
        depth=node.depth,
        deferred=node.deferred,
        oldest_age_seconds=int(max(waited, put_off)) if node.depth else None,
        ended=ended,
        deferrals=deferrals,
        cpu_percent=15 + 80 * min(1.0, (ended + deferrals) * 12 / node.rate),
        memory_percent=40.0,
        is_held=node.status is NodeStatus.WARMING and node.sent_this_hour >= node.hour_allowance,
    )
    if lie is not None:
        absurd = int(lie * 1_000) % 3
        window = replace(window, cpu_percent=(1e9, -40.0, None)[absurd])
        # A depth that lies does so for a moment: one that always did could not be told from the truth.
        if now.minute == 20:
            window = replace(window, depth=(10**12, -(10**6), 10**9)[absurd], oldest_age_seconds=(10**9, -5, 0)[absurd])
    node.windows.append(window)
    del node.windows[:-7]
