"""Random events on random nodes in the store: no illegal status, an unbroken history, and addresses held by one."""

from contextlib import nullcontext, suppress
from datetime import timedelta
from ipaddress import IPv4Address
from itertools import pairwise
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text
from sqlalchemy.exc import IntegrityError

from penguin_infra.domain.lifecycle import TRANSITIONS, IllegalTransition, NodeEvent
from penguin_infra.domain.node import SENDING_STATUSES, NodeStatus
from penguin_infra.store import node_places, nodes
from penguin_infra_tests.fleets import NOW, address, rotation

_EVENTS = st.sampled_from([event.value for event in NodeEvent]).map(NodeEvent)
_ADDRESSES = st.integers(1, 3).map(address)


class Lifecycles(RuleBasedStateMachine):
    """A handful of nodes, a model of each beside it, and events legal or not."""

    engine: Engine
    node_ids: Bundle[UUID] = Bundle("node_ids")

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.statuses: dict[UUID, NodeStatus] = {}
        self.left: dict[UUID, list[NodeStatus]] = {}
        self.held: dict[UUID, IPv4Address] = {}

    @initialize(target=node_ids, count=st.integers(1, 3))
    def request(self, count: int) -> Any:
        with self.engine.begin() as connection:
            connection.execute(text("SET LOCAL session_replication_role = replica"))
            for table in ("node_transitions", "ip_tenures", "sending_nodes"):
                connection.execute(text(f"DELETE FROM fleet.{table}"))
            made = [
                nodes.insert_request(
                    connection, label=f"n{number}", region="dallas", plan="ssd-1", requested_by="person:a", now=NOW
                )
                for number in range(count)
            ]
        self.statuses = dict.fromkeys(made, NodeStatus.PROVISIONING)
        return multiple(*made)

    @rule(node_id=node_ids, ip_address=_ADDRESSES)
    def get_address(self, node_id: UUID, ip_address: IPv4Address) -> None:
        if self.statuses[node_id] is not NodeStatus.PROVISIONING or node_id in self.held:
            return
        others = {ip for other, ip in self.held.items() if self.statuses[other] is not NodeStatus.DECOMMISSIONED}
        with self.engine.begin() as connection:
            if ip_address in others:
                with pytest.raises(nodes.AddressHeld):
                    node_places.record_address(connection, node_id, ip_address, self._tick())
                return
            node_places.record_address(connection, node_id, ip_address, self._tick())
        self.held[node_id] = ip_address

    @rule(node_id=node_ids, event=_EVENTS)
    def happen(self, node_id: UUID, event: NodeEvent) -> None:
        status = self.statuses[node_id]
        target = TRANSITIONS.get((status, event))
        refusal: type[Exception] | None = None
        if target is None:
            refusal = IllegalTransition
        elif event is NodeEvent.ADMITTED and node_id not in self.held:
            refusal = IntegrityError  # the database's own word: no node serves without an address
        with pytest.raises(refusal) if refusal else nullcontext(), self.engine.begin() as connection:
            arrived = nodes.apply_event(
                connection, node_id, event, reason="a test", requested_by="person:a", now=self._tick()
            )
            assert arrived is target, (status, event)
            self.statuses[node_id] = arrived
            if event in {NodeEvent.PAUSED, NodeEvent.MAINTENANCE_BEGUN}:
                self.left.setdefault(node_id, []).append(status)

    @rule(node_id=node_ids, event=_EVENTS)
    def happen_and_be_undone(self, node_id: UUID, event: NodeEvent) -> None:
        """The transaction ends in an error of something else: neither status nor history may show the event."""
        with suppress(IllegalTransition, IntegrityError), self.engine.connect() as connection:
            nodes.apply_event(connection, node_id, event, reason="a test", requested_by="person:a", now=self._tick())
            connection.rollback()

    @invariant()
    def every_status_is_as_the_table_has_it_and_history_is_a_chain_that_ends_there(self) -> None:
        with self.engine.connect() as connection:
            for node_id, status in self.statuses.items():
                node = nodes.get_node(connection, node_id)
                assert node.status is status
                assert (node.hold_reason is not None) == (status in {NodeStatus.PAUSED, NodeStatus.MAINTENANCE})
                history = nodes.transitions(connection, node_id)
                assert history[0].from_status is None
                assert history[-1].to_status == status
                assert all(earlier.to_status == later.from_status for earlier, later in pairwise(history))
                assert all(earlier.happened_at <= later.happened_at for earlier, later in pairwise(history))

    @invariant()
    def only_nodes_in_service_are_in_the_rotation(self) -> None:
        if self.statuses:
            sending = {node_id for node_id, status in self.statuses.items() if status in SENDING_STATUSES}
            assert rotation(self.engine) == sending

    @invariant()
    def an_address_has_one_living_holder(self) -> None:
        if self.statuses:
            query = text("SELECT node_id, ip_address FROM fleet.ip_tenures WHERE ended_at IS NULL")
            with self.engine.connect() as connection:
                found = {row.node_id: IPv4Address(row.ip_address) for row in connection.execute(query)}
            living = {each for each, status in self.statuses.items() if status is not NodeStatus.DECOMMISSIONED}
            assert found == {node_id: ip for node_id, ip in self.held.items() if node_id in living}

    @invariant()
    def a_held_node_remembers_the_status_that_it_left(self) -> None:
        with self.engine.connect() as connection:
            for node_id, status in self.statuses.items():
                if status is NodeStatus.MAINTENANCE:
                    left = nodes.status_left(connection, nodes.get_node(connection, node_id))
                    assert left is self.left[node_id][-1]
                if status is NodeStatus.PAUSED:
                    left = nodes.status_left(connection, nodes.get_node(connection, node_id))
                    assert left in SENDING_STATUSES

    def _tick(self) -> Any:
        self.now += timedelta(seconds=1)
        return self.now


@pytest.fixture
def machine(engine: Engine) -> type[Lifecycles]:
    Lifecycles.engine = engine
    return Lifecycles


def test_no_sequence_of_events_leaves_an_illegal_status_or_a_broken_history(machine: type[Lifecycles]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate, Phase.shrink],
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
