"""The sixty days before a lab's first node: each former node with its fate, the same for every moment of a day.

The kinds of facts are `past.py`'s. Prices end with the ones in `hostwind_plans.py`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid5

from penguin_infra.lab.past import (
    PAST_DAYS,
    Past,
    PastAction,
    PastInstance,
    PastListing,
    PastNode,
    PastPrice,
    PastTerms,
    Span,
)

_NAMESPACE = UUID("5a0f4a0e-3d2f-4f0a-9a53-6d2f0b6c1d10")

_SMALL, _LARGE = "ssd-1", "ssd-2"


def build_past(now: datetime) -> Past:
    """The sixty days (UTC) before `now`, the same for every moment of a day but for the last nodes' end."""
    calendar = _Calendar(now)
    nodes = [*_steady(calendar), *_unlucky(calendar), *_short_lived(calendar)]
    orphan = PastInstance(0, "dallas", calendar.at(35, 9.4), (PastTerms(calendar.at(38, 14.2), _SMALL),))
    foreign = PastInstance(0, "seattle", None, (PastTerms(calendar.at(52, 10.6), _LARGE),))
    born = [instance.created_at for node in nodes for instance in node.instances]
    order = sorted([*born, orphan.created_at, foreign.created_at])
    return Past(
        began_at=calendar.at(PAST_DAYS),
        ended_at=now,
        nodes=tuple(
            replace(node, instances=tuple(_numbered(instance, order) for instance in node.instances)) for node in nodes
        ),
        orphan=_numbered(orphan, order),
        foreign=_numbered(foreign, order),
        prices=(
            PastPrice("ssd-1", calendar.at(PAST_DAYS), Decimal("4.49")),
            PastPrice("ssd-2", calendar.at(PAST_DAYS), Decimal("11.49")),
            PastPrice("ssd-4", calendar.at(PAST_DAYS), Decimal("18.99")),
            PastPrice("ssd-1", calendar.at(31, 6.5), Decimal("4.99")),
            PastPrice("ssd-2", calendar.at(17, 6.5), Decimal("9.99")),
        ),
    )


def _numbered(instance: PastInstance, order: Sequence[datetime]) -> PastInstance:
    return replace(instance, number=order.index(instance.created_at) + 1)


@dataclass(frozen=True, slots=True)
class _Calendar:
    """Moments by days ago."""

    now: datetime

    def at(self, days_ago: float, hour: float = 0) -> datetime:
        """So many days before today's midnight (UTC), at that hour."""
        midnight = self.now.replace(hour=0, minute=0, second=0, microsecond=0)
        # Off the full hours, as things happen.
        return midnight - timedelta(days=days_ago) + timedelta(seconds=round(hour * 3600))

    def span(self, days_ago: float, hour: float, hours: float) -> Span:
        """So many hours from then on."""
        return Span(self.at(days_ago, hour), self.at(days_ago, hour + hours))

    def minutes_ago(self, minutes: float) -> datetime:
        """Just before now."""
        return self.now - timedelta(minutes=minutes)


def _steady(calendar: _Calendar) -> Iterator[PastNode]:
    """Nodes that served until the fleet of today was asked for."""
    at, span = calendar.at, calendar.span
    resized = [
        *_resize(at(30, 15.3), _SMALL, _LARGE, "policy:resize_deep_queue", "its queue stayed deep at a full CPU"),
        *_resize(at(12, 9.7), _LARGE, _SMALL, "person:ops", "its peak of two weeks fits the smaller plan"),
    ]
    terms = [PastTerms(at(30, 15.3), _LARGE), PastTerms(at(12, 9.7), _SMALL)]
    yield _node(calendar, "001", "dallas", at(60, 7.4), None, ended=40, actions=resized, terms=terms)
    storm = span(18, 13.2, 2.5)
    paused = _pause(
        storm.end_at, at(17, 10.2), "policy:pause_bouncing", "bounces are surely above 4 % of its mail", "person:ops",
        "the customer's list was cleaned",
    )  # fmt: skip
    yield _node(calendar, "003", "seattle", at(60, 7.6), None, ended=36, actions=paused, storms=(storm,))
    silences = (span(40, 2.3, 3.2), span(22, 4.1, 9.4), span(9, 16.7, 1.2))
    recovered = [action for silence in silences for action in _recover(silence)]
    yield _node(calendar, "004", "seattle", at(57, 9.2), None, ended=32, actions=recovered, silences=silences)
    spamcop = _listing("bl.spamcop.net", "SpamCop SCBL", "SpamCop", "medium", span(33, 5.5, 52))
    burnt = _listing("b.barracudacentral.org", "Barracuda BRBL", "Barracuda", "high", span(53, 8.0, 1))
    yield _node(
        calendar, "006", "amsterdam", at(54, 8.3), None, ended=28, listings=(spamcop,), rejected_by=burnt,
        is_throttled=True,
    )  # fmt: skip
    grown = _resize(at(20, 11.6), _SMALL, _LARGE, "policy:resize_deep_queue", "its queue stayed deep at a full CPU")
    terms = [PastTerms(at(20, 11.6), _LARGE), PastTerms(at(19, 12.4), _LARGE, 2), PastTerms(at(8, 17.1), _LARGE)]
    yield _node(calendar, "008", "seattle", at(44, 10.1), None, ended=24, actions=grown, terms=terms)
    complaints = (span(24, 9, 8), span(3, 10, 4))
    yield _node(calendar, "009", "dallas", at(40, 9.9), None, ended=20, complaints=complaints)


