"""What the inventory's differences lead to: leftovers are cleared at once, the rest only after it has stood."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node_alerts import OpenDrift
from penguin_infra.domain.policies.clear_leftovers import Leftover, plan_clearances
from penguin_infra.domain.policies.mend_drift import STANDS_AFTER, plan_ends, plan_reinstalls

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NODE_ID = UUID(int=1)


def drift(kind: DriftKind, *, stood: timedelta = STANDS_AFTER, node_id: UUID | None = NODE_ID) -> OpenDrift:
    return OpenDrift(kind, "hw-1", "differs", node_id, NOW - stood)


def test_a_leftover_is_released_with_what_it_is() -> None:
    (action,) = plan_clearances([Leftover(NODE_ID, "node-001", "A node-001.example 192.0.2.7")])
    assert (action.kind, action.node_id) == (ActionKind.RELEASE, NODE_ID)
    assert "192.0.2.7" in action.reason


@pytest.mark.parametrize(
    ("kind", "ends", "reinstalls"),
    [
        (DriftKind.GHOST, 1, 0),
        (DriftKind.CHANGED_ADDRESS, 0, 1),
        (DriftKind.ORPHAN, 0, 0),
        (DriftKind.CHANGED_PLAN, 0, 0),
        (DriftKind.STRAY_RECORD, 0, 0),
    ],
)
def test_a_ghost_is_to_end_and_a_moved_node_to_be_installed_again(kind: DriftKind, ends: int, reinstalls: int) -> None:
    found = [drift(kind)]
    assert [action.kind for action in plan_ends(found, NOW)] == [ActionKind.DECOMMISSION] * ends
    assert [action.kind for action in plan_reinstalls(found, NOW)] == [ActionKind.REINSTALL] * reinstalls


@pytest.mark.parametrize("kind", [DriftKind.GHOST, DriftKind.CHANGED_ADDRESS])
def test_a_difference_that_is_young_may_be_the_listings_mistake(kind: DriftKind) -> None:
    young = [drift(kind, stood=STANDS_AFTER - timedelta(seconds=1))]
    assert plan_ends(young, NOW) == plan_reinstalls(young, NOW) == ()


def test_a_difference_that_concerns_no_node_leads_to_nothing() -> None:
    assert plan_ends([drift(DriftKind.GHOST, node_id=None)], NOW) == ()
