"""What follows from a node's delivery: alerts on the point, pauses on the lower bound, resumption after a time."""

import json
from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.alerts import AlertSeverity
from penguin_infra.domain.delivery import DeliveryFacts, NodeDelivery, total_of
from penguin_infra.domain.delivery_limits import DEFAULT_LIMITS, FRESH_FOR, DeliveryLimits
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, judge
from penguin_infra.domain.policies import (
    alert_bounces,
    alert_complaints,
    alert_policy_rejections,
    pause_bouncing,
    pause_listed,
    resume_recovered,
)
from penguin_infra.domain.policies.resume_recovered import PausedNode, plan_resumes
from penguin_infra_tests.fleets import NOW
from penguin_infra_tests.unit.domain.test_policies import listed, listing

LIMITS = DEFAULT_LIMITS


def node(total: DeliveryFacts, number: int = 1, *, age: timedelta = timedelta(), **at: DeliveryFacts) -> NodeDelivery:
    measured_at = NOW - age
    return NodeDelivery(UUID(int=number), f"node-{number:03}", measured_at - timedelta(days=1), measured_at, total, at)


def bouncing(bounces: int, attempted: int) -> NodeDelivery:
    return node(DeliveryFacts(sent=attempted - bounces, hard_bounces=bounces))


def complained(complaints: int, sent: int) -> NodeDelivery:
    return node(DeliveryFacts(sent=sent, complaints=complaints))


def pauses(*nodes: NodeDelivery, limits: DeliveryLimits = LIMITS) -> int:
    return len(pause_bouncing.plan_pauses(nodes, limits, NOW))


def test_soft_bounces_and_deferrals_are_no_bounces_and_deferrals_no_attempts() -> None:
    facts = DeliveryFacts(
        sent=80, hard_bounces=5, soft_bounces=6, policy_rejections=7, expired=2, deferrals=999, complaints=3
    )
    assert facts.attempted == 100
    assert facts.bounce_rate.point == 0.05
    assert facts.policy_rejection_rate.point == 0.07
    assert facts.complaint_rate.point == 3 / 80


def test_providers_facts_add_up() -> None:
    one, other = DeliveryFacts(sent=1, hard_bounces=2, complaints=3), DeliveryFacts(sent=10, deferrals=20)
    assert total_of([one, other]) == DeliveryFacts(sent=11, hard_bounces=2, deferrals=20, complaints=3)
    assert total_of([]) == DeliveryFacts()


def test_more_incidents_than_mails_are_a_rate_of_one() -> None:
    assert DeliveryFacts(sent=2, complaints=5).complaint_rate.point == 1
    assert DeliveryFacts(complaints=5).complaint_rate.point == 0


@pytest.mark.parametrize(
    ("bounces", "attempted", "is_alert", "is_pause"),
    [
        (1, 20, False, False),  # 5 %, and no evidence at all
        (3, 3, False, False),  # a lower bound of 44 % on three mails
        (99, 99, False, False),
        (5, 100, False, False),  # at the threshold is not above it
        (6, 100, True, False),
        (12, 100, True, False),  # above 10 %, not proven: 7 % to 20 %
        (18, 100, True, True),
        (600, 10_000, True, False),
        (1_000, 10_000, True, False),
        (1_100, 10_000, True, True),
    ],
)
def test_bounces_alert_on_the_point_and_pause_on_the_lower_bound(
    bounces: int, attempted: int, is_alert: bool, is_pause: bool
) -> None:
    assert len(alert_bounces.find_alerts([bouncing(bounces, attempted)], LIMITS)) == is_alert
    assert pauses(bouncing(bounces, attempted)) == is_pause


@pytest.mark.parametrize(
    ("complaints", "sent", "is_alert", "is_pause"),
    [
        (1, 50, False, False),
        (50, 99, False, False),
        (1, 999, False, False),
        (1, 1_000, True, False),
        (9, 10_000, False, False),
        (10, 10_000, True, False),
        (40, 10_000, True, False),  # 0.4 %, not proven: 0.29 % to 0.54 %
        (45, 10_000, True, True),
        (5, 200, False, True),
    ],
)
def test_complaints_alert_from_a_thousandth_and_pause_when_three_are_proven(
    complaints: int, sent: int, is_alert: bool, is_pause: bool
) -> None:
    assert len(alert_complaints.find_alerts([complained(complaints, sent)], LIMITS)) == is_alert
    assert pauses(complained(complaints, sent)) == is_pause


@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 1000))
def test_nobody_is_paused_below_the_minimum_of_mail(bounces: int, sent: int, complaints: int) -> None:
    facts = DeliveryFacts(sent=min(sent, 99 - bounces), hard_bounces=bounces, complaints=complaints)
    assert pauses(node(facts)) == 0


