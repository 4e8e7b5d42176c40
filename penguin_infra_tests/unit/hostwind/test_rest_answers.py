"""How the REST contract's answers are read: exactly, and with the field named where they cannot be."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address

import pytest

from penguin_infra.hostwind.provider import Instance, InstanceStatus
from penguin_infra.hostwind.rest_answers import (
    ErrorBody,
    NotTheContract,
    read_error_body,
    read_instance,
    read_instance_page,
    read_plans,
    read_retry_after,
)

INSTANCE: dict[str, object] = {
    "id": "hw-1",
    "label": "one",
    "region": "seattle",
    "plan": "ssd-1",
    "status": "running",
    "ip": "127.77.0.1",
    "created_at": "2026-11-24T10:00:00Z",
}
PLAN: dict[str, object] = {
    "id": "ssd-1",
    "cpu": 1,
    "memory_mb": 1024,
    "disk_gb": 30,
    "transfer_gb": 1000,
    "monthly_usd": "4.99",
    "hourly_usd": "0.006931",
}


def test_an_instance_is_read_field_by_field() -> None:
    assert read_instance(INSTANCE) == Instance(
        provider_id="hw-1",
        label="one",
        region="seattle",
        plan="ssd-1",
        status=InstanceStatus.RUNNING,
        ip_address=IPv4Address("127.77.0.1"),
        created_at=datetime(2026, 11, 24, 10, tzinfo=UTC),
    )


@pytest.mark.parametrize("status", list(InstanceStatus))
def test_every_status_of_the_contract_is_known(status: InstanceStatus) -> None:
    assert read_instance({**INSTANCE, "status": str(status)}).status is status


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", None),
        ("id", True),
        ("id", ""),
        ("label", 7),
        ("region", None),
        ("plan", []),
        ("status", "hibernating"),
        ("status", None),
        ("ip", "nonsense"),
        ("ip", "2001:db8::1"),
        ("ip", 2130706433),
        ("created_at", "yesterday"),
        ("created_at", 1764000000),
    ],
)
def test_an_ill_typed_field_of_an_instance_is_named(field: str, value: object) -> None:
    with pytest.raises(NotTheContract, match=f"`{field}`"):
        read_instance({**INSTANCE, field: value})


@pytest.mark.parametrize("field", sorted(PLAN))
def test_a_missing_field_of_a_plan_is_named(field: str) -> None:
    with pytest.raises(NotTheContract, match=f"`{field}`"):
        read_plans({"plans": [{name: value for name, value in PLAN.items() if name != field}]})


@pytest.mark.parametrize("price", ["NaN", "Infinity", "-1", "4,99", "", None, True, [], 4.99])
def test_a_price_that_is_none_is_refused(price: object) -> None:
    with pytest.raises(NotTheContract, match="`monthly_usd`"):
        read_plans({"plans": [{**PLAN, "monthly_usd": price}]})


@pytest.mark.parametrize("price", ["4.99", Decimal("4.99")])
def test_a_price_is_exact_as_text_and_as_number(price: object) -> None:
    assert read_plans({"plans": [{**PLAN, "monthly_usd": price}]})[0].monthly_usd == Decimal("4.99")


@pytest.mark.parametrize("answer", [None, [], "text", 7, {"instances": {}, "next_page": None}, {"instances": [None]}])
def test_an_answer_of_another_shape_is_refused(answer: object) -> None:
    with pytest.raises(NotTheContract):
        read_instance_page(answer)


def test_a_number_will_do_for_an_id() -> None:
    assert read_instance({**INSTANCE, "id": 17}).provider_id == "17"


def test_a_moment_without_an_offset_is_utc() -> None:
    assert read_instance({**INSTANCE, "created_at": "2026-11-24T10:00:00"}).created_at.utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("code", "field"),
    [
        ("unknown_plan", "plan"),
        ("unknown_region", "region"),
        ("invalid_ssh_keys", "ssh_keys"),
        ("out_of_stock", ""),
        ("plan", ""),
    ],
)
def test_the_field_at_fault_is_read_from_the_code(code: str, field: str) -> None:
    assert ErrorBody(code, "no").field == field


@pytest.mark.parametrize("answer", [None, [], {}, {"error": "text"}, {"error": {}}, {"error": {"code": 7}}])
def test_what_is_not_shaped_like_an_error_is_none(answer: object) -> None:
    assert read_error_body(answer) is None


NOW = "Tue, 24 Nov 2026 10:00:00 GMT"


@pytest.mark.parametrize(
    ("value", "answered_at", "seconds"),
    [
        ("7", NOW, 7),
        (" 7 ", None, 7),
        ("Tue, 24 Nov 2026 10:01:30 GMT", NOW, 90),
        ("Tue, 24 Nov 2026 09:00:00 GMT", NOW, 0),
        ("Tue, 24 Nov 2026 10:01:30 GMT", None, None),
        ("soon", NOW, None),
        ("-7", NOW, None),
        ("", NOW, None),
        (None, NOW, None),
    ],
)
def test_a_retry_after_is_read_in_both_its_forms(
    value: str | None, answered_at: str | None, seconds: float | None
) -> None:
    assert read_retry_after(value, answered_at=answered_at) == seconds


@pytest.mark.parametrize("answer", [{"plans": [PLAN], "currency": "EUR"}, {"plans": [{**PLAN, "currency": "EUR"}]}])
def test_a_price_list_in_another_currency_is_refused_by_its_name(answer: dict[str, object]) -> None:
    with pytest.raises(NotTheContract, match="is in 'EUR', not in USD"):
        read_plans(answer)


def test_a_price_list_may_say_that_it_is_in_dollars() -> None:
    assert read_plans({"plans": [{**PLAN, "currency": "usd"}], "currency": "USD"})[0].plan == PLAN["id"]