def _unlucky(calendar: _Calendar) -> Iterator[PastNode]:
    """Nodes whose addresses were listed."""
    at, span = calendar.at, calendar.span
    first = _listing("zen.spamhaus.org", "Spamhaus ZEN", "Spamhaus", "high", span(29, 6.2, 68))
    second = _listing("zen.spamhaus.org", "Spamhaus ZEN", "Spamhaus", "critical", span(25, 11.4, 70))
    actions = [
        *_pause(
            first.listed_at, first.delisted_at, "policy:pause_listed", _listed_words(first), "policy:resume_recovered",
            "its listing has ended, and stayed so for an hour",
        ),
        *_pause(second.listed_at, None, "policy:pause_listed", _listed_words(second)),
    ]  # fmt: skip
    why = "its address is burnt: listed by Spamhaus twice within a week"
    end = at(24, 15.6)
    yield _node(
        calendar, "002", "dallas", at(60, 7.5), end, actions=actions, listings=(first, second), leaves_because=why
    )
    high = _listing("b.barracudacentral.org", "Barracuda BRBL", "Barracuda", "high", span(10, 7.8, 41))
    paused = _pause(
        high.listed_at, high.delisted_at, "policy:pause_listed", _listed_words(high), "policy:resume_recovered",
        "its listing has ended, and stayed so for an hour",
    )  # fmt: skip
    yield _node(calendar, "010", "amsterdam", at(26, 8.8), None, ended=16, actions=paused, listings=(high,))


def _short_lived(calendar: _Calendar) -> Iterator[PastNode]:
    """Nodes that failed, that nobody needed, or that came last."""
    at = calendar.at
    asked_at = at(55, 13.1)
    failed_at = asked_at + timedelta(minutes=58)
    failed = PastAction(
        "provision", "policy:provision_requested", "a ssd-1 in amsterdam was asked for", asked_at, failed_at,
        "the host refused every login for 45 min: its records are removed and its instance is released",
        "provisioning_failed", is_failed=True,
    )  # fmt: skip
    instance = PastInstance(0, "amsterdam", failed_at, (PastTerms(asked_at + timedelta(minutes=1), _SMALL),))
    yield PastNode(
        _id_of("former-005", asked_at), "former-005", "amsterdam", asked_at,
        "demand will in 20 days reach 80% of usable capacity", "policy:grow_fleet", (failed,), (instance,),
    )  # fmt: skip
    why = "it was sent nothing for ten days: the others carry the demand"
    yield _node(calendar, "007", "dallas", at(48, 10.7), at(15, 11.3), idle_since=at(25, 9.3), leaves_because=why)
    yield _node(calendar, "011", "dallas", at(23, 9.5), None, ended=12)


