"""Asking for nodes: which requests are taken, under which labels, and which field a refusal names."""

from typing import Any

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.operations.request_nodes import BadRequest, request_nodes
from penguin_infra.store import nodes
from penguin_infra_tests.fleets import NOW


def request(engine: Engine, **changes: Any) -> list[Node]:
    usual: dict[str, Any] = {"node_count": 1, "region": "dallas", "plan": "ssd-1"}
    with engine.begin() as connection:
        return request_nodes(connection, requested_by="person:ada", now=NOW, **usual | changes)


def labels(engine: Engine, **changes: Any) -> list[str]:
    return [node.label for node in request(engine, **changes)]


def count(engine: Engine) -> int:
    with engine.connect() as connection:
        return len(nodes.list_nodes(connection))


def test_a_request_is_a_node_that_waits_for_its_instance(engine: Engine) -> None:
    (node,) = request(engine)
    assert (node.label, node.status, node.ip_address) == ("node-dallas-001", NodeStatus.PROVISIONING, None)
    assert (node.region, node.plan, node.requested_by) == ("dallas", "ssd-1", "person:ada")


def test_labels_fill_the_gaps_and_are_never_used_twice(engine: Engine) -> None:
    assert labels(engine, label="node-dallas-002") == ["node-dallas-002"]
    assert labels(engine, node_count=3) == ["node-dallas-001", "node-dallas-003", "node-dallas-004"]
    assert labels(engine, region="seattle") == ["node-seattle-001"]


def test_a_region_with_a_long_name_can_be_asked_for_again(engine: Engine) -> None:
    region = "europe-west-amsterdam-2"
    assert labels(engine, region=region) == ["node-europe-west-amsterda-001"]
    assert labels(engine, region=region, node_count=2) == [
        "node-europe-west-amsterda-002",
        "node-europe-west-amsterda-003",
    ]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"node_count": 0}, "count: must be 1 or more"),
        ({"node_count": 2, "label": "node-7"}, "label: names one node"),
        ({"label": "Node_7"}, "label: 'Node_7' is no host name"),
        ({"label": ""}, "label: '' is no host name"),
        ({"label": "a" * 34}, "1 to 33"),
        ({"label": "node-7\n"}, "label: "),
        ({"region": ""}, "region: '' is no region's name"),
        ({"region": "Dallas, TX"}, "region: 'Dallas, TX' is no region's name"),
        ({"plan": " "}, "plan: names no plan"),
    ],
)
def test_a_bad_request_names_its_field_and_leaves_nothing(
    engine: Engine, changes: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        request(engine, **changes)
    assert complaint in str(refused.value)
    assert count(engine) == 0


def test_a_label_that_is_taken_is_refused_by_name(engine: Engine) -> None:
    request(engine, label="node-7")
    with pytest.raises(nodes.LabelTaken, match="node-7"):
        request(engine, label="node-7")
    assert count(engine) == 1
