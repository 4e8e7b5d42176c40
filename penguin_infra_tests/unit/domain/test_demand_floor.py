"""The floor by demand: what is left must carry seven tenths of it, at its edge, and only where both are known."""

from dataclasses import replace
from uuid import UUID

import pytest

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.guardrails import GuardrailLimits, LedgerFacts, Rule, judge
from penguin_infra_tests.fleets import NOW

PAUSE = ActionKind.PAUSE
LIMITS = GuardrailLimits(disruption_share_per_hour=1, approve=frozenset())
NODES = [UUID(int=number) for number in range(1, 5)]


def fleet(*, each: int = 1_000, demand: float | None = 5_000) -> LedgerFacts:
    """Four nodes that send, one of which may go while three carry seven tenths of the demand."""
    return LedgerFacts(
        fleet_size=4, rotation=frozenset(NODES), capacity=dict.fromkeys(NODES, each), present_demand=demand
    )


def pause(number: int = 1, *, by: str = "policy:test", kind: ActionKind = PAUSE) -> PlannedAction:
    return PlannedAction(UUID(int=number), kind, "test", by)


def fate(facts: LedgerFacts, action: PlannedAction | None = None) -> tuple[Rule, str] | None:
    decision = judge([action or pause()], facts, LIMITS, NOW)
    return (decision.refused[0].rule, decision.refused[0].explanation) if decision.refused else None


@pytest.mark.parametrize(("demand", "is_allowed"), [(0, True), (4_285, True), (4_286, False), (50_000, False)])
def test_what_is_left_must_carry_seven_tenths_of_the_present_demand(demand: int, is_allowed: bool) -> None:
    refused = fate(fleet(demand=demand))
    assert (refused is None) == is_allowed
    if refused:
        least = f"{0.7 * demand:,.0f}"
        assert refused == (
            Rule.CAPACITY_FLOOR,
            f"4,000 - 1,000 = 3,000 < {least} messages a day (70% of the present demand of {demand:,})",
        )


@pytest.mark.parametrize("by", ["person:ada", "api:shop"])
def test_a_persons_pause_is_an_emergency_brake(by: str) -> None:
    assert fate(fleet(), pause(by=by)) is None


def test_a_persons_maintenance_is_held_up_like_the_fleets_own() -> None:
    refused = fate(fleet(), pause(by="person:ada", kind=ActionKind.MAINTENANCE))
    assert refused is not None
    assert "present demand" in refused[1]


def test_a_node_that_its_listing_took_out_already_is_never_held_up() -> None:
    facts = fleet(demand=50_000)
    assert fate(replace(facts, rotation=facts.rotation - {NODES[0]})) is None


@pytest.mark.parametrize("facts", [
    replace(fleet(), capacity={}), replace(fleet(), present_demand=None), replace(fleet(), capacity={NODES[1]: 1}),
    fleet(each=0),
])  # fmt: skip
def test_of_what_nobody_measured_no_sum_is_made(facts: LedgerFacts) -> None:
    assert fate(facts) is None


@pytest.mark.parametrize("kind", [PAUSE, ActionKind.REINSTALL, ActionKind.MAINTENANCE, ActionKind.RESIZE])
def test_what_is_under_way_already_counts_as_gone(kind: ActionKind) -> None:
    facts = fleet(demand=4_000)
    assert fate(facts) is None
    refused = fate(replace(facts, under_way=frozenset({(NODES[1], kind)})))
    assert refused is not None
    assert refused[1].startswith("3,000 - 1,000 = 2,000 < 2,800 messages a day")


def test_of_two_that_are_wanted_together_the_first_counts_for_the_second() -> None:
    decision = judge([pause(1), pause(2)], fleet(demand=4_000), LIMITS, NOW)
    assert [action.node_id for action in decision.allowed] == [NODES[0]]
    assert [refusal.rule for refusal in decision.refused] == [Rule.CAPACITY_FLOOR]


def test_a_small_node_may_go_where_a_large_one_may_not() -> None:
    facts = replace(fleet(demand=5_000), capacity={**dict.fromkeys(NODES[1:], 1_200), NODES[0]: 50})
    assert fate(facts, pause(1)) is None
    assert fate(facts, pause(2)) is not None
