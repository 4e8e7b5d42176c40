"""Provisioning under random faults, deaths and impatience: one instance a request, and none paid for and unknown."""

from collections import Counter
from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.lifecycle import TRANSITIONS
from penguin_infra.domain.node import InstanceLabel, NodeStatus
from penguin_infra_tests.pretend_node import zone_records
from penguin_infra_tests.scenarios.provisioning_world import FLEET, World

pytestmark = pytest.mark.xdist_group("provisioning")

Step = Callable[[World], None]

_LEGAL = {(status, target) for (status, _), target in TRANSITIONS.items()} | {(None, NodeStatus.PROVISIONING)}


def named(name: str, act: Step) -> Step:
    """A step that a failing example prints by its name."""
    act.__name__ = act.__qualname__ = name.replace(" ", "_")
    return act


def fault(kind: str, count: int, method: str | None) -> Step:
    def put(world: World) -> None:
        event(f"fault: {kind}")
        world.add_fault(kind, count=count, method=method)

    return named(f"{count} {kind} of {method}", put)


def trouble(what: str, where: str, nth: int) -> Step:
    happenings: dict[str, Step] = {
        "kill": World.kill,
        "lose lock": World.lose_lock,
        "lose lock to a successor": World.lose_lock_to_a_successor,
        "restart simulator": World.restart_simulator,
    }

    def arm(world: World) -> None:
        def happen() -> None:
            event(f"happened: {what} {where}")
            happenings[what](world)

        world.points.arm(where, nth, happen)

    return named(f"{what} {where} {nth}", arm)


def rest(seconds: int) -> Step:
    return named(f"rest {seconds}", lambda world: world.clock.sleep(seconds))


def repeat_runs(world: World) -> None:
    """The same run is launched twice, as by a person in the UI."""
    for action in world.tick():
        world.run(action)
        world.run(action)


RUN = named("tick and run", lambda world: world.tick_and_run())
# A late answer costs real time, so it is rarer than the rest.
LATE = st.builds(fault, st.just("latency"), st.just(1), st.sampled_from(["POST", "DELETE"]))
PROMPT = st.builds(
    fault,
    st.sampled_from(["cut_after_act", "server_error", "rate_limit", "html", "no_address"]),
    st.integers(1, 8),
    st.sampled_from([None, "POST", "GET", "DELETE"]),
)
FAULTS = st.integers(0, 7).flatmap(lambda number: LATE if number == 5 else PROMPT)
POINTS = ("call", "commit", "publish", "install", "mail", "remove")
KILLS = st.builds(
    trouble,
    st.just("kill"),
    st.sampled_from([f"{when} {what}" for what in POINTS for when in ("before", "after")]),
    st.integers(1, 10),
)
LOSSES = st.builds(
    trouble,
    st.sampled_from(["lose lock", "lose lock to a successor"]),
    st.sampled_from(["before call", "after call"]),
    st.integers(1, 6),
)
# A start takes most of a second.
RESTARTS = st.builds(
    trouble, st.just("restart simulator"), st.sampled_from(["before call", "after call"]), st.integers(1, 4)
)
OTHERS = st.sampled_from(
    [
        rest(61),
        rest(301),
        named("tick and lose the runs", lambda world: world.tick_and_lose_runs(is_dagster_aware=False)),
        named("repeat runs", repeat_runs),
        named("runs end at once", lambda world: world.tick_and_lose_runs(is_dagster_aware=True)),
        named("anna pauses", lambda world: world.person_asks(ActionKind.PAUSE)),
        named("anna resumes", lambda world: world.person_asks(ActionKind.RESUME)),
    ]
)
# Trouble first, then a run that meets it.
EPISODES = st.tuples(st.one_of(FAULTS, FAULTS, KILLS, KILLS, LOSSES, OTHERS), st.just(RUN)).map(list)
RARE = st.integers(0, 24).flatmap(lambda number: RESTARTS.map(lambda step: [step, RUN]) if number == 13 else EPISODES)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(node_count=st.integers(1, 2), first=RARE, episodes=st.lists(EPISODES, max_size=3))
def test_whatever_happens_a_request_ends_with_one_instance_in_service_or_with_none_at_all(
    world: World, node_count: int, first: list[Step], episodes: list[list[Step]]
) -> None:
    world.clear()
    world.request(node_count)
    for episode in [first, *episodes]:
        for step in episode:
            step(world)
    world.settle()

    nodes = {str(InstanceLabel.of(fleet_name=FLEET, label=n.label, node_id=n.node_id)): n for n in world.nodes()}
    created = Counter(label for label in world.created_labels() if label in nodes)
    assert [label for label, count in created.items() if count > 1] == [], "two instances were made for one request"
    live = {str(instance["label"]): instance["id"] for instance in world.simulator.instances()}
    serving = {label: n.provider_id for label, n in nodes.items() if n.status is not NodeStatus.DECOMMISSIONED}
    assert live == serving, "what is paid for is not what is in service"
    published = zone_records(world.lab_dns)
    assert published == world.known_records(), "a record is published that nobody wrote down, or the reverse"
    names = {record[0] for record in published}
    assert {name.removeprefix("penguin._domainkey.") for name in names} == {
        f"{node.label}.nodes.lab.test" for node in nodes.values() if node.status is not NodeStatus.DECOMMISSIONED
    }, "the names that are published are not those of the nodes in service"
    for node in nodes.values():
        event(f"ended {node.status}")
        history = world.statuses(node.node_id)
        assert all(earlier[1] == later[0] for earlier, later in pairwise(history)), history
        assert {step for step in history if step not in _LEGAL} == set(), history