@given(st.integers(0, 5000), st.integers(0, 5000), st.integers(0, 50))
def test_whoever_is_paused_for_bounces_is_alerted_about_too(bounces: int, sent: int, complaints: int) -> None:
    found = node(DeliveryFacts(sent=sent, hard_bounces=bounces, complaints=complaints))
    for pause in pause_bouncing.plan_pauses([found], LIMITS, NOW):
        if "bounce" in pause.evidence:
            assert alert_bounces.find_alerts([found], LIMITS)


def test_old_facts_pause_nobody() -> None:
    bad = DeliveryFacts(sent=500, hard_bounces=500)
    assert pauses(node(bad, age=FRESH_FOR)) == 1
    assert pauses(node(bad, age=FRESH_FOR + timedelta(seconds=1))) == 0


def test_a_pause_carries_its_numbers_in_reason_and_evidence() -> None:
    (pause,) = pause_bouncing.plan_pauses([bouncing(1_200, 10_000)], LIMITS, NOW)
    assert (pause.node_id, pause.kind, pause.requested_by) == (UUID(int=1), ActionKind.PAUSE, "policy:pause_bouncing")
    assert "bounce rate 12.00% (1200 of 10000; 95 %: 11.38% to 12.65%)" in pause.reason
    evidence: object = pause.evidence["bounce"]
    assert isinstance(evidence, dict)
    assert evidence["count"] == 1_200
    assert evidence["threshold"] == 0.10
    assert evidence["lower"] == pytest.approx(0.11378, abs=1e-5)
    assert json.loads(json.dumps(pause.evidence)) == pause.evidence


def test_both_reasons_are_told_at_once() -> None:
    (pause,) = pause_bouncing.plan_pauses([node(DeliveryFacts(sent=500, hard_bounces=500, complaints=50))], LIMITS, NOW)
    assert set(pause.evidence) == {"since_at", "measured_at", "bounce", "complaint"}


def test_critical_listings_are_served_before_rates() -> None:
    wanted = [
        *pause_bouncing.plan_pauses([bouncing(500, 1000)], LIMITS, NOW),
        *pause_listed.plan_pauses([listed(2, listing())]),
    ]
    decision = judge(wanted, LedgerFacts(fleet_size=10), GuardrailLimits(0.10), NOW)
    assert [pause.node_id.int for pause in decision.allowed] == [2]


def test_limits_are_the_operators() -> None:
    strict = DeliveryLimits(minimum_attempted=3, bounce_pause_rate=0.4)
    assert pauses(bouncing(3, 3), limits=strict) == 1


def test_a_provider_that_rejects_by_policy_is_named_and_no_other() -> None:
    found = node(
        DeliveryFacts(sent=1000, policy_rejections=60),
        gmail=DeliveryFacts(sent=900),
        microsoft=DeliveryFacts(sent=94, policy_rejections=6),
        yahoo=DeliveryFacts(sent=0, policy_rejections=54),  # too few to judge by
    )
    (alert,) = alert_policy_rejections.find_alerts([found], LIMITS)
    assert (alert.rule, alert.subject) == ("policy_rejections", "node-001 at microsoft")
    assert alert.severity is AlertSeverity.MEDIUM
    assert alert.evidence["mailbox_provider"] == "microsoft"
    assert "6.00% (6 of 100" in alert.summary


def test_alerts_carry_their_numbers_and_their_node() -> None:
    (bounces,) = alert_bounces.find_alerts([bouncing(6, 100)], LIMITS)
    (complaints,) = alert_complaints.find_alerts([complained(20, 10_000)], LIMITS)
    assert (bounces.rule, bounces.subject, bounces.node_id) == ("bounce_rate", "node-001", UUID(int=1))
    assert bounces.evidence["threshold"] == 0.05
    assert "6.00% (6 of 100" in bounces.summary
    assert complaints.evidence["count"] == 20
    assert json.loads(json.dumps(dict(complaints.evidence))) == complaints.evidence


def paused(*, by: str = pause_bouncing.NAME, hours: float = 24, is_listed: bool = False) -> PausedNode:
    return PausedNode(UUID(int=1), "node-001", by, NOW - timedelta(hours=hours), is_listed)


@pytest.mark.parametrize(
    ("found", "is_resumed"),
    [
        (paused(), True),
        (paused(hours=23.99), False),
        (paused(is_listed=True), False),
        (paused(by="person:ada"), False),
        (paused(by=pause_listed.NAME), False),
    ],
)
def test_only_a_pause_for_rates_ends_by_itself_after_its_time_and_unlisted(found: PausedNode, is_resumed: bool) -> None:
    assert len(plan_resumes([found], LIMITS, NOW)) == is_resumed


def test_a_resumption_says_why_and_the_kill_switch_holds_it() -> None:
    resumes = plan_resumes([paused()], LIMITS, NOW)
    (resume,) = resumes
    assert (resume.kind, resume.requested_by) == (ActionKind.RESUME, resume_recovered.NAME)
    assert resume.evidence["paused_by"] == pause_bouncing.NAME
    assert judge(resumes, LedgerFacts(fleet_size=10, frozen_by="person:bob"), GuardrailLimits(), NOW).allowed == ()
