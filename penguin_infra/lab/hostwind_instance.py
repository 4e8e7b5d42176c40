"""An instance of the simulated Hostwind, and what it is at a moment: its state follows from its stored moments."""

from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address

ID_PREFIX = "hw-"


@dataclass(frozen=True, slots=True)
class PlanChange:
    """From when on an instance has, and is billed for, a plan."""

    plan: str
    from_at: datetime


@dataclass(frozen=True, slots=True)
class AddressChange:
    """From when on an instance has, and is billed for, so many addresses beyond its first."""

    count: int
    from_at: datetime


@dataclass(frozen=True, slots=True)
class SimulatedInstance:
    """One instance, deleted ones too; `ready_at` is None for one that never boots."""

    number: int
    label: str
    region: str
    image: str
    ssh_keys: tuple[str, ...]
    created_at: datetime
    ready_at: datetime | None
    deleted_at: datetime | None
    address: IPv4Address | None
    request: str
    reboot_count: int
    plan_changes: tuple[PlanChange, ...]
    address_changes: tuple[AddressChange, ...] = ()

    @property
    def provider_id(self) -> str:
        """The id that the API shows."""
        return f"{ID_PREFIX}{self.number}"

    def is_booted(self, now: datetime) -> bool:
        """Whether it has finished booting, and so shows its address."""
        return self.ready_at is not None and now >= self.ready_at

    def is_resizing(self, now: datetime) -> bool:
        """Whether a plan change is under way."""
        return self.plan_changes[-1].from_at > now

    def plan(self, now: datetime) -> str:
        """The plan in force."""
        return [change.plan for change in self.plan_changes if change.from_at <= now][-1]

    def extra_addresses(self, now: datetime) -> int:
        """How many addresses it has beyond its first."""
        return next((change.count for change in reversed(self.address_changes) if change.from_at <= now), 0)

    def status(self, now: datetime) -> str:
        """The contract's word for its state."""
        if not self.is_booted(now):
            return "provisioning"
        return "resizing" if self.is_resizing(now) else "running"
