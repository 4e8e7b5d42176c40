"""The modes of a kind: what waits for a person, what is only recorded, and what a proposal costs until then."""

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, Mode, Rule, judge
from penguin_infra_tests.fleets import NOW

PAUSE, DECOMMISSION = ActionKind.PAUSE, ActionKind.DECOMMISSION
POLICY = "policy:test"
KINDS = st.frozensets(st.sampled_from(ActionKind))


def action(number: int = 1, kind: ActionKind = PAUSE, by: str = POLICY) -> PlannedAction:
    return PlannedAction(UUID(int=number), kind, "test", by)


def test_by_default_only_what_cannot_be_undone_waits_for_a_person() -> None:
    limits = GuardrailLimits()
    assert {kind for kind in ActionKind if limits.mode_of(kind) is not Mode.ACT} == {DECOMMISSION}
    assert limits.mode_of(DECOMMISSION) is Mode.APPROVE


@pytest.mark.parametrize("by", [POLICY, "person:ada", "api:shop"])
def test_a_kind_that_needs_approval_is_proposed_whoever_asks(by: str) -> None:
    decision = judge([action(kind=DECOMMISSION, by=by)], LedgerFacts(100), GuardrailLimits(), NOW)
    assert (decision.allowed, decision.refused) == ((), ())
    assert decision.proposed == (action(kind=DECOMMISSION, by=by),)


def test_what_is_only_observed_is_refused_with_what_would_have_been_done() -> None:
    limits = GuardrailLimits(observe=frozenset({PAUSE}))
    decision = judge([action()], LedgerFacts(100), limits, NOW)
    (refusal,) = decision.refused
    assert (refusal.rule, refusal.explanation) == (
        Rule.OBSERVE_ONLY, "pause is only observed: it would have been done now",
    )  # fmt: skip
    assert (decision.allowed, decision.proposed) == ((), ())


@pytest.mark.parametrize("by", ["person:ada", "api:shop"])
def test_observing_holds_back_the_fleet_and_not_its_operators(by: str) -> None:
    limits = GuardrailLimits(observe=frozenset({PAUSE}))
    assert judge([action(by=by)], LedgerFacts(100), limits, NOW).allowed == (action(by=by),)


def test_a_proposal_spends_no_budget_and_is_held_up_by_none() -> None:
    limits = GuardrailLimits(approve=frozenset({DECOMMISSION}))
    facts = LedgerFacts(10, disruptions_last_hour=0)
    decision = judge([action(1, DECOMMISSION), action(2, DECOMMISSION), action(3)], facts, limits, NOW)
    assert (len(decision.proposed), len(decision.allowed), decision.refused) == (2, 1, ())
    assert len(judge([action(1, DECOMMISSION)], LedgerFacts(10, 5), limits, NOW).proposed) == 1


def test_a_proposal_that_waits_already_is_not_made_twice() -> None:
    decision = judge([action(1, DECOMMISSION)] * 2, LedgerFacts(100), GuardrailLimits(), NOW)
    assert len(decision.proposed) == 1
    assert [each.rule for each in decision.refused] == [Rule.ONE_OPEN_ACTION]


def test_a_frozen_fleet_proposes_nothing_by_itself() -> None:
    facts = LedgerFacts(100, frozen_by="person:ada")
    (refusal,) = judge([action(kind=DECOMMISSION)], facts, GuardrailLimits(), NOW).refused
    assert refusal.rule is Rule.KILL_SWITCH


@given(
    wanted=st.lists(
        st.builds(action, st.integers(1, 9), st.sampled_from(ActionKind), st.sampled_from([POLICY, "person:ada"])),
        max_size=30,
    ),
    approve=KINDS,
    observe=KINDS,
)
def test_every_action_has_one_fate_and_it_is_its_kinds(
    wanted: list[PlannedAction], approve: frozenset[ActionKind], observe: frozenset[ActionKind]
) -> None:
    limits = GuardrailLimits(approve=approve - observe, observe=observe)
    decision = judge(wanted, LedgerFacts(1_000), limits, NOW)
    assert len(decision.allowed) + len(decision.proposed) + len(decision.refused) == len(wanted)
    assert {limits.mode_of(each.kind) for each in decision.proposed} <= {Mode.APPROVE}
    assert Mode.APPROVE not in {limits.mode_of(each.kind) for each in decision.allowed}
    assert not any(limits.mode_of(each.kind) is Mode.OBSERVE and not each.is_by_person for each in decision.allowed)
