"""Sum up what each address's reputation came to, day by day, and what its listings cost. Nothing is written here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Engine

from penguin_infra.domain.delivery import DeliveryFacts
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS
from penguin_infra.domain.reputation import Rate
from penguin_infra.domain.reputation_evidence import deferral_rate
from penguin_infra.store import listing_impacts, reputation_facts
from penguin_infra.store.reputation_facts import Days, ProviderDay, TenureDay
from penguin_infra.store.tables import AnyRow

Rows = list[tuple[object, ...]]

_NO_MAIL = DeliveryFacts()


@dataclass(frozen=True, slots=True)
class HistoryReport:
    """Some days' history: rows in the order of the table's columns, and what they do not hold.

    `sent`: all that the fleet sent in these days; `unattributed`: mail of hours in which its node held no address.
    """

    tenure_days: Sequence[TenureDay]
    rows: Rows
    sent: int
    sent_in_rows: int
    unattributed: Sequence[AnyRow]

    @property
    def sent_unattributed(self) -> int:
        """What was sent by nodes that held no address then."""
        return sum(row.sent for row in self.unattributed)

    @property
    def is_whole(self) -> bool:
        """Whether every message that was sent is in a row, or known to be nobody's."""
        return self.sent == self.sent_in_rows + self.sent_unattributed


def sum_up_history(engine: Engine, days: Days, *, now: datetime) -> HistoryReport:
    """Each address's scores, listings and mail, a day and tenure a row; all of one moment."""
    with reputation_facts.snapshot(engine) as connection:
        tenure_days = reputation_facts.read_tenure_days(connection, days, now)
        mail = reputation_facts.read_mail(connection, days)
        sent = reputation_facts.read_sent(connection, days)
        unattributed = reputation_facts.read_unattributed(connection, days)
    facts = [mail.get((each.day, each.tenure_id), _NO_MAIL) for each in tenure_days]
    rows = [_history_row(day, of_day) for day, of_day in zip(tenure_days, facts, strict=True)]
    return HistoryReport(tenure_days, rows, sent, sum(each.sent for each in facts), unattributed)


def sum_up_providers(engine: Engine, days: Days) -> Rows:
    """How each address fared with each mailbox provider, a day, tenure and provider a row."""
    with reputation_facts.snapshot(engine) as connection:
        return [_provider_row(each) for each in reputation_facts.read_provider_days(connection, days)]


def sum_up_impacts(engine: Engine, *, now: datetime) -> Rows:
    """What each listing there ever was cost in mail not sent."""
    with engine.connect() as connection:
        return listing_impacts.read_impacts(connection, now)


def _history_row(day: TenureDay, mail: DeliveryFacts) -> tuple[object, ...]:
    bounce = mail.bounce_rate
    bounds = (bounce.point, bounce.lower, bounce.upper) if mail.attempted else (None, None, None)
    return (
        day.day, day.tenure_id, day.node_id, day.label, day.ip_address, day.region, day.score_last, day.score_lowest,
        day.listings_open, day.worst_severity, day.listed_hours, mail.sent, mail.hard_bounces,
        mail.soft_bounces, mail.policy_rejections, mail.expired, mail.deferrals, mail.complaints, mail.attempted,
        *bounds, _point(mail.complaint_rate), _point(mail.policy_rejection_rate), _point(deferral_rate(mail)),
    )  # fmt: skip


def _provider_row(day: ProviderDay) -> tuple[object, ...]:
    mail = day.mail
    return (
        day.day, day.tenure_id, day.mailbox_provider, day.node_id, day.label, day.ip_address, mail.sent,
        mail.hard_bounces, mail.soft_bounces, mail.policy_rejections, mail.expired, mail.deferrals, mail.attempted,
        _point(mail.bounce_rate), _point(mail.policy_rejection_rate), _point(deferral_rate(mail)),
        mail.attempted >= DEFAULT_LIMITS.minimum_attempted,
    )  # fmt: skip


def _point(rate: Rate) -> float | None:
    return rate.point if rate.attempted else None
