"""What the policies want done: pauses of listed nodes, and provisions and releases of requested ones."""

import json
from dataclasses import replace
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, judge
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.policies.pause_listed import ListedNode, OpenListing, plan_pauses
from penguin_infra.domain.policies.provision_requested import RequestedNode, plan_provisions, plan_releases
from penguin_infra_tests.fleets import NOW

ZEN = "zen.spamhaus.org"


def listing(
    severity: Severity = Severity.CRITICAL,
    *,
    zone: str = ZEN,
    is_list_frozen: bool = False,
    operator: str | None = None,
) -> OpenListing:
    return OpenListing(zone, severity, ("127.0.0.2", "127.0.0.4"), NOW, is_list_frozen, operator)


def listed(number: int, *listings: OpenListing) -> ListedNode:
    return ListedNode(UUID(int=number), f"node-{number:03}", IPv4Address("192.0.2.0") + number, listings)


@pytest.mark.parametrize("severity", list(Severity))
def test_only_critical_and_high_listings_pause_a_node(severity: Severity) -> None:
    is_paused = severity in {Severity.CRITICAL, Severity.HIGH}
    assert len(plan_pauses([listed(1, listing(severity))])) == is_paused


@pytest.mark.parametrize("severity", list(Severity))
def test_a_frozen_list_pauses_nobody(severity: Severity) -> None:
    assert plan_pauses([listed(1, listing(severity, is_list_frozen=True))]) == ()


MEDIUM = Severity.MEDIUM


@pytest.mark.parametrize(
    ("listings", "is_paused"),
    [
        ([listing(MEDIUM, operator="a"), listing(MEDIUM, operator="b")], True),
        ([listing(MEDIUM, operator="a"), listing(MEDIUM, zone="other.test", operator="a")], False),
        ([listing(MEDIUM, operator="a"), listing(MEDIUM, operator="b", is_list_frozen=True)], False),
        ([listing(MEDIUM, operator="a"), listing(Severity.LOW, operator="b")], False),
        ([listing(MEDIUM, operator="a"), listing(Severity.POLICY, operator="b")], False),
        # Recorded before operators were: nobody knows that they are two.
        ([listing(MEDIUM, operator="a"), listing(MEDIUM)], False),
    ],
)
def test_medium_listings_pause_a_node_when_two_operators_agree(listings: list[OpenListing], is_paused: bool) -> None:
    assert bool(plan_pauses([listed(1, *listings)])) == is_paused


def test_a_pause_for_medium_listings_names_all_of_them() -> None:
    both = (listing(MEDIUM, operator="a"), listing(MEDIUM, zone="other.test", operator="b"))
    (pause,) = plan_pauses([listed(7, *both)])
    assert pause.reason == (
        f"192.0.2.7 is listed by {ZEN} (medium: 127.0.0.2 127.0.0.4), other.test (medium: 127.0.0.2 127.0.0.4)"
    )


def test_a_node_on_two_lists_is_paused_once() -> None:
    (pause,) = plan_pauses([listed(1, listing(), listing(Severity.HIGH, zone="b.barracudacentral.org"))])
    assert (pause.node_id, pause.kind) == (UUID(int=1), ActionKind.PAUSE)
    assert not pause.is_by_person


def test_a_pause_says_which_lists_and_codes_asked_for_it_and_no_others() -> None:
    (pause,) = plan_pauses(
        [listed(7, listing(), listing(Severity.LOW, zone="low.test"), listing(zone="ice.test", is_list_frozen=True))]
    )
    assert pause.reason == f"192.0.2.7 is listed by {ZEN} (critical: 127.0.0.2 127.0.0.4)"
    assert pause.evidence == {
        "ip_address": "192.0.2.7",
        "listings": [
            {
                "zone": ZEN,
                "severity": "critical",
                "codes": ["127.0.0.2", "127.0.0.4"],
                "confirmed_at": "2026-11-24T12:00:00+00:00",
            }
        ],
    }
    assert json.loads(json.dumps(pause.evidence)) == pause.evidence


def test_critical_listings_are_served_before_high_ones() -> None:
    both = (listing(Severity.HIGH), listing(Severity.CRITICAL))
    pauses = plan_pauses([listed(1, listing(Severity.HIGH)), listed(2, *both), listed(3, listing(Severity.HIGH))])
    decision = judge(pauses, LedgerFacts(fleet_size=10), GuardrailLimits(0.10), NOW)
    assert [pause.node_id.int for pause in decision.allowed] == [2]


listings = st.builds(listing, st.sampled_from(Severity), is_list_frozen=st.booleans())


@given(st.lists(st.lists(listings, max_size=4), max_size=8))
def test_a_node_is_paused_exactly_when_a_trusted_list_weighs_enough(fleet: list[list[OpenListing]]) -> None:
    pauses = plan_pauses([listed(number, *each) for number, each in enumerate(fleet)])
    heavy = {Severity.CRITICAL, Severity.HIGH}
    expected = [
        number
        for number, each in enumerate(fleet)
        if any(one.severity in heavy and not one.is_list_frozen for one in each)
    ]
    assert [pause.node_id.int for pause in pauses] == expected


FRESH = RequestedNode(UUID(int=1), "node-001", "dallas", "ssd-1", "person:ada", None)
GIVEN_UP = RequestedNode(UUID(int=2), "node-002", "dallas", "ssd-9", "person:ada", "request_instance: no such plan")


def test_a_request_is_provisioned_with_what_was_asked_as_evidence() -> None:
    (action,) = plan_provisions([FRESH, GIVEN_UP])
    assert (action.node_id, action.kind) == (FRESH.node_id, ActionKind.PROVISION)
    assert action.reason == "node-001 was requested by person:ada"
    assert action.evidence == {"region": "dallas", "plan": "ssd-1", "requested_by": "person:ada"}


def test_a_request_that_failed_for_good_is_released_with_its_failure() -> None:
    (action,) = plan_releases([FRESH, GIVEN_UP])
    assert (action.node_id, action.kind) == (GIVEN_UP.node_id, ActionKind.RELEASE)
    assert action.reason == "provisioning node-002 failed for good: request_instance: no such plan"
    assert action.evidence == {"failure": "request_instance: no such plan"}


def test_a_request_says_why_in_its_provision_and_ends_when_a_person_rejects_that() -> None:
    (provision,) = plan_provisions([replace(FRESH, reason="80% is reached")])
    assert provision.reason == "node-001 was requested by person:ada: 80% is reached"
    (release,) = plan_releases([replace(FRESH, failure="rejected by person:bob: too dear", is_rejected=True)])
    assert release.reason == "provisioning node-001 was rejected by person:bob: too dear"


def test_the_fleets_own_provisions_are_held_by_the_kill_switch_whoever_asked_for_the_node() -> None:
    frozen = LedgerFacts(fleet_size=10, frozen_by="person:bob")
    wanted = [*plan_provisions([FRESH]), *plan_releases([GIVEN_UP])]
    assert judge(wanted, frozen, GuardrailLimits(), NOW).allowed == ()
