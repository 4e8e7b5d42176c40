"""Who is resized: a node that holds up its own queue, to the plan that fits, one a region; nobody for others' sake."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.domain.capacity import LadderPlan
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.policies.resize_deep_queue import ResizeLimits, ResizePlan, Restraint, plan_resizes
from penguin_infra.domain.queue_pressure import QueueingNode, QueueWindow
from penguin_infra_tests.fleets import NOW

LIMITS = ResizeLimits()
LADDER = (
    LadderPlan("ssd-1", cpu=1, memory_mb=1_024, messages_per_hour=6_000, monthly_usd=Decimal("4.99")),
    LadderPlan("ssd-2", cpu=1, memory_mb=2_048, messages_per_hour=12_000, monthly_usd=Decimal("9.99")),
    LadderPlan("ssd-4", cpu=2, memory_mb=4_096, messages_per_hour=24_000, monthly_usd=Decimal("18.99")),
)


def window(
    minutes_ago: int = 0,
    *,
    depth: int = 2_000,
    deferred: int = 0,
    age: int | None = 1_800,
    ended: int = 480,
    deferrals: int = 0,
    cpu: float | None = 50,
    memory: float | None = 50,
    is_held: bool = False,
) -> QueueWindow:
    measured_at = NOW - timedelta(minutes=minutes_ago)
    return QueueWindow(measured_at, depth, deferred, age, ended, deferrals, cpu, memory, is_held)


def steady(one: QueueWindow, *, count: int = 6) -> tuple[QueueWindow, ...]:
    return tuple(replace(one, measured_at=one.measured_at - timedelta(minutes=5 * back)) for back in range(count))[::-1]


def node(
    number: int = 1,
    windows: tuple[QueueWindow, ...] = steady(window()),
    *,
    plan: str = "ssd-1",
    region: str = "dallas",
    status: NodeStatus = NodeStatus.ACTIVE,
    is_resizing: bool = False,
    resized_at: datetime | None = None,
) -> QueueingNode:
    return QueueingNode(UUID(int=number), f"node-{number:03}", region, plan, status, windows, is_resizing, resized_at)


def decide(*nodes: QueueingNode, room: Decimal | None = None) -> ResizePlan:
    return plan_resizes(nodes, ladder=LADDER, spend_room_usd=room, limits=LIMITS, now=NOW)


def left(*nodes: QueueingNode, room: Decimal | None = None) -> list[tuple[int, Restraint]]:
    plan = decide(*nodes, room=room)
    return [(each.node_id.int, each.rule) for each in plan.left_alone]


def test_a_node_at_its_plans_throughput_gets_the_next_plan_with_the_sums() -> None:
    (resize,) = decide(node()).resizes
    assert (resize.from_plan, resize.to_plan) == ("ssd-1", "ssd-2")
    assert resize.reason == (
        "node-001: the queue stayed deep for 30 min (2,000 mails >= 1,000, the oldest 1,800 s >= 900 s); "
        "5,760 messages an hour >= 5,400 (90 % of 6,000); "
        "ssd-1 -> ssd-2: 5,760 needed of 12,000 messages an hour are 48% (target 65%)"
    )
    assert resize.evidence["causes"] == ["throughput"]
    assert json.loads(json.dumps(resize.evidence)) == resize.evidence


def test_a_calm_queue_is_not_even_spoken_of() -> None:
    assert decide(node(windows=steady(window(depth=100, cpu=100)))) == ResizePlan()


@pytest.mark.parametrize(
    "calm",
    [
        steady(window(depth=900)),
        steady(window(age=600)),
        steady(window(age=None)),
        steady(window(), count=5),
        steady(window(minutes_ago=40)),
        (*steady(window(minutes_ago=5), count=5), window(depth=400)),
        (*steady(window(minutes_ago=5), count=5), window(age=300)),
        (*steady(window(minutes_ago=5, depth=600), count=5), window(depth=10**9)),
        (),
    ],
    ids=["shallow", "young", "unknown", "short", "old", "emptied", "cleared", "one absurd window", "unseen"],
)
def test_a_queue_that_did_not_stay_deep_is_left_in_peace(calm: tuple[QueueWindow, ...]) -> None:
    assert decide(node(windows=calm)) == ResizePlan()


def test_a_queue_that_wavers_about_the_limit_is_deep_still() -> None:
    wavering = (*steady(window(minutes_ago=10), count=4), window(5, depth=800), window(0, depth=900))
    assert len(decide(node(windows=wavering)).resizes) == 1


@pytest.mark.parametrize(
    ("lacking", "plan", "expected"),
    [
        (window(ended=100, cpu=95), "ssd-1", "ssd-4"),
        (window(ended=100, memory=95), "ssd-1", "ssd-2"),
        (window(ended=900), "ssd-1", "ssd-4"),
        (window(ended=1_400), "ssd-2", "ssd-4"),
    ],
    ids=["a second core is two rungs up", "memory is one", "throughput beyond the next", "not enough, but the most"],
)
def test_the_next_plan_has_more_of_what_lacks(lacking: QueueWindow, plan: str, expected: str) -> None:
    (resize,) = decide(node(windows=steady(lacking), plan=plan)).resizes
    assert resize.to_plan == expected


def test_a_growing_queue_counts_in_what_the_new_plan_must_deliver() -> None:
    growing = tuple(replace(each, depth=2_000 + 400 * step) for step, each in enumerate(steady(window())))
    (resize,) = decide(node(windows=growing)).resizes
    assert (resize.to_plan, resize.evidence["needed_per_hour"]) == ("ssd-4", 5_760 + 400 * 12)


def test_at_the_ladders_top_another_node_is_asked_for_instead() -> None:
    plan = decide(node(windows=steady(window(ended=2_000)), plan="ssd-4"))
    assert (plan.resizes, plan.left_alone) == ((), ())
    assert (plan.another_node[0].label, plan.another_node[0].region) == ("node-001", "dallas")
    assert plan.another_node[0].reason.endswith("no plan above ssd-4 has more of it: another node in dallas instead")


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (window(deferred=1_500, cpu=99), "75% of the queue was put off by remote hosts (limit 50%)"),
        (window(deferrals=4_320), "90% of the deliveries were put off by remote hosts (limit 50%)"),
    ],
)
def test_remote_deferrals_are_named_and_lead_to_nothing(cause: QueueWindow, words: str) -> None:
    (alone,) = decide(node(windows=steady(cause))).left_alone
    assert alone.rule is Restraint.REMOTE_DEFERRALS
    assert f"{words}: a larger plan would not be accepted sooner" in alone.reason
    assert "the queue stayed deep for 30 min" in alone.reason


@pytest.mark.parametrize(
    ("restrained", "rule"),
    [
        (node(status=NodeStatus.PAUSED), Restraint.NOT_IN_SERVICE),
        (node(plan="ssd-9"), Restraint.UNKNOWN_PLAN),
        (node(windows=steady(window(is_held=True))), Restraint.HELD_BACK),
        (node(windows=steady(window(ended=100))), Restraint.NO_OWN_CAUSE),
        (node(windows=steady(window(ended=100, cpu=None, memory=None))), Restraint.NO_OWN_CAUSE),
        (node(resized_at=NOW - timedelta(hours=23, minutes=59)), Restraint.COOL_DOWN),
        (node(is_resizing=True), Restraint.RESIZING),
    ],
    ids=lambda value: value.value if isinstance(value, Restraint) else "",
)
def test_each_restraint_says_why_nothing_is_done(restrained: QueueingNode, rule: Restraint) -> None:
    (alone,) = decide(restrained).left_alone
    assert alone.rule is rule
    assert alone.reason.startswith("node-001: the queue stayed deep for 30 min")
    assert decide(restrained).resizes == ()


def test_one_absurd_sample_of_a_resource_is_no_cause() -> None:
    lying = (*steady(window(minutes_ago=5, ended=100), count=5), window(ended=10**9, cpu=1e9, memory=1e9))
    assert left(node(windows=lying)) == [(1, Restraint.NO_OWN_CAUSE)]


def test_the_cool_down_ends_to_the_minute() -> None:
    assert len(decide(node(resized_at=NOW - timedelta(hours=24))).resizes) == 1


def test_of_a_region_the_node_with_the_oldest_mail_goes_first_and_the_other_waits() -> None:
    plan = decide(node(1), node(2, steady(window(age=3_600))), node(3, region="seattle"))
    assert [resize.node_id.int for resize in plan.resizes] == [2, 3]
    (waiting,) = plan.left_alone
    assert (waiting.node_id.int, waiting.rule) == (1, Restraint.ONE_A_REGION)
    assert waiting.reason.endswith("not now: node-002 of dallas is resized: one of a region at a time")


def test_a_resize_under_way_holds_up_its_region_though_its_queue_is_calm_by_now() -> None:
    assert left(node(1), node(2, (), is_resizing=True)) == [(1, Restraint.ONE_A_REGION)]


def test_what_the_month_may_cost_is_spent_once() -> None:
    nodes = (node(1), node(2, region="seattle"))
    assert left(*nodes, room=Decimal("9.99")) == [(2, Restraint.SPEND)]
    assert left(*nodes, room=Decimal("10.00")) == []
    (alone,) = decide(node(), room=Decimal("4.99")).left_alone
    assert alone.reason.endswith("not done: $5.00 more a month > $4.99 left under the spending cap")


@st.composite
def nodes_of_any_kind(draw: st.DrawFn) -> list[QueueingNode]:
    def any_node(number: int) -> QueueingNode:
        one = window(
            depth=draw(st.sampled_from([0, 1_500, 5_000])),
            deferred=draw(st.sampled_from([0, 1_500, 5_000])),
            age=draw(st.sampled_from([None, 100, 1_000, 9_000])),
            ended=draw(st.sampled_from([0, 100, 500, 2_000])),
            deferrals=draw(st.sampled_from([0, 5_000])),
            cpu=draw(st.sampled_from([None, 10, 99])),
            memory=draw(st.sampled_from([None, 10, 99])),
            is_held=draw(st.booleans()),
        )
        hours_ago = draw(st.sampled_from([None, 1, 23, 25]))
        return node(
            number,
            steady(one),
            plan=draw(st.sampled_from(["ssd-1", "ssd-2", "ssd-4", "ssd-9"])),
            region=draw(st.sampled_from(["dallas", "seattle"])),
            status=draw(st.sampled_from(NodeStatus)),
            is_resizing=draw(st.integers(0, 5)) == 0,
            resized_at=None if hours_ago is None else NOW - timedelta(hours=hours_ago),
        )

    return [any_node(number) for number in range(draw(st.integers(0, 8)))]


@settings(deadline=None, max_examples=150)
@given(nodes_of_any_kind(), st.sampled_from([None, Decimal(0), Decimal(12), Decimal(100)]))
def test_whatever_the_facts_no_resize_breaks_a_rule(nodes: list[QueueingNode], room: Decimal | None) -> None:
    plan = decide(*nodes, room=room)
    by_id = {each.node_id: each for each in nodes}
    busy = [each.region for each in nodes if each.is_resizing] + [resize.region for resize in plan.resizes]
    assert all(busy.count(resize.region) == 1 for resize in plan.resizes)
    prices = {each.name: each.monthly_usd for each in LADDER}
    assert room is None or sum(prices[each.to_plan] - prices[each.from_plan] for each in plan.resizes) <= room
    for resize in plan.resizes:
        resized = by_id[resize.node_id]
        latest = resized.windows[-1]
        assert resized.status in {NodeStatus.ACTIVE, NodeStatus.WARMING}
        assert resized.resized_at is None or NOW - resized.resized_at >= timedelta(hours=24)
        assert latest.deferred < latest.depth / 2
        assert latest.deferrals <= latest.ended
        assert not latest.is_held
        assert prices[resize.to_plan] > prices[resize.from_plan]


@settings(deadline=None, max_examples=60)
@given(nodes_of_any_kind(), st.randoms(use_true_random=False))
def test_the_same_facts_give_the_same_answer_in_any_order(nodes: list[QueueingNode], random: Random) -> None:
    shuffled = list(nodes)
    random.shuffle(shuffled)
    assert decide(*nodes) == decide(*shuffled)


@settings(deadline=None, max_examples=60)
@given(nodes_of_any_kind())
def test_every_deep_queue_gets_one_answer(nodes: list[QueueingNode]) -> None:
    plan = decide(*nodes)
    resized = [each.node_id for each in plan.resizes]
    answered = [*resized, *(each.node_id for each in plan.another_node), *(each.node_id for each in plan.left_alone)]
    assert len(answered) == len(set(answered))
    deep = {n.node_id for n in nodes if n.windows[-1].depth >= 1_000 and (n.windows[-1].oldest_age_seconds or 0) >= 900}
    assert set(answered) == deep


def emptying_windows(depth: int, by: int) -> tuple[QueueWindow, ...]:
    """A node that is busy with what came back to it, and gets rid of `by` mails in five minutes."""
    return tuple(
        replace(window(5 * back), depth=depth + by * back, ended=480, cpu_percent=95) for back in reversed(range(6))
    )


def test_a_queue_that_empties_by_itself_within_half_a_day_is_left_alone() -> None:
    answer = decide(node(1, emptying_windows(6_000, 100)))
    assert left(node(1, emptying_windows(6_000, 100))) == [(1, Restraint.EMPTYING)]
    assert "it empties by 1,200 an hour (below 1,000 within 12 h)" in answer.left_alone[0].reason


def test_a_queue_that_empties_too_slowly_is_not_waited_for() -> None:
    assert len(decide(node(1, emptying_windows(60_000, 10))).resizes) == 1
