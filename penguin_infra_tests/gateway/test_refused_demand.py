"""Mail that the dispatcher turned away is counted as demand: into its region and hour, once, and by whom it may be."""

from typing import Any

import pytest

from penguin_infra_tests.gateway.conftest import Gateway
from penguin_infra_tests.gateway.test_refusals import refused

REFUSALS = "/api/v1/infrastructure/rotation/refusals"
TOLD = {"region": "dallas", "messages": 700}


def counted(gateway: Gateway) -> dict[str, int]:
    """By region, whatever hours they fell into."""
    return dict(gateway.rows("SELECT region, sum(refused)::bigint FROM fleet.demand_hours GROUP BY region"))


def test_what_was_turned_away_is_added_up_by_region_in_the_present_hour(gateway: Gateway) -> None:
    key = gateway.key("operate")
    done = gateway.post(REFUSALS, key, TOLD)
    assert (done.status_code, done.json()) == (200, TOLD)
    gateway.post(REFUSALS, key, TOLD | {"messages": 50})
    gateway.post(REFUSALS, key, TOLD | {"region": "seattle"})
    assert counted(gateway) == {"dallas": 750, "seattle": 700}
    (is_present,) = gateway.rows("SELECT bool_and(now() - hour_at < interval '61 minutes') FROM fleet.demand_hours")[0]
    assert is_present


def test_the_same_message_again_counts_once(gateway: Gateway) -> None:
    key = gateway.key("operate")
    header = {"Idempotency-Key": "one"}
    answers = [gateway.post(REFUSALS, key, TOLD, **header) for _ in range(3)]
    assert [done.json() for done in answers] == [TOLD] * 3
    assert counted(gateway) == {"dallas": 700}
    refused(gateway.post(REFUSALS, key, TOLD | {"messages": 1}, **header), 422, "idempotency_key_reused")
    assert counted(gateway) == {"dallas": 700}


@pytest.mark.parametrize(("field", "value"), [
    ("messages", 0), ("messages", -5), ("messages", 1.5), ("messages", "7"), ("messages", 10**9), ("messages", None),
    ("region", ""), ("region", "Dallas!"), ("region", 7), ("surprise", 1),
])  # fmt: skip
def test_what_is_wrong_is_named_and_counts_for_nothing(gateway: Gateway, field: str, value: Any) -> None:
    refused(gateway.post(REFUSALS, gateway.key("operate"), TOLD | {field: value}), 422, "invalid", field)
    assert counted(gateway) == {}


def test_a_key_that_may_only_read_adds_nothing(gateway: Gateway) -> None:
    refused(gateway.post(REFUSALS, gateway.key("read"), TOLD), 403, "forbidden")
    refused(gateway.client.post(REFUSALS, json=TOLD), 401, "unauthorized")
    assert counted(gateway) == {}
