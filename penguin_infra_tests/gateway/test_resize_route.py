"""Another plan asked for by HTTP: a larger one is planned, a smaller one proposed where it is meant, others refused."""

from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.store import actions as ledger
from penguin_infra.store.plan_prices import PlanPrice, save_prices
from penguin_infra_tests.fleets import NOW, add_nodes
from penguin_infra_tests.gateway.conftest import Gateway
from penguin_infra_tests.gateway.test_refusals import refused

API = "/api/v1/infrastructure"
PLANS = (("ssd-0", 1, "3.99"), ("ssd-1", 2, "4.99"), ("ssd-4", 4, "18.99"))


@pytest.fixture
def node_id(gateway: Gateway) -> UUID:
    """A node on ssd-1 among others, and a price list."""
    found, *_ = add_nodes(gateway.engine, 3)
    prices = [PlanPrice(name, cpu, 1024, 30, 1000, Decimal(usd), Decimal("0.01")) for name, cpu, usd in PLANS]
    with gateway.engine.begin() as connection:
        save_prices(connection, prices, NOW)
    return found


def ask(gateway: Gateway, node_id: UUID, *, key: str | None = None, **body: Any) -> Any:
    told = {"plan": "ssd-4", "reason": "its queue grows"} | body
    return gateway.post(f"{API}/nodes/{node_id}/resize", key or gateway.key("operate", f"console-{uuid4()}"), told)


def asked(gateway: Gateway) -> list[tuple[Any, ...]]:
    return gateway.rows("SELECT kind, status, requested_by, reason, evidence FROM fleet.node_actions")


def test_a_larger_plan_is_planned_in_the_keys_name(gateway: Gateway, node_id: UUID) -> None:
    done = ask(gateway, node_id)
    assert (done.status_code, done.json()["kind"], done.json()["status"]) == (202, "resize", "planned")
    evidence = {"from_plan": "ssd-1", "to_plan": "ssd-4", "drain_minutes": 10}
    ((kind, status, by, reason, found),) = asked(gateway)
    assert (kind, status, reason, found) == ("resize", "planned", "its queue grows", evidence)
    assert by.startswith("api:console-")


def test_a_smaller_plan_is_refused_until_it_is_meant_and_then_waits(gateway: Gateway, node_id: UUID) -> None:
    told = refused(ask(gateway, node_id, plan="ssd-0"), 409, "conflict")
    assert "the provider documents no downsizing" in told
    assert asked(gateway) == []
    assert ask(gateway, node_id, plan="ssd-0", allow_smaller=True).json()["status"] == "proposed"


@pytest.mark.parametrize(("plan", "words"), [("ssd-9", "the provider has no 'ssd-9'"), ("ssd-1", "on ssd-1 already")])
def test_a_plan_that_makes_no_sense_is_refused(gateway: Gateway, node_id: UUID, plan: str, words: str) -> None:
    assert words in refused(ask(gateway, node_id, plan=plan), 409, "conflict")


def test_two_of_a_region_are_not_resized_at_once(gateway: Gateway, node_id: UUID) -> None:
    other = gateway.rows("SELECT id FROM fleet.sending_nodes WHERE label = 'node-002'")[0][0]
    with gateway.engine.begin() as connection:
        ledger.insert_planned(connection, [PlannedAction(other, ActionKind.RESIZE, "test", "person:ada")], NOW)
    assert "node-002 of dallas is being resized" in refused(ask(gateway, node_id), 409, "conflict")


def test_a_resize_that_is_asked_wrongly_is_refused_by_its_field(gateway: Gateway, node_id: UUID) -> None:
    for body, field in (({"plan": ""}, "plan"), ({"plan": 4}, "plan"), ({"reason": ""}, "reason"), ({"x": 1}, "x")):
        refused(ask(gateway, node_id, **body), 422, "invalid", field)


def test_reading_keys_resize_nothing(gateway: Gateway, node_id: UUID) -> None:
    assert ask(gateway, node_id, key=gateway.key("read")).status_code == 403
    refused(ask(gateway, uuid4()), 404, "not_found")
