"""What a batch sensor does in a tick: plans, asks for one run, waits for it, and takes back what died."""

from typing import Any
from uuid import UUID, uuid4

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from penguin_infra.defs.remediation.pause import pause_sensor
from penguin_infra.defs.remediation.resume import resume_sensor
from penguin_infra.domain.actions import ActionKind, ActionStatus
from penguin_infra.store import actions, switches
from penguin_infra.store.actions import Action
from penguin_infra.store.database import RunLock
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import NOW, add_node, add_nodes, list_address, plan


class Ticker:
    """The pause sensor, tick by tick, and what Dagster's daemon would make of its answers."""

    def __init__(self, fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance) -> None:
        self.fleet, self.instance = fleet, instance
        self._job = definitions.resolve_job_def("pause")

    def tick(self, sensor: dg.SensorDefinition = pause_sensor) -> list[dg.RunRequest]:
        answer: Any = sensor(self._context())
        return answer if isinstance(answer, list) else []

    def skip_reason(self, sensor: dg.SensorDefinition = pause_sensor) -> str:
        answer: Any = sensor(self._context())
        assert isinstance(answer, dg.SkipReason), answer
        return str(answer.skip_message)

    def launch(self, request: dg.RunRequest, status: DagsterRunStatus = DagsterRunStatus.NOT_STARTED) -> str:
        tags = {**request.tags, "dagster/run_key": str(request.run_key)}
        return self.instance.create_run_for_job(self._job, status=status, tags=tags).run_id

    def end(self, run_id: str, event_type: dg.DagsterEventType) -> None:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        self.instance.report_dagster_event(dg.DagsterEvent(event_type.value, run.job_name), run_id)

    def status(self, run_id: str) -> DagsterRunStatus:
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        return run.status

    def actions(self, *statuses: ActionStatus) -> list[Any]:
        with self.fleet.engine.connect() as connection:
            return list(actions.list_actions(connection, statuses=statuses or None))

    def claim(self, run_id: str) -> list[Action]:
        with self.fleet.engine.begin() as connection:
            return actions.claim_due(connection, ActionKind.PAUSE, run_id, self.fleet.clock.now())

    def _context(self) -> dg.SensorEvaluationContext:
        return dg.build_sensor_context(instance=self.instance, resources={"fleet": self.fleet})


@pytest.fixture
def ticker(fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance) -> Ticker:
    return Ticker(fleet, definitions, instance)


@pytest.fixture
def listed_node(fleet: Wiring) -> UUID:
    node_id = add_node(fleet.engine)
    list_address(fleet.engine, node_id)
    return node_id


def test_a_listed_node_is_planned_and_one_run_asked_for(ticker: Ticker, listed_node: UUID) -> None:
    (request,) = ticker.tick()
    (action,) = ticker.actions()
    assert (action.node_id, action.kind, action.status, action.attempt) == (listed_node, "pause", "planned", 1)
    assert request.run_key == f"pause:{action.id}:1"
    assert request.tags["penguin/action"] == str(action.id)
    assert request.tags["penguin/node"] == "node-001"
    assert request.tags["penguin/cause"] == "policy:pause_listed"
    assert "zen.spamhaus.org" in request.tags["penguin/reason"]


def test_many_due_actions_share_one_run(ticker: Ticker) -> None:
    plan(ticker.fleet.engine, add_nodes(ticker.fleet.engine, 5), at=ticker.fleet.clock.now())
    (request,) = ticker.tick()
    assert request.tags["penguin/actions"] == "5"


@pytest.mark.parametrize("status", [DagsterRunStatus.NOT_STARTED, DagsterRunStatus.STARTING, DagsterRunStatus.STARTED])
def test_nothing_is_asked_for_while_that_run_is_under_way(
    ticker: Ticker, listed_node: UUID, status: DagsterRunStatus
) -> None:
    (request,) = ticker.tick()
    ticker.launch(request, status)
    assert ticker.skip_reason().startswith("1 pause waiting for a run that was asked for (node-001)")
    assert len(ticker.actions(ActionStatus.PLANNED)) == 1


