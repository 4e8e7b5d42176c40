"""What the system needs of a VPS provider: the port that every adapter here implements.

The adapter (`rest.py`) and its wire format stand beside it; no HTTP and no retry policy belong here.

    ProviderError                 anything that a call to the provider can raise
    ├── ProviderUnavailable       no answer, a 5xx, a 429 that outlasted the retries, or an answer that is not the API's
    │   └── OutcomeUnknown        the request may have been carried out: look before asking again
    ├── ProviderRefused           a 4xx: names the field where the provider does; a repeat changes nothing
    │   └── ProviderAuthFailed    401 or 403: the credentials, by the names of their settings
    └── InstanceNotFound          the provider knows no such instance
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from ipaddress import IPv4Address
from typing import Protocol

# Codes of `ProviderRefused` that a repeat may outlive: the plan is in force already; the instance is being worked on.
UNCHANGED_PLAN = "unchanged_plan"
INSTANCE_BUSY = "instance_busy"


class InstanceStatus(StrEnum):
    """An instance's state in the provider's own words (reference: hostwind-api.md)."""

    PROVISIONING = "provisioning"
    RUNNING = "running"
    RESIZING = "resizing"
    STOPPED = "stopped"
    SUSPENDED = "suspended"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Instance:
    """One VPS as the provider reports it; `ip_address` is None until one is assigned.

    `extra_addresses`: how many it has beyond that one; each is billed.
    """

    provider_id: str
    label: str
    region: str
    plan: str
    status: InstanceStatus
    ip_address: IPv4Address | None
    created_at: datetime
    extra_addresses: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A plan on offer, with its list price."""

    plan: str
    cpu_count: int
    memory_mb: int
    disk_gb: int
    transfer_gb: int
    monthly_usd: Decimal
    hourly_usd: Decimal


class ProviderError(Exception):
    """A call to the provider failed; the message says what was tried, on what, and what to do."""


class ProviderUnavailable(ProviderError):
    """The provider did not answer, or not as its API would; nothing was changed by this call."""


class OutcomeUnknown(ProviderUnavailable):
    """The request may have been carried out although its answer was lost: look before asking again."""


class ProviderRefused(ProviderError):
    """The provider refused the request; `code` is its own code, `field` the setting at fault if it names one."""

    def __init__(self, message: str, *, code: str = "", field: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.field = field


class ProviderAuthFailed(ProviderRefused):
    """The provider did not accept the credentials."""


class InstanceNotFound(ProviderError):
    """The provider knows no instance of that id."""


class NodeProvider(Protocol):
    """A provider of VPS instances. Every call has a time-out and raises only `ProviderError`s."""

    def create_instance(self, *, label: str, region: str, plan: str, ssh_keys: Sequence[str] = ()) -> Instance:
        """Create the one instance of this label, or return it where it exists already.

        Safe to repeat: `label` is unique to the intent, the adapter looks before it creates and adopts what it finds.
        """
        ...

    def find_instances(self, label: str) -> list[Instance]:
        """All instances of exactly this label, oldest first."""
        ...

    def list_instances(self) -> list[Instance]:
        """All instances of the account, foreign ones too."""
        ...

    def get_instance(self, provider_id: str) -> Instance:
        """One instance; raises `InstanceNotFound`."""
        ...

    def delete_instance(self, provider_id: str) -> None:
        """Destroy an instance; one that is gone already counts as done."""
        ...

    def reboot_instance(self, provider_id: str) -> None:
        """Ask for an instance's reboot; raises `InstanceNotFound`. Accepted is not done, and a repeat is harmless."""
        ...

    def resize_instance(self, provider_id: str, plan: str) -> None:
        """Ask for another plan of an instance, which restarts for it; raises `InstanceNotFound`. Accepted is not done.

        A request whose answer was lost is looked for before it is made again. `ProviderRefused.code` tells a plan that
        is in force already (`UNCHANGED_PLAN`) and an instance that is being worked on (`INSTANCE_BUSY`) apart.
        """
        ...

    def set_reverse_name(self, provider_id: str, ip_address: IPv4Address, hostname: str) -> None:
        """Let the address's reverse name (PTR) be that; raises `InstanceNotFound`. It may take its time to spread."""
        ...

    def list_plans(self) -> list[Plan]:
        """The plans on offer."""
        ...
