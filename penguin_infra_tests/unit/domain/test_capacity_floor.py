"""The capacity floor: how many nodes must go on sending, at its edge, for persons too, and never against a pause."""

from dataclasses import replace
from fractions import Fraction
from math import ceil
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import LEAVING_KINDS, ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, Rule, floor_breach, judge
from penguin_infra_tests.fleets import NOW

MAINTENANCE, DECOMMISSION = ActionKind.MAINTENANCE, ActionKind.DECOMMISSION
LIMITS = GuardrailLimits(approve=frozenset())
PERSON = "person:ada"
POLICY = "policy:test"


def leave(
    number: int = 1, kind: ActionKind = MAINTENANCE, *, by: str = PERSON, is_forced: bool = False
) -> PlannedAction:
    return PlannedAction(UUID(int=number), kind, "test", by, {"forced": True} if is_forced else {})


def fleet(size: int, *, sending: int) -> LedgerFacts:
    """The first nodes of the fleet send."""
    return LedgerFacts(fleet_size=size, rotation=frozenset(UUID(int=number) for number in range(1, sending + 1)))


def fate(action: PlannedAction, facts: LedgerFacts, limits: GuardrailLimits = LIMITS) -> tuple[Rule, str] | None:
    decision = judge([action], facts, limits, NOW)
    return (decision.refused[0].rule, decision.refused[0].explanation) if decision.refused else None


@pytest.mark.parametrize("kind", sorted(LEAVING_KINDS))
@pytest.mark.parametrize(("size", "sending", "is_allowed"), [
    (4, 3, True), (4, 2, False),  # half of 4 are 2
    (5, 4, True), (5, 3, False),  # half of 5 are 3, rounded up
    (2, 2, True), (2, 1, False), (1, 1, False),
])  # fmt: skip
def test_half_of_the_nodes_in_service_must_go_on_sending(
    kind: ActionKind, size: int, sending: int, is_allowed: bool
) -> None:
    refused = fate(leave(kind=kind), fleet(size, sending=sending))
    assert refused == (
        None
        if is_allowed
        else (
            Rule.CAPACITY_FLOOR,
            f"{sending} - 1 < {ceil(size / 2)} nodes in the rotation (50% of {size} in service, rounded up)",
        )
    )


@pytest.mark.parametrize("by", [PERSON, "api:shop", POLICY])
def test_the_floor_holds_whoever_asks(by: str) -> None:
    refused = fate(leave(by=by), fleet(4, sending=2))
    assert refused is not None
    assert refused[0] is Rule.CAPACITY_FLOOR


def test_a_node_that_does_not_send_takes_nothing_away() -> None:
    assert fate(leave(number=4), fleet(4, sending=1)) is None


def test_a_listed_node_is_paused_however_few_are_left() -> None:
    assert fate(leave(kind=ActionKind.PAUSE, by=POLICY), fleet(1, sending=1)) is None


def test_a_person_may_force_it_and_a_policy_may_not() -> None:
    assert fate(leave(is_forced=True), fleet(1, sending=1)) is None
    refused = fate(leave(by=POLICY, is_forced=True), fleet(1, sending=1))
    assert refused is not None
    assert refused[0] is Rule.CAPACITY_FLOOR


@pytest.mark.parametrize("kind", [ActionKind.PAUSE, ActionKind.REINSTALL, MAINTENANCE, DECOMMISSION])
def test_what_is_about_to_leave_counts_as_gone(kind: ActionKind) -> None:
    facts = replace(fleet(4, sending=3), under_way=frozenset({(UUID(int=2), kind)}))
    refused = fate(leave(1), facts)
    assert refused is not None
    assert refused[1].startswith("2 - 1 < 2 nodes")


def test_what_is_about_to_do_something_else_counts_as_there() -> None:
    assert fate(leave(1), replace(fleet(4, sending=3), under_way=frozenset({(UUID(int=2), ActionKind.RESUME)}))) is None


def test_two_that_are_asked_for_together_do_not_both_leave() -> None:
    decision = judge([leave(1), leave(2)], fleet(4, sending=3), LIMITS, NOW)
    assert decision.allowed == (leave(1),)
    assert [each.rule for each in decision.refused] == [Rule.CAPACITY_FLOOR]


def test_proposals_take_nothing_away_before_they_are_approved() -> None:
    wanted = [leave(1, DECOMMISSION), leave(2, DECOMMISSION)]
    assert judge(wanted, fleet(4, sending=3), GuardrailLimits(), NOW).proposed == tuple(wanted)


def test_a_node_whose_own_leaving_is_under_way_does_not_count_itself_twice() -> None:
    facts = replace(fleet(4, sending=3), under_way=frozenset({(UUID(int=1), MAINTENANCE)}))
    assert floor_breach(UUID(int=1), MAINTENANCE, facts, LIMITS) is None


@pytest.mark.parametrize("kind", [MAINTENANCE, DECOMMISSION, ActionKind.REINSTALL])
def test_one_node_is_not_taken_out_twice_at_once(kind: ActionKind) -> None:
    facts = LedgerFacts(100, under_way=frozenset({(UUID(int=1), kind)}))
    for other in sorted({MAINTENANCE, DECOMMISSION, ActionKind.REINSTALL} - {kind}):
        assert fate(leave(1, other), facts) == (
            Rule.ONE_OPEN_ACTION, f"a {kind} of this node is under way: wait for its end",
        )  # fmt: skip
        assert fate(leave(2, other), facts) is None
    assert fate(leave(1, ActionKind.PAUSE), facts) is None


shares = st.integers(0, 100).map(lambda percent: percent / 100)


@given(size=st.integers(1, 40), data=st.data(), share=shares)
def test_however_many_ask_to_leave_the_floor_stands(size: int, data: st.DataObject, share: float) -> None:
    sending = data.draw(st.integers(0, size))
    wanted = [
        leave(number, data.draw(st.sampled_from(sorted(LEAVING_KINDS))))
        for number in data.draw(st.permutations(range(1, size + 1)))
    ]
    facts, limits = fleet(size, sending=sending), replace(LIMITS, smallest_rotation_share=share)
    gone = {each.node_id for each in judge(wanted, facts, limits, NOW).allowed}
    left = len(facts.rotation - gone)
    least = ceil(Fraction(round(share * 100), 100) * size)
    # All ask: so many leave that just enough stay.
    assert left == min(sending, least)
    assert all(UUID(int=number) in gone for number in range(sending + 1, size + 1))