def _node(
    calendar: _Calendar,
    number: str,
    region: str,
    asked_at: datetime,
    ended_at: datetime | None,
    *,
    ended: float = 0,
    actions: Iterable[PastAction] = (),
    terms: Sequence[PastTerms] = (),
    listings: tuple[PastListing, ...] = (),
    silences: tuple[Span, ...] = (),
    storms: tuple[Span, ...] = (),
    complaints: tuple[Span, ...] = (),
    idle_since: datetime | None = None,
    is_throttled: bool = False,
    rejected_by: PastListing | None = None,
    leaves_because: str = "the fleet moves to six new nodes",
) -> PastNode:
    """A node that was admitted; `ended`: so many minutes ago, unless `ended_at` tells."""
    end_at = ended_at or calendar.minutes_ago(ended)
    created_at = asked_at + timedelta(minutes=1)
    instances = []
    if rejected_by is not None:
        instances.append(PastInstance(0, region, created_at + timedelta(minutes=6), (PastTerms(created_at, _SMALL),)))
        created_at += timedelta(minutes=7)
    instances.append(PastInstance(0, region, end_at, (PastTerms(created_at, _SMALL), *terms)))
    admitted_at = created_at + timedelta(minutes=12)
    admission = PastAction(
        "provision", "policy:provision_requested", f"a {_SMALL} in {region} was asked for", asked_at, admitted_at,
        f"former-{number} is in service; its mail was delivered and signed", "admitted",
    )  # fmt: skip
    warmed_at = admitted_at + timedelta(days=14)
    warm_up = PastAction(
        "advance_warmup", "policy:advance_warmup", "each stage was delivered with few bounces", warmed_at, warmed_at,
        "the last stage is done: it may send what its plan carries", "warmed_up",
    )  # fmt: skip
    # Hours before, so that the day's budget of disruptions is all the fleet's own.
    leaving = PastAction(
        "decommission", "person:ops", leaves_because, end_at - timedelta(hours=3), end_at,
        f"former-{number} is decommissioned; its queue was empty", "decommissioned", decided_by="person:ops",
    )  # fmt: skip
    done = sorted([admission, warm_up, *actions, leaving], key=lambda action: action.finished_at)
    return PastNode(
        node_id=_id_of(f"former-{number}", asked_at),
        label=f"former-{number}",
        region=region,
        requested_at=asked_at,
        reason=f"a {_SMALL} in {region} was asked for",
        requested_by="person:ops",
        actions=tuple(done),
        instances=tuple(instances),
        listings=listings,
        silences=silences,
        storms=storms,
        complaints=complaints,
        idle_since=idle_since,
        is_throttled=is_throttled,
        rejected_by=rejected_by,
    )


def _id_of(label: str, asked_at: datetime) -> UUID:
    """Of no other lab's node that was asked for at another moment."""
    return uuid5(_NAMESPACE, f"{label} {asked_at.isoformat()}")


def _listing(zone: str, name: str, operator: str, severity: str, span: Span) -> PastListing:
    code = "127.0.0.3" if operator == "Spamhaus" and severity == "high" else "127.0.0.2"
    return PastListing(zone, name, operator, code, severity, span.begin_at, span.end_at)


def _listed_words(listing: PastListing) -> str:
    return f"its address is listed by {listing.zone} ({listing.severity}: {listing.code})"


def _pause(  # noqa: PLR0917 - who, why; who, why
    at: datetime, until: datetime | None, by: str, why: str, returned_by: str = "", returned_why: str = ""
) -> Iterator[PastAction]:
    """Within seconds of its cause, as the pause job does; None: it never came back."""
    paused_at = at + timedelta(seconds=14)
    yield PastAction("pause", by, why, at + timedelta(seconds=6), paused_at, "it is out of the rotation", "paused")
    if until is not None:
        resumed_at = until + timedelta(hours=1)
        yield PastAction(
            "resume", returned_by, returned_why, resumed_at, resumed_at + timedelta(seconds=9), "it sends again",
            "returned_to_active",
        )  # fmt: skip


def _recover(silence: Span) -> Iterator[PastAction]:
    begun_at = silence.end_at - timedelta(minutes=7)
    why = "no heartbeat for 90 s: its agent is silent"
    yield PastAction("recover", "policy:recover_unhealthy", why, begun_at, silence.end_at, "a reboot brought it back")


def _resize(at: datetime, from_plan: str, to_plan: str, by: str, why: str) -> Iterator[PastAction]:
    done_at = at + timedelta(minutes=3)
    outcome = f"it went from {from_plan} to {to_plan} in 33 min"
    yield PastAction("resize", by, why, at - timedelta(minutes=30), done_at, outcome)
