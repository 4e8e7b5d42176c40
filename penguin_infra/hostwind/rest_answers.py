"""What the REST contract's answers mean: JSON in, instances, plans or a typed error out.

Pure: no HTTP, no waiting and no credentials belong here. Unknown extra fields are ignored; a needed field that is
missing or of the wrong type is an error that names it, because a guess here would be paid for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from ipaddress import AddressValueError, IPv4Address
from typing import TypeVar

from penguin_infra.hostwind.provider import Instance, InstanceStatus, Plan

T = TypeVar("T")

_CURRENCY = "USD"

_REQUEST_FIELDS = ("label", "region", "plan", "image", "ssh_keys")


class NotTheContract(Exception):
    """An answer is not of the contract's shape; the message names the field."""


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """The contract's `{"error": {"code", "message"}}`."""

    code: str
    message: str

    @property
    def field(self) -> str:
        """The request's field at fault, read from codes like `unknown_plan`; empty where the code names none."""
        return next((field for field in _REQUEST_FIELDS if self.code.endswith(f"_{field}")), "")


@dataclass(frozen=True, slots=True)
class InstancePage:
    """One page of the account's instances."""

    instances: list[Instance]
    next_page: int | None


def read_error_body(answer: object) -> ErrorBody | None:
    """The error of a 4xx or 5xx answer, or None where the answer is not shaped like one."""
    if not isinstance(answer, Mapping) or not isinstance(error := answer.get("error"), Mapping):
        return None
    code, message = error.get("code"), error.get("message")
    if not isinstance(code, str) or not code:
        return None
    return ErrorBody(code=code, message=message if isinstance(message, str) else "")


def read_instance(answer: object) -> Instance:
    """One instance. Errors: `NotTheContract`."""
    fields = _object(answer, "an instance")
    provider_id = _field(fields, "id", _identifier, "an instance")
    what = f"instance {provider_id}"
    return Instance(
        provider_id=provider_id,
        label=_field(fields, "label", _text, what),
        region=_field(fields, "region", _text, what),
        plan=_field(fields, "plan", _text, what),
        status=_field(fields, "status", _status, what),
        ip_address=_field(fields, "ip", _address_or_none, what),
        created_at=_field(fields, "created_at", _moment, what),
        # No part of the specification's contract: an account that has none need not say so.
        extra_addresses=len(_field(fields, "extra_ips", _list, what)) if "extra_ips" in fields else 0,
    )


def read_instance_page(answer: object) -> InstancePage:
    """One page of `GET /instances`. Errors: `NotTheContract`."""
    fields = _object(answer, "a page of instances")
    return InstancePage(
        instances=[read_instance(item) for item in _field(fields, "instances", _list, "a page of instances")],
        next_page=_field(fields, "next_page", _whole_number_or_none, "a page of instances"),
    )


def read_plans(answer: object) -> list[Plan]:
    """The plans on offer. Errors: `NotTheContract`."""
    fields = _object(answer, "the plans")
    _check_currency(fields, "the price list")
    return [_plan(item) for item in _field(fields, "plans", _list, "the plans")]


def read_retry_after(value: str | None, *, answered_at: str | None) -> float | None:
    """The seconds that a `Retry-After` asks for, or None where it cannot be read.

    A date is measured against the answer's own `Date` header (`answered_at`): this machine's clock may be off.
    """
    if value is None:
        return None
    if value.strip().isdecimal():
        return float(value)
    try:
        seconds = (parsedate_to_datetime(value) - parsedate_to_datetime(answered_at or "")).total_seconds()
    except (TypeError, ValueError):
        return None
    return max(0.0, seconds)


def _plan(answer: object) -> Plan:
    fields = _object(answer, "a plan")
    name = _field(fields, "id", _text, "a plan")
    what = f"plan {name}"
    _check_currency(fields, what)
    return Plan(
        plan=name,
        cpu_count=_field(fields, "cpu", _whole_number, what),
        memory_mb=_field(fields, "memory_mb", _whole_number, what),
        disk_gb=_field(fields, "disk_gb", _whole_number, what),
        transfer_gb=_field(fields, "transfer_gb", _whole_number, what),
        monthly_usd=_field(fields, "monthly_usd", _money, what),
        hourly_usd=_field(fields, "hourly_usd", _money, what),
    )


def _check_currency(fields: Mapping[str, object], what: str) -> None:
    """The contract's prices are in US dollars; a provider that names another currency is not believed to mean them."""
    currency = fields.get("currency")
    if currency is not None and str(currency).upper() != _CURRENCY:
        raise NotTheContract(f"{what} is in {currency!r}, not in {_CURRENCY}: its prices are not taken")


def _object(answer: object, what: str) -> Mapping[str, object]:
    if not isinstance(answer, Mapping):
        raise NotTheContract(f"{what} is not a JSON object")
    return answer


def _field(fields: Mapping[str, object], name: str, read: Callable[[object], T], what: str) -> T:
    if name not in fields:
        raise NotTheContract(f"{what} lacks the field `{name}`")
    try:
        return read(fields[name])
    except (TypeError, ValueError, InvalidOperation, AddressValueError):
        # Not cut here: the transport redacts first, and half a secret could not be recognised.
        raise NotTheContract(f"{what} has a field `{name}` that cannot be read: {fields[name]!r}") from None


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError
    return value


def _identifier(value: object) -> str:
    # The contract does not say whether an id is a number or a string.
    return _text(str(value) if isinstance(value, int) and not isinstance(value, bool) else value)


def _whole_number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value


def _whole_number_or_none(value: object) -> int | None:
    return None if value is None else _whole_number(value)


def _list(value: object) -> list[object]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _status(value: object) -> InstanceStatus:
    return InstanceStatus(_text(value))


def _address_or_none(value: object) -> IPv4Address | None:
    return None if value is None else IPv4Address(_text(value))


def _moment(value: object) -> datetime:
    moment = datetime.fromisoformat(_text(value))
    # The contract's example names no offset; an API that sends none means UTC.
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _money(value: object) -> Decimal:
    # The contract sends strings. Numbers are exact too: the transport parses fractions as Decimal.
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise TypeError
    amount = Decimal(value)
    if not amount.is_finite() or amount < 0:
        raise ValueError
    return amount
