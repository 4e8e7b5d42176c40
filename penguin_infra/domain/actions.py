"""What the fleet does to a node: an action's kinds and states, and what becomes of it when an attempt ends badly.

An action is data with a reason and evidence. Who plans one stands in `policies/`, who refuses one in `guardrails.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

PERSON_PREFIX = "person:"
# Whoever asks by an API key: an operator's own program, or a person at a console of theirs.
API_PREFIX = "api:"

# In an action's evidence: the person knows that too little sending capacity is left, and means it all the same.
FORCED = "forced"


class ActionKind(StrEnum):
    """The verbs of the ledger, one job each."""

    PAUSE = "pause"
    RESUME = "resume"
    PROVISION = "provision"
    RELEASE = "release"
    RECOVER = "recover"
    MAINTENANCE = "maintenance"
    REINSTALL = "reinstall"
    RESIZE = "resize"
    ADVANCE_WARMUP = "advance_warmup"
    DECOMMISSION = "decommission"


class ActionStatus(StrEnum):
    """[proposed →] planned → running → succeeded | failed; or refused by a rule, or rejected by a person."""

    PROPOSED = "proposed"
    PLANNED = "planned"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    REFUSED = "refused"
    REJECTED = "rejected"


OPEN_STATUSES = frozenset({ActionStatus.PROPOSED, ActionStatus.PLANNED, ActionStatus.RUNNING})

# Decided, and not yet done: what is proposed may never be.
UNDER_WAY = frozenset({ActionStatus.PLANNED, ActionStatus.RUNNING})

# A person takes a node out of service for good reason, and gives it time to deliver what it has.
LEAVING_KINDS = frozenset({ActionKind.MAINTENANCE, ActionKind.DECOMMISSION})

# Kinds that drain the node first: out of the rotation while it delivers what it has.
DRAINING_KINDS = LEAVING_KINDS | {ActionKind.RESIZE}

# Kinds that take sending capacity away: the disruption budget counts these.
DISRUPTIVE_KINDS = frozenset({ActionKind.PAUSE, *DRAINING_KINDS})


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One thing to do to one node, why, and on what evidence.

    `requested_by` is `policy:<name>`, `person:<name>` or `api:<key>`; `urgency` orders actions when a budget cannot
    take all (lower goes first). `needs_approval`: it waits for a person, whatever the mode of its kind.
    """

    node_id: UUID
    kind: ActionKind
    reason: str
    requested_by: str
    evidence: Mapping[str, object] = field(default_factory=dict)
    urgency: int = 0
    needs_approval: bool = False

    @property
    def is_by_person(self) -> bool:
        """Whether a person asked for it by name, at a command line or by an API key."""
        return self.requested_by.startswith((PERSON_PREFIX, API_PREFIX))

    @property
    def is_forced(self) -> bool:
        """Whether a person means it although it leaves too little sending capacity."""
        return self.is_by_person and self.evidence.get(FORCED) is True


@dataclass(frozen=True, slots=True)
class RetryLimits:
    """How often an action is tried, and how long it rests after an attempt that failed.

    Three attempts, as the ledger's contract says. The rests let a provider's short outage pass; a run that merely died
    says nothing about the provider, so its action is tried again at once.
    """

    max_attempts: int = 3
    rest_seconds: tuple[int, ...] = (60, 300)

    def rest_after(self, attempt: int) -> timedelta:
        """The rest after the given attempt (1-based)."""
        if not self.rest_seconds:
            return timedelta()
        return timedelta(seconds=self.rest_seconds[min(attempt, len(self.rest_seconds)) - 1])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of an action after a bad attempt: its next status, and when it may run again if it may."""

    status: ActionStatus
    retry_at: datetime | None


def after_failure(attempt: int, *, is_final: bool, limits: RetryLimits, now: datetime) -> Verdict:
    """An attempt ended in an error: rest and try again, or fail for good. `is_final`: a repeat cannot help."""
    if is_final or attempt >= limits.max_attempts:
        return Verdict(ActionStatus.FAILED, None)
    return Verdict(ActionStatus.PLANNED, now + limits.rest_after(attempt))


def after_death(attempt: int, *, limits: RetryLimits, now: datetime) -> Verdict:
    """The run of an attempt died without a word: try again at once, or fail for good."""
    return Verdict(ActionStatus.FAILED, None) if attempt >= limits.max_attempts else Verdict(ActionStatus.PLANNED, now)
