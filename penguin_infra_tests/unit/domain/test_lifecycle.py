"""The node's life as the full grid of status and event, and the diagram that the README shows of it."""

import re
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.lifecycle import IllegalTransition, NodeEvent, diagram, next_status, return_event
from penguin_infra.domain.node import NodeStatus

README = Path(__file__).parents[3] / "README.md"

# Written out again, in the other direction, so that a slip of the table is not repeated here.
WAYS = {
    NodeStatus.PROVISIONING: {
        "admitted": "warming",
        "provisioning_failed": "decommissioned",
        "decommissioned": "decommissioned",
    },
    NodeStatus.WARMING: {
        "warmed_up": "active",
        "paused": "paused",
        "maintenance_begun": "maintenance",
        "decommissioned": "decommissioned",
    },
    NodeStatus.ACTIVE: {
        "went_cold": "warming",
        "paused": "paused",
        "maintenance_begun": "maintenance",
        "decommissioned": "decommissioned",
    },
    NodeStatus.PAUSED: {
        "returned_to_warming": "warming",
        "returned_to_active": "active",
        "maintenance_begun": "maintenance",
        "decommissioned": "decommissioned",
    },
    NodeStatus.MAINTENANCE: {
        "returned_to_warming": "warming",
        "returned_to_paused": "paused",
        "decommissioned": "decommissioned",
    },
    NodeStatus.DECOMMISSIONED: {},
}
GRID = list(product(NodeStatus, NodeEvent))


@pytest.mark.parametrize(("status", "event"), GRID, ids=[f"{status} {event}" for status, event in GRID])
def test_each_event_leads_where_the_lifecycle_says_or_is_refused_with_what_is_possible(
    status: NodeStatus, event: NodeEvent
) -> None:
    possible = WAYS[status]
    if event in possible:
        assert next_status(status, event) == possible[event]
        return
    with pytest.raises(IllegalTransition) as refused:
        next_status(status, event)
    assert (refused.value.status, refused.value.event) == (status, event)
    assert f"a node that is {status} cannot be {event}" in str(refused.value)
    _, listed = str(refused.value).split("events possible there: ")
    assert listed == (", ".join(sorted(possible)) or "none: it is final")


@given(st.lists(st.sampled_from(NodeEvent)))
def test_no_series_of_events_brings_a_decommissioned_node_back(events: list[NodeEvent]) -> None:
    status = NodeStatus.PROVISIONING
    was_decommissioned = False
    for event in events:
        try:
            status = next_status(status, event)
        except IllegalTransition:
            continue
        assert not was_decommissioned
        was_decommissioned = status is NodeStatus.DECOMMISSIONED


@pytest.mark.parametrize("left", [NodeStatus.WARMING, NodeStatus.ACTIVE])
def test_a_paused_node_returns_to_the_status_it_left(left: NodeStatus) -> None:
    assert next_status(NodeStatus.PAUSED, return_event(NodeStatus.PAUSED, left)) is left


@pytest.mark.parametrize("left", [NodeStatus.WARMING, NodeStatus.ACTIVE])
def test_a_maintained_node_that_had_sent_returns_through_warm_up(left: NodeStatus) -> None:
    assert next_status(NodeStatus.MAINTENANCE, return_event(NodeStatus.MAINTENANCE, left)) is NodeStatus.WARMING


def test_a_maintained_node_that_was_paused_is_paused_again() -> None:
    event = return_event(NodeStatus.MAINTENANCE, NodeStatus.PAUSED)
    assert next_status(NodeStatus.MAINTENANCE, event) is NodeStatus.PAUSED


def test_the_diagram_draws_every_way_once_and_no_other() -> None:
    drawn = re.findall(r"^ {4}(\w+) --> (\w+): (.+)$", diagram(), re.MULTILINE)
    ways = {(status.value, target, event) for status, possible in WAYS.items() for event, target in possible.items()}
    assert {(status, target, event) for status, target, events in drawn for event in events.split(", ")} == ways
    assert len({(status, target) for status, target, _ in drawn}) == len(drawn)
    assert diagram().startswith("stateDiagram-v2\n    [*] --> provisioning: requested\n")
    assert diagram().endswith("\n    decommissioned --> [*]")


def test_the_readme_shows_the_diagram_of_the_table() -> None:
    text = README.read_text(encoding="utf-8")
    shown = re.search(r"<!-- lifecycle -->\s*```mermaid\n(.*?)\n```\s*<!-- /lifecycle -->", text, re.DOTALL)
    assert shown, "README.md has no mermaid block between <!-- lifecycle --> and <!-- /lifecycle -->"
    assert shown[1] == diagram()