def test_a_run_that_never_came_into_being_is_asked_for_again_by_the_same_key(ticker: Ticker, listed_node: UUID) -> None:
    (lost,) = ticker.tick()
    (again,) = ticker.tick()
    assert lost.run_key == again.run_key


@pytest.mark.parametrize(
    "event_type", [dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED, dg.DagsterEventType.RUN_SUCCESS]
)
def test_an_action_whose_run_ended_before_taking_it_is_tried_again(
    ticker: Ticker, listed_node: UUID, event_type: dg.DagsterEventType
) -> None:
    (request,) = ticker.tick()
    ticker.end(ticker.launch(request), event_type)
    (again,) = ticker.tick()
    (action,) = ticker.actions(ActionStatus.PLANNED)
    assert again.run_key == f"pause:{action.id}:2"
    assert "ended before it took the action up" in action.attempts[0]["outcome"]


def test_an_action_whose_run_died_while_acting_is_tried_again_and_dagster_hears_of_the_death(
    ticker: Ticker, listed_node: UUID
) -> None:
    (request,) = ticker.tick()
    run_id = ticker.launch(request, DagsterRunStatus.STARTED)
    (action,) = ticker.claim(run_id)
    (again,) = ticker.tick()
    assert again.run_key == f"pause:{action.action_id}:2"
    assert ticker.status(run_id) is DagsterRunStatus.FAILURE


def test_an_action_whose_run_lives_is_left_to_it(ticker: Ticker, listed_node: UUID) -> None:
    (request,) = ticker.tick()
    run_id = ticker.launch(request, DagsterRunStatus.STARTED)
    lock = RunLock(ticker.fleet.engine, run_id)
    ticker.claim(run_id)
    assert ticker.tick() == []
    assert ticker.status(run_id) is DagsterRunStatus.STARTED
    lock.close()


def test_an_action_that_died_three_times_is_given_up(ticker: Ticker, listed_node: UUID) -> None:
    for attempt in (1, 2, 3):
        (request,) = ticker.tick()
        assert str(request.run_key).endswith(f":{attempt}")
        ticker.claim(str(uuid4()))
    assert "died while it was acting" in ticker.skip_reason()
    (action,) = ticker.actions(ActionStatus.FAILED)
    assert len(action.attempts) == 3


def test_a_refusal_is_told_with_its_sum(ticker: Ticker) -> None:
    for number, node_id in enumerate(add_nodes(ticker.fleet.engine, 3), start=1):
        list_address(ticker.fleet.engine, node_id, number)
    (request,) = ticker.tick()
    ticker.launch(request)
    said = ticker.skip_reason()
    assert "refused by disruption_budget: 1 + 1 > 1 an hour (max(1, 10% of 3 nodes))" in said


def test_while_the_fleet_is_frozen_only_persons_get_their_way(ticker: Ticker, listed_node: UUID) -> None:
    engine = ticker.fleet.engine
    with engine.begin() as connection:
        switches.freeze(connection, reason="a drill", requested_by="person:anna", now=NOW)
    said = ticker.skip_reason()
    assert "kill_switch" in said
    assert "frozen by person:anna" in said
    assert "a drill" in said
    other = add_node(engine, 2)
    (asked_by_anna,) = plan(engine, [other], by="person:anna", at=ticker.fleet.clock.now())
    (request,) = ticker.tick()
    assert request.run_key == f"pause:{asked_by_anna}:1"


def test_with_nothing_to_do_the_sensor_says_so(ticker: Ticker) -> None:
    add_node(ticker.fleet.engine)
    assert ticker.skip_reason() == "no node needs pause"
    assert ticker.skip_reason(resume_sensor) == "no node needs resume"


def test_an_open_pause_adds_no_refusals_to_the_ledger(ticker: Ticker, listed_node: UUID) -> None:
    (request,) = ticker.tick()
    ticker.launch(request)
    for _ in range(3):
        ticker.tick()
    assert ticker.actions(ActionStatus.REFUSED) == []
