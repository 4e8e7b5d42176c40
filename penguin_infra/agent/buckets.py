"""Sums the log's facts into 5-minute buckets, between one batch and the next. In memory only.

Not here: reading lines (`log_lines.py`), keeping sums over a restart (`spool.py`).
"""

from collections import Counter
from datetime import datetime, timezone

from penguin_infra.agent.deferrals import Deferrals
from penguin_infra.agent.log_lines import Delivery, LineReader, UnreadLine
from penguin_infra.messages.telemetry import BUCKET_SECONDS, DeliveryCount

HOUR_SECONDS = 3600


class Tally:
    """What was read since the last batch was closed."""

    def __init__(self, deferrals: Deferrals) -> None:
        self.deferrals = deferrals
        self.unread_lines = 0
        # Outgoing mails by the hour they left in: what allowances are held against.
        self.sent_by_hour: Counter[int] = Counter()
        self._counts: Counter[tuple[int, str, str]] = Counter()
        self._reader = LineReader()

    @property
    def size(self) -> int:
        """How many counts a batch of it would hold."""
        return len(self._counts)

    def add(self, line: bytes, now: float) -> None:
        """Count what one line tells; a line that cannot be read is counted as such."""
        try:
            fact = self._reader.read(line, now)
        except UnreadLine:
            self.unread_lines += 1
            return
        if fact is None:
            return
        if isinstance(fact, Delivery):
            self._add_delivery(fact)
            return
        waiting = self.deferrals.forget_message(fact.queue_id)
        if fact.is_expired:
            # Postfix writes one line for the message, not one a recipient.
            for provider in waiting or ["other"]:
                self._count(fact.at, provider, "expired")

    def counts(self) -> tuple[DeliveryCount, ...]:
        """The sums, as the wire has them."""
        return tuple(
            DeliveryCount(datetime.fromtimestamp(at, timezone.utc).isoformat(), provider, result, messages)
            for (at, provider, result), messages in sorted(self._counts.items())
        )

    def clear(self) -> None:
        """Begin anew: what was summed is kept elsewhere now."""
        self.unread_lines = 0
        self.sent_by_hour.clear()
        self._counts.clear()
        self.deferrals.settle()

    def _add_delivery(self, fact: Delivery) -> None:
        if fact.result == "deferred":
            if self.deferrals.is_first(fact.queue_id, fact.recipient, fact.mailbox_provider):
                self._count(fact.at, fact.mailbox_provider, "deferred")
            return
        self.deferrals.forget(fact.queue_id, fact.recipient)
        self._count(fact.at, fact.mailbox_provider, fact.result)
        if fact.result == "sent" and fact.is_outgoing:
            self.sent_by_hour[fact.at // HOUR_SECONDS] += 1

    def _count(self, at: int, provider: str, result: str) -> None:
        self._counts[at // BUCKET_SECONDS * BUCKET_SECONDS, provider, result] += 1
