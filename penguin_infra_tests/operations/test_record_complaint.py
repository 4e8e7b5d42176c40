"""Complaints are kept once each, and laid to the node that held the address when the mail arrived."""

from datetime import datetime, timedelta
from ipaddress import IPv4Address
from uuid import UUID

import pytest
from sqlalchemy import Engine, select

from penguin_infra.domain.complaint import NotFeedback
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.record_complaint import RecordedComplaint, record_complaint
from penguin_infra.store import node_places, nodes
from penguin_infra.store.tables import AnyRow
from penguin_infra.store.telemetry_tables import complaints
from penguin_infra_tests.feedback import RECIPIENT, feedback_report
from penguin_infra_tests.fleets import NOW, add_node, address

LATER = NOW + timedelta(hours=1)


def record(engine: Engine, raw: bytes, now: datetime = LATER) -> RecordedComplaint:
    with engine.begin() as connection:
        return record_complaint(connection, raw, now)


def kept(engine: Engine) -> list[AnyRow]:
    with engine.connect() as connection:
        return list(connection.execute(select(complaints)))


def hand_over(engine: Engine, first: UUID, at: datetime) -> UUID:
    """The first node's address goes to another at that moment."""
    with engine.begin() as connection:
        nodes.apply_event(
            connection, first, NodeEvent.DECOMMISSIONED, reason="test", requested_by="person:test", now=at
        )
    second = add_node(engine, 2, NodeStatus.PROVISIONING)
    with engine.begin() as connection:
        node_places.record_instance(connection, second, "hw-2", at)
        node_places.record_address(connection, second, address(1), at)
    return second


def test_a_complaint_is_laid_to_the_node_at_its_address(engine: Engine) -> None:
    node_id = add_node(engine)
    add_node(engine, 2)
    assert record(engine, feedback_report(incidents="2")) == RecordedComplaint("attributed", True, node_id)
    (row,) = kept(engine)
    assert (row.node_id, row.source_ip, row.incidents) == (node_id, IPv4Address("127.77.0.1"), 2)
    assert (row.arrived_at, row.received_at, row.mailbox_provider) == (NOW, LATER, "yahoo")
    assert RECIPIENT not in str(row)


def test_an_address_that_changed_hands_is_laid_to_who_held_it_then(engine: Engine) -> None:
    first = add_node(engine)
    second = hand_over(engine, first, NOW)
    before, after = NOW - timedelta(seconds=1), NOW + timedelta(seconds=1)
    assert record(engine, feedback_report(arrived_at=before)).node_id == first
    assert record(engine, feedback_report(arrived_at=NOW)).node_id == second
    assert record(engine, feedback_report(arrived_at=after)).node_id == second


def test_a_node_that_is_gone_answers_for_nothing_that_came_after_it(engine: Engine) -> None:
    node_id = add_node(engine)
    with engine.begin() as connection:
        event = NodeEvent.DECOMMISSIONED
        nodes.apply_event(connection, node_id, event, reason="test", requested_by="person:test", now=NOW)
    assert record(engine, feedback_report(arrived_at=NOW - timedelta(seconds=1))).node_id == node_id
    assert record(engine, feedback_report(arrived_at=NOW)).attribution == "unknown_address"


@pytest.mark.parametrize(
    ("raw", "attribution"),
    [
        (feedback_report(source_ip=None), "no_source_ip"),
        (feedback_report(source_ip="nonsense", arrived_at=None), "no_source_ip"),
        (feedback_report(arrived_at=None), "no_arrival_date"),
        (feedback_report(source_ip="192.0.2.1"), "unknown_address"),
        (feedback_report(source_ip="2001:db8::1"), "unknown_address"),
        (feedback_report(arrived_at=NOW - timedelta(days=30)), "unknown_address"),
    ],
)
def test_what_can_be_laid_to_nobody_is_kept_with_the_cause(engine: Engine, raw: bytes, attribution: str) -> None:
    add_node(engine)
    assert record(engine, raw) == RecordedComplaint(attribution, True, None)
    assert [row.attribution for row in kept(engine)] == [attribution]


def test_a_report_that_is_told_twice_counts_once(engine: Engine) -> None:
    node_id = add_node(engine)
    assert record(engine, feedback_report()).is_new
    again = record(engine, feedback_report(received="another way"), LATER + timedelta(days=1))
    assert again == RecordedComplaint("attributed", False, node_id)
    assert [row.received_at for row in kept(engine)] == [LATER]


def test_a_report_told_again_stands_as_it_was_first_written(engine: Engine) -> None:
    assert record(engine, feedback_report()).attribution == "unknown_address"
    add_node(engine)
    assert record(engine, feedback_report()) == RecordedComplaint("unknown_address", False, None)


def test_what_is_no_report_leaves_no_trace(engine: Engine) -> None:
    with pytest.raises(NotFeedback):
        record(engine, b"Subject: hello\n\nhow are you?\n")
    assert kept(engine) == []
