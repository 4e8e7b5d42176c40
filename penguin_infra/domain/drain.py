"""When a node that leaves has drained: its queue is empty, its time is up, or nothing will get better by waiting.

What is left is always told: how many mails, why they wait, and when the node said so. How long to wait is asked for
(`policies/leave_on_request.py`); that no new mail comes meanwhile is the rotation's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from math import ceil
from typing import Any

# A dispatcher that read the rotation just before may still hand mail over: only a heartbeat (one comes every 30 s) that
# is so much younger than the drain shows an empty queue.
SETTLED_AFTER = timedelta(seconds=30)


class DrainEnd(StrEnum):
    """Why a drain is over."""

    EMPTY = "empty"
    DEADLINE = "deadline"
    SILENT = "silent"
    HELD = "held"


@dataclass(frozen=True, slots=True)
class Queue:
    """A node's queue as its newest heartbeat told it; a count is None where the node could not read it.

    `delay_reasons`: why mails wait, and how many. `is_truncated`: there were more mails than the agent counts.
    """

    heard_at: datetime
    is_silent: bool
    mta_state: str
    active: int | None
    deferred: int | None
    held: int | None
    oldest_seconds: int | None = None
    is_truncated: bool = False
    delay_reasons: tuple[tuple[str, int], ...] = ()

    @property
    def waiting(self) -> int | None:
        """All mails that wait; None where that is not known."""
        if self.active is None or self.deferred is None or self.held is None:
            return None
        return self.active + self.deferred + self.held

    def in_words(self) -> str:
        """What waits, by cause."""
        if self.waiting is None:
            return f"its queue could not be read: the MTA is {self.mta_state}"
        if self.waiting == 0:
            return "no mail waits"
        told = f"{self.active} active, {self.deferred} deferred, {self.held} held"
        if self.oldest_seconds is not None:
            told += f", the oldest for {_span(timedelta(seconds=self.oldest_seconds))}"
        told += "".join(f"; {count} because: {reason}" for reason, count in self.delay_reasons)
        mails = "1 mail waits" if self.waiting == 1 else f"{self.waiting} mails wait"
        return f"{'at least ' if self.is_truncated else ''}{mails} ({told})"

    def as_evidence(self) -> Mapping[str, Any]:
        """The counts as the ledger keeps them."""
        return {
            "active": self.active,
            "deferred": self.deferred,
            "held": self.held,
            "delay_reasons": [{"reason": reason, "count": count} for reason, count in self.delay_reasons],
            "is_truncated": self.is_truncated,
            "heard_at": self.heard_at.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class DrainView:
    """A draining node as it is now. `held_because` is None while it may send, `queue` where it never spoke."""

    held_because: str | None
    is_observer_alive: bool
    queue: Queue | None


@dataclass(frozen=True, slots=True)
class DrainLook:
    """Whether the drain is over, and what there is to say either way."""

    end: DrainEnd | None
    text: str


def look_at_drain(view: DrainView, *, began_at: datetime, until: datetime, now: datetime) -> DrainLook:
    """Judge one look at a node that has drained since `began_at` and may until `until`."""
    told = told_of(view.queue)
    if view.held_because is not None:
        return DrainLook(DrainEnd.HELD, f"{view.held_because}, so nothing was drained: {told}")
    if view.queue is None or view.queue.is_silent:
        return DrainLook(DrainEnd.SILENT, f"it is silent, so nothing can be seen to drain: {told}")
    took = _span(now - began_at)
    if _is_empty(view.queue, began_at):
        return DrainLook(DrainEnd.EMPTY, f"its queue was empty after {took}")
    if now >= until:
        return DrainLook(DrainEnd.DEADLINE, f"its time was up after {took}: {told}" if until > began_at else told)
    if not view.is_observer_alive:
        told = f"no gateway serves, so its queue is not known; {told}"
    # By the minute: whoever watches is told of news, not of every second.
    minutes = ceil((until - now).total_seconds() / 60)
    return DrainLook(None, f"{told}; {f'{minutes} min' if minutes > 1 else 'a minute or less'} left")


def told_of(queue: Queue | None) -> str:
    """What the node last told of its queue."""
    if queue is None:
        return "it never spoke, what waits on it is not known"
    return f"{queue.in_words()}, as it said at {queue.heard_at:%H:%M:%S} UTC"


def _is_empty(queue: Queue, began_at: datetime) -> bool:
    is_recent = queue.heard_at >= began_at + SETTLED_AFTER
    return is_recent and queue.mta_state == "up" and queue.waiting == 0 and not queue.is_truncated


def _span(span: timedelta) -> str:
    seconds = span.total_seconds()
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
