"""What the lab's nodes are ordered to be and to send, as the installer service reads it from JSON and keeps it.

How an order is carried out is `lab_node.py`'s.

    HostRefused          an order cannot be carried out: status and code as the service answers them
    └── UnknownLabNode   no lab node has that label; the message lists those there are
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

from penguin_infra.agent.config import ConfigRefused, check_gateway_url
from penguin_infra.lab.private_files import write_private

# As DNS names are, so that a folder's name can hold one too.
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOSTNAME = re.compile(r"(?=.{1,253}\Z)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_MAILBOX = re.compile(r"[^\s<>@]{1,64}@[A-Za-z0-9.-]{1,253}")
_CORRELATION_ID = re.compile(r"[A-Za-z0-9-]{1,64}")
_TOKEN = re.compile(r"[!-~]+")


class HostRefused(Exception):
    """The service will not do it."""

    def __init__(self, message: str, *, status: int = 422, code: str = "invalid") -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class UnknownLabNode(HostRefused):
    """No lab node has that label."""

    def __init__(self, message: str) -> None:
        super().__init__(message, status=404, code="unknown_host")


@dataclass(frozen=True, slots=True)
class HostOrder:
    """What a host is to be. The agent's token comes apart from it, and is kept apart."""

    node_id: str
    label: str
    ip_address: str
    hostname: str
    gateway_url: str


@dataclass(frozen=True, slots=True)
class MailOrder:
    """A mail that a node is to send."""

    sender: str
    recipient: str
    correlation_id: str


def read_host_order(label: str, told: Mapping[str, object]) -> tuple[HostOrder, str | None]:
    """The order, and the agent's token unless the one that is there is to stay. Errors: `HostRefused`."""
    try:
        node_id = str(UUID(_text(told, "node_id")))
        ip_address = str(IPv4Address(_text(told, "ip_address")))
        check_gateway_url(_text(told, "gateway_url"))
    except (ValueError, ConfigRefused) as error:
        raise HostRefused(f"the order for {label} cannot be used: {error}") from None
    order = HostOrder(
        node_id=node_id,
        label=_matching("label", label, _LABEL),
        ip_address=ip_address,
        hostname=_matching("hostname", told.get("hostname"), _HOSTNAME),
        gateway_url=_text(told, "gateway_url"),
    )
    token = told.get("agent_token")
    # Not by `_matching`: its message tells the value.
    if token is not None and not (isinstance(token, str) and _TOKEN.fullmatch(token)):
        raise HostRefused("agent_token is neither null nor one line of printable characters")
    return order, token


def read_mail_order(told: Mapping[str, object]) -> MailOrder:
    """Errors: `HostRefused`."""
    return MailOrder(
        sender=_matching("sender", told.get("sender"), _MAILBOX),
        recipient=_matching("recipient", told.get("recipient"), _MAILBOX),
        correlation_id=_matching("correlation_id", told.get("correlation_id"), _CORRELATION_ID),
    )


def keep_order(file: Path, order: HostOrder) -> None:
    """Write an order down."""
    write_private(file, json.dumps(asdict(order), indent=2) + "\n")


def kept_order(file: Path) -> HostOrder | None:
    """The order that was written down."""
    return HostOrder(**json.loads(file.read_text())) if file.exists() else None


def _text(told: Mapping[str, object], name: str) -> str:
    value = told.get(name)
    if not isinstance(value, str):
        raise HostRefused(f"{name} is {value!r}: a string is expected")
    return value


def _matching(name: str, value: object, pattern: re.Pattern[str]) -> str:
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise HostRefused(f"{name} {value!r} is not allowed")
    return value
