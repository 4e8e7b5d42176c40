"""What people are told of: one alert is a rule, what it is about, how grave it is, and the evidence.

Which facts make an alert is each rule's own; that it stays open while its cause does, `operations/update_alerts.py`'s.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID


class AlertSeverity(StrEnum):
    """How soon a person must look, the gravest first: at once, today, when there is time."""

    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Alert:
    """A state of affairs that a rule finds now. `subject` tells it from the rule's others; JSON can hold `evidence`."""

    rule: str
    subject: str
    severity: AlertSeverity
    summary: str
    evidence: Mapping[str, object]
    node_id: UUID | None = None
