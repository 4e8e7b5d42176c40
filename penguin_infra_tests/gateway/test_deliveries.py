"""Delivery batches: counted once, whatever comes twice, together or out of order."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from penguin_infra_tests.fleets import add_node, add_nodes
from penguin_infra_tests.gateway.conftest import DELIVERIES, Gateway, batch, bucket

COUNTED = "SELECT coalesce(sum(messages), 0)::integer FROM fleet.delivery_counts"


def test_a_batch_is_counted_before_it_is_answered(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    done = gateway.post(DELIVERIES, gateway.token(node_id), batch(node_id, unread_lines=4))
    assert (done.status_code, done.json()) == (200, {"version": 1, "is_duplicate": False})
    assert gateway.rows("SELECT mailbox_provider, result, messages FROM fleet.delivery_counts") == [
        ("gmail", "sent", 7)
    ]
    assert gateway.rows("SELECT node_id, stream, sequence, unread_lines FROM fleet.delivery_batches") == [
        (node_id, "boot-1:spool-1", 1, 4)
    ]


def test_a_batch_that_comes_again_changes_nothing_and_is_told_so(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    answers = [gateway.post(DELIVERIES, token, batch(node_id)).json()["is_duplicate"] for _ in range(3)]
    assert answers == [False, True, True]
    assert gateway.post(DELIVERIES, token, batch(node_id, messages=1000)).json()["is_duplicate"] is True
    assert gateway.rows(COUNTED) == [(7,)]


def test_batches_out_of_order_and_of_other_streams_and_nodes_all_count(gateway: Gateway) -> None:
    first, second = add_nodes(gateway.engine, 2)
    token, other = gateway.token(first), gateway.token(second)
    for sequence in (3, 1, 2):
        assert gateway.post(DELIVERIES, token, batch(first, sequence)).json()["is_duplicate"] is False
    assert gateway.post(DELIVERIES, token, batch(first, stream="boot-2:spool-1")).json()["is_duplicate"] is False
    assert gateway.post(DELIVERIES, other, batch(second)).json()["is_duplicate"] is False
    assert gateway.rows(COUNTED) == [(35,)]


def test_the_same_bucket_twice_in_one_batch_is_summed(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    count = {"bucket_at": bucket(), "mailbox_provider": "yahoo", "result": "deferred", "messages": 2}
    gateway.post(DELIVERIES, gateway.token(node_id), batch(node_id, counts=[count, count]))
    assert gateway.rows("SELECT result, messages FROM fleet.delivery_counts") == [("deferred", 4)]


def test_a_batch_without_counts_is_a_batch(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    token = gateway.token(node_id)
    answers = [gateway.post(DELIVERIES, token, batch(node_id, counts=[])).json()["is_duplicate"] for _ in range(2)]
    assert answers == [False, True]


def test_the_same_batches_sent_by_many_at_once_are_counted_once_each(gateway: Gateway) -> None:
    """Eight senders, each the same ten batches in another order: groups hold duplicates of each other."""
    node_id = add_node(gateway.engine)
    tokens = [gateway.token(node_id) for _ in range(2)]

    def send(number: int) -> list[Any]:
        order = [(number * 3 + step) % 10 for step in range(10)]
        told = []
        for sequence in order:
            done = gateway.post(DELIVERIES, tokens[number % 2], batch(node_id, sequence))
            while done.status_code == 429:
                done = gateway.post(DELIVERIES, tokens[number % 2], batch(node_id, sequence))
            told.append((sequence, done.json()["is_duplicate"]))
        return told

    with ThreadPoolExecutor(8) as pool:
        told = [each for answers in pool.map(send, range(8)) for each in answers]
    assert sorted(sequence for sequence, is_duplicate in told if not is_duplicate) == list(range(10))
    assert gateway.rows(COUNTED) == [(70,)]
