"""What a provisioning needs of the world beside the provider, as `wiring.py` hands it out. The steps are elsewhere."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Protocol

from penguin_infra.dns_records.publisher import DnsPublisher
from penguin_infra.dnsbl.sweep import SweepResult
from penguin_infra.domain.listing import Severity, Verdict
from penguin_infra.domain.verification import OutsideView
from penguin_infra.installer.installer import Installer


@dataclass(frozen=True, slots=True)
class DirtyListing:
    """One list that has the address, with its codes."""

    zone: str
    severity: Severity
    codes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Screening:
    """What the lists say of an address: those that matter to a sender, and those that gave no usable answer."""

    listings: tuple[DirtyListing, ...]
    unanswered: tuple[str, ...]


class Names(Protocol):
    """Looks names up as the world does; raises `DnsUnavailable` where nobody answers."""

    def reverse_names(self, ip_address: IPv4Address) -> frozenset[str]:
        """The address's reverse names."""
        ...

    def addresses(self, name: str) -> frozenset[str]:
        """The name's IPv4 addresses."""
        ...

    def values(self, name: str, rdtype: str) -> Sequence[str]:
        """The name's values of that type."""
        ...


@dataclass(frozen=True, slots=True)
class ProvisionParts:
    """Everything but the provider. `authorized_keys`: public SSH keys that a new instance is made with."""

    screen: Callable[[IPv4Address], Screening]
    dns: DnsPublisher
    names: Names
    installer: Installer
    look_from_outside: Callable[[IPv4Address], OutsideView]
    authorized_keys: tuple[str, ...]
    gateway_url: str
    sink_mailbox: str

    def hostname_of(self, label: str) -> str:
        """A node's name: its label in the fleet's zone."""
        return f"{label}.{self.dns.zone}"


# Weaker ones inform: a range's reputation, or a policy that its operator lifts on request.
_DIRTY = frozenset({Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM})


def screening_of(result: SweepResult, zones: Sequence[str]) -> Screening:
    """Read a sweep of one address as a screening."""
    listed: dict[str, DirtyListing] = {}
    answered: set[str] = set()
    for swept in result.observations:
        if swept.verdict is not Verdict.ERROR:
            answered.add(swept.zone)
        severity = swept.observation.severity
        if swept.verdict is Verdict.LISTED and severity in _DIRTY:
            codes = tuple(str(code.code) for code in swept.observation.codes)
            listed[swept.zone] = DirtyListing(swept.zone, severity, codes)
    return Screening(tuple(listed.values()), tuple(zone for zone in zones if zone not in answered))
