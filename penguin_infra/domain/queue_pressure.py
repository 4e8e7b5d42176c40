"""Whether a node's queue stays deep, and whose fault it is: its own resources', an allowance's, or remote hosts'.

Sums over the last windows, by medians: one absurd window decides nothing. What is done about it is
`policies/resize_deep_queue.py`'s.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import pairwise
from statistics import median
from uuid import UUID

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.node import NodeStatus


class Resource(StrEnum):
    """What of a node's own may hold up its queue."""

    CPU = "cpu"
    MEMORY = "memory"
    THROUGHPUT = "throughput"


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """When a queue is deep, and when a resource is used up.

    Six windows of five minutes: half an hour, twice what the CPU's alert waits, since a resize takes the node out of
    service. A mail that waits a quarter of an hour is late for whoever sent it. Once deep, a queue must fall below half
    in some window to count as calm again (hysteresis). 85 % is the CPU alert's; above 90 % of memory a VPS swaps; a
    plan's rated throughput is never met to the last mail. A queue of which half was put off by others is theirs. When
    they accept again it comes back all at once, and the node is busy with it until it is gone: one that empties within
    half a day needs no larger plan for good.
    """

    windows: int = 6
    window_minutes: int = 5
    deep_messages: int = 1_000
    old_seconds: int = 900
    calm_share: float = 0.5
    cpu_percent: float = 85
    memory_percent: float = 90
    throughput_share: float = 0.9
    deferred_share: float = 0.5
    emptying_hours: float = 12

    @property
    def windows_an_hour(self) -> float:
        """What makes a window's count an hour's."""
        return 60 / self.window_minutes


@dataclass(frozen=True, slots=True)
class QueueWindow:
    """A node's queue and resources over one window; None where it could not be read.

    `deferred`: of the `depth`, what remote hosts put off. `ended` and `deferrals` count deliveries of the window.
    `is_held`: the transport was held, or the allowance spent.
    """

    measured_at: datetime
    depth: int
    deferred: int
    oldest_age_seconds: int | None
    ended: int
    deferrals: int
    cpu_percent: float | None
    memory_percent: float | None
    is_held: bool = False


@dataclass(frozen=True, slots=True)
class QueueingNode:
    """A node with its last windows, the oldest first. `resized_at`: when its last resize ended, well or badly."""

    node_id: UUID
    label: str
    region: str
    plan: str
    status: NodeStatus
    windows: tuple[QueueWindow, ...]
    is_resizing: bool = False
    resized_at: datetime | None = None


def stays_deep(node: QueueingNode, limits: QueueLimits, now: datetime) -> bool:
    """Whether depth and oldest age stayed high over the last windows, all of them known, fresh and without a gap.

    Most windows at the limits, none below the calm share of them: a queue that wavers about a limit is deep still.
    """
    seen = last_windows(node, limits)
    ages = [window.oldest_age_seconds for window in seen if window.oldest_age_seconds is not None]
    if len(ages) < limits.windows or now - seen[0].measured_at > timedelta(
        minutes=limits.window_minutes * (limits.windows + 1)
    ):
        return False
    depths = [window.depth for window in seen]
    return _stayed(depths, limits.deep_messages, limits) and _stayed(ages, limits.old_seconds, limits)


def own_causes(node: QueueingNode, plan: LadderPlan, limits: QueueLimits) -> dict[Resource, str]:
    """The node's resources that are at their plan's limit, each with its sum."""
    seen = last_windows(node, limits)
    causes = {}
    cpu = _usual((window.cpu_percent for window in seen), limits)
    if cpu is not None and cpu >= limits.cpu_percent:
        causes[Resource.CPU] = f"CPU {cpu:.0f} % >= {limits.cpu_percent:g} % of {plan.cpu}"
    memory = _usual((window.memory_percent for window in seen), limits)
    if memory is not None and memory >= limits.memory_percent:
        causes[Resource.MEMORY] = f"memory {memory:.0f} % >= {limits.memory_percent:g} % of {plan.memory_mb:,} MB"
    rate = ended_per_hour(node, limits)
    if rate >= (limit := limits.throughput_share * plan.messages_per_hour):
        causes[Resource.THROUGHPUT] = (
            f"{rate:,.0f} messages an hour >= {limit:,.0f} "
            f"({limits.throughput_share * 100:g} % of {plan.messages_per_hour:,})"
        )
    return causes


def remote_cause(node: QueueingNode, limits: QueueLimits) -> str | None:
    """The sum by which remote hosts hold the queue up; None where they do not."""
    seen = last_windows(node, limits)
    share = median(window.deferred / max(window.depth, 1) for window in seen)
    if share >= limits.deferred_share:
        return f"{share:.0%} of the queue was put off by remote hosts (limit {limits.deferred_share:.0%})"
    tried = [(window.deferrals, window.deferrals + window.ended) for window in seen]
    rate = median(deferrals / max(attempts, 1) for deferrals, attempts in tried)
    if rate >= limits.deferred_share:
        return f"{rate:.0%} of the deliveries were put off by remote hosts (limit {limits.deferred_share:.0%})"
    return None


def emptying(node: QueueingNode, limits: QueueLimits) -> str | None:
    """The sum by which the queue will soon be calm by itself; None where it grows, stays, or takes too long."""
    growth = _growth_per_hour(node, limits)
    above = usual_depth(node, limits) - limits.deep_messages
    if growth >= 0 or above > -growth * limits.emptying_hours:
        return None
    return f"it empties by {-growth:,.0f} an hour (below {limits.deep_messages:,} within {limits.emptying_hours:g} h)"


def is_held_back(node: QueueingNode, limits: QueueLimits) -> bool:
    """Whether the node itself was told to wait, in half of the windows or more."""
    seen = last_windows(node, limits)
    return 2 * sum(window.is_held for window in seen) >= len(seen)


def ended_per_hour(node: QueueingNode, limits: QueueLimits) -> float:
    """The deliveries that usually came to an end in an hour."""
    return median(window.ended for window in last_windows(node, limits)) * limits.windows_an_hour


def needed_per_hour(node: QueueingNode, limits: QueueLimits) -> float:
    """What the node must deliver for its queue not to grow."""
    return ended_per_hour(node, limits) + max(0.0, _growth_per_hour(node, limits))


def usual_depth(node: QueueingNode, limits: QueueLimits) -> float:
    """The queue's depth in the middle of its windows."""
    return median(window.depth for window in last_windows(node, limits))


def usual_age_seconds(node: QueueingNode, limits: QueueLimits) -> float:
    """The age of the queue's oldest mail in the middle of its windows."""
    return median(window.oldest_age_seconds or 0 for window in last_windows(node, limits))


def last_windows(node: QueueingNode, limits: QueueLimits) -> tuple[QueueWindow, ...]:
    """The windows that count."""
    return node.windows[-limits.windows :]


def _growth_per_hour(node: QueueingNode, limits: QueueLimits) -> float:
    growth = median(late.depth - early.depth for early, late in pairwise(last_windows(node, limits)))
    return growth * limits.windows_an_hour


def _stayed(values: list[int], limit: int, limits: QueueLimits) -> bool:
    return median(values) >= limit and min(values) >= limit * limits.calm_share


def _usual(samples: Iterable[float | None], limits: QueueLimits) -> float | None:
    """The median; None where half of the windows or more are not known."""
    known = [sample for sample in samples if sample is not None]
    return median(known) if 2 * len(known) > limits.windows else None
