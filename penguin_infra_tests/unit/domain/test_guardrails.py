"""The brakes: each rule's refusal with its sum, their order, who passes them, and what they never let through."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.actions import DISRUPTIVE_KINDS, ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, Refusal, Rejection, Rule, judge
from penguin_infra_tests.fleets import NOW

LIMITS = GuardrailLimits(disruption_share_per_hour=0.10, cool_down_minutes=10, approve=frozenset())
PERSON = "person:ada"


def action(
    number: int = 1, kind: ActionKind = ActionKind.PAUSE, *, by: str = "policy:test", urgency: int = 0
) -> PlannedAction:
    return PlannedAction(UUID(int=number), kind, "test", by, urgency=urgency)


def only_refusal(wanted: PlannedAction, facts: LedgerFacts, limits: GuardrailLimits = LIMITS) -> Refusal:
    decision = judge([wanted], facts, limits, NOW)
    assert (decision.allowed, decision.proposed) == ((), ())
    (refusal,) = decision.refused
    assert refusal.action is wanted
    return refusal


def is_allowed(wanted: PlannedAction, facts: LedgerFacts) -> bool:
    return judge([wanted], facts, LIMITS, NOW).allowed == (wanted,)


def failed(minutes_ago: float, kind: ActionKind = ActionKind.PAUSE, number: int = 1) -> LedgerFacts:
    at = NOW - timedelta(minutes=minutes_ago)
    return LedgerFacts(fleet_size=100, failed_at={(UUID(int=number), kind): at})


def test_without_anything_against_it_an_action_is_allowed() -> None:
    assert is_allowed(action(), LedgerFacts(fleet_size=100))


def test_a_second_action_of_the_same_node_and_kind_is_refused() -> None:
    refusal = only_refusal(action(), LedgerFacts(100, open_actions=frozenset({(UUID(int=1), ActionKind.PAUSE)})))
    assert (refusal.rule, refusal.explanation) == (Rule.ONE_OPEN_ACTION, "a pause of this node is open already")


@pytest.mark.parametrize("other", [(UUID(int=2), ActionKind.PAUSE), (UUID(int=1), ActionKind.RESUME)])
def test_an_open_action_of_another_node_or_kind_holds_nothing_up(other: tuple[UUID, ActionKind]) -> None:
    assert is_allowed(action(), LedgerFacts(100, open_actions=frozenset({other})))


@pytest.mark.parametrize("kind", list(ActionKind))
def test_a_frozen_fleet_does_nothing_by_itself_and_says_who_froze_it(kind: ActionKind) -> None:
    refusal = only_refusal(action(kind=kind), LedgerFacts(100, frozen_by="person:ada at noon (incident 4711)"))
    assert refusal.rule is Rule.KILL_SWITCH
    assert refusal.explanation == "the fleet is frozen by person:ada at noon (incident 4711); thaw it to go on"


def test_after_a_failure_the_kind_rests_on_that_node_and_the_refusal_says_until_when() -> None:
    refusal = only_refusal(action(), failed(9.9))
    assert refusal.rule is Rule.COOL_DOWN
    assert refusal.explanation == (
        "the last pause of this node failed at 11:50:06; cool-down of 10 min ends at 12:00:06"
    )


@pytest.mark.parametrize("facts", [failed(10), failed(1, ActionKind.RESUME), failed(1, number=2)])
def test_a_cool_down_ends_in_time_and_holds_for_its_node_and_kind_only(facts: LedgerFacts) -> None:
    assert is_allowed(action(), facts)


def test_beyond_the_budget_a_pause_is_refused_with_the_sum() -> None:
    refusal = only_refusal(action(), LedgerFacts(fleet_size=50, disruptions_last_hour=5))
    assert refusal.rule is Rule.DISRUPTION_BUDGET
    assert refusal.explanation == "5 + 1 > 5 an hour (max(1, 10% of 50 nodes))"


def test_the_sum_shows_a_share_of_less_than_a_percent_as_it_is() -> None:
    refusal = only_refusal(action(), LedgerFacts(1000, disruptions_last_hour=4), GuardrailLimits(0.004))
    assert refusal.explanation == "4 + 1 > 4 an hour (max(1, 0.4% of 1000 nodes))"


def test_what_a_person_rejected_rests_and_the_refusal_says_who_and_until_when() -> None:
    rejection = Rejection(PERSON, NOW - timedelta(hours=23))
    refusal = only_refusal(action(), LedgerFacts(100, rejected={(UUID(int=1), ActionKind.PAUSE): rejection}))
    assert refusal.rule is Rule.COOL_DOWN
    assert refusal.explanation == (
        "person:ada rejected the last pause of this node at 2026-11-23 13:00; it is not planned again before "
        "2026-11-24 13:00 UTC"
    )


def test_a_rejection_ends_in_time_and_holds_no_person() -> None:
    key = (UUID(int=1), ActionKind.PAUSE)
    assert is_allowed(action(), LedgerFacts(100, rejected={key: Rejection(PERSON, NOW - timedelta(hours=24))}))
    assert is_allowed(action(by=PERSON), LedgerFacts(100, rejected={key: Rejection("person:bob", NOW)}))


@pytest.mark.parametrize("kind", [kind for kind in ActionKind if kind not in DISRUPTIVE_KINDS])
def test_the_budget_does_not_hold_up_what_takes_nothing_away(kind: ActionKind) -> None:
    assert is_allowed(action(kind=kind), LedgerFacts(fleet_size=50, disruptions_last_hour=5))


def test_the_first_rule_that_speaks_against_an_action_is_the_one_that_is_named() -> None:
    wanted = action(kind=ActionKind.MAINTENANCE)
    key = (wanted.node_id, wanted.kind)
    against: dict[Rule, dict[str, object]] = {
        Rule.ONE_OPEN_ACTION: {"open_actions": frozenset({key})},
        Rule.KILL_SWITCH: {"frozen_by": "person:ada"},
        Rule.COOL_DOWN: {"failed_at": {key: NOW}},
        Rule.DISRUPTION_BUDGET: {"disruptions_last_hour": 5},
        Rule.CAPACITY_FLOOR: {"rotation": frozenset({wanted.node_id})},
        Rule.OBSERVE_ONLY: {},
    }
    assert list(against) == list(Rule)
    limits = replace(LIMITS, observe=frozenset({wanted.kind}))
    for first in range(len(against)):
        facts: dict[str, object] = {}
        for rule in list(against)[first:]:
            facts |= against[rule]
        refusal = only_refusal(wanted, LedgerFacts(fleet_size=50, **facts), limits)  # type: ignore[arg-type]
        assert refusal.rule is list(Rule)[first]


def test_what_a_person_asks_for_passes_all_but_a_second_open_action() -> None:
    key = (UUID(int=1), ActionKind.PAUSE)
    facts = LedgerFacts(50, 5, failed_at={key: NOW}, frozen_by="person:bob")
    assert is_allowed(action(by=PERSON), facts)
    refusal = only_refusal(action(by=PERSON), LedgerFacts(50, open_actions=frozenset({key})))
    assert refusal.rule is Rule.ONE_OPEN_ACTION


def test_what_a_person_pauses_counts_in_the_budget() -> None:
    decision = judge([action(1, by=PERSON), action(2)], LedgerFacts(fleet_size=10), LIMITS, NOW)
    assert decision.allowed == (action(1, by=PERSON),)
    assert [(refusal.action, refusal.rule) for refusal in decision.refused] == [(action(2), Rule.DISRUPTION_BUDGET)]


def test_the_most_urgent_go_first_when_the_budget_cannot_take_all() -> None:
    wanted = [action(number, urgency=urgency) for number, urgency in enumerate([2, 0, 1, 0], start=1)]
    decision = judge(wanted, LedgerFacts(fleet_size=30), LIMITS, NOW)
    assert [each.node_id.int for each in decision.allowed] == [2, 4, 3]
    assert [refusal.action.node_id.int for refusal in decision.refused] == [1]


def test_an_action_that_is_allowed_counts_for_the_next() -> None:
    decision = judge([action(1), action(1)], LedgerFacts(fleet_size=100), LIMITS, NOW)
    assert len(decision.allowed) == 1
    assert [refusal.rule for refusal in decision.refused] == [Rule.ONE_OPEN_ACTION]


shares = st.integers(0, 10_000).map(lambda basis_points: basis_points / 10_000)


@given(fleet_size=st.integers(0, 10_000), share=shares)
def test_the_budget_is_the_share_of_the_fleet_and_never_rounds_to_zero(fleet_size: int, share: float) -> None:
    budget = GuardrailLimits(disruption_share_per_hour=share).disruptions_per_hour(fleet_size)
    assert budget == max(1, int(Decimal(str(share)) * fleet_size))


wanted_actions = st.lists(
    st.builds(
        action,
        st.integers(1, 30),
        st.sampled_from(ActionKind),
        by=st.sampled_from(["policy:test", "policy:other"]),
        urgency=st.integers(0, 2),
    ),
    max_size=60,
)


@given(wanted=wanted_actions, fleet_size=st.integers(0, 300), spent=st.integers(0, 40), share=shares)
def test_the_fleet_never_disrupts_more_than_its_allowance(
    wanted: Sequence[PlannedAction], fleet_size: int, spent: int, share: float
) -> None:
    limits = replace(LIMITS, disruption_share_per_hour=share)
    decision = judge(wanted, LedgerFacts(fleet_size, spent), limits, NOW)
    disruptions = sum(each.kind in DISRUPTIVE_KINDS for each in decision.allowed)
    assert disruptions <= max(0, limits.disruptions_per_hour(fleet_size) - spent)
    keys = [(each.node_id, each.kind) for each in decision.allowed]
    assert len(set(keys)) == len(keys)
    assert len(decision.allowed) + len(decision.refused) == len(wanted)
