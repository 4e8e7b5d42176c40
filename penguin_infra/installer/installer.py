"""What the system needs of an installer: the port that every adapter here implements.

`ansible_installer.py` does it by Ansible over SSH; `remote_installer.py` asks a service that does it in its place.

    InstallError             the host is not as it should be; the message says what was tried and what to do
    ├── HostUnreachable      no connection to the host, or it broke: a repeat may help
    ├── InstallFailed        a step of the installation failed on the host: names it, with the host's own words
    └── HostKeyChanged       the host answers with another key than it was first seen with: a person must look
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Protocol
from uuid import UUID

# Hears of progress, a line at a time; what it raises (the run's lock is lost) ends the work at once.
Say = Callable[[str], None]


class InstallError(Exception):
    """The host is not as it should be."""


class HostUnreachable(InstallError):
    """The host does not answer, or the connection broke."""


class InstallFailed(InstallError):
    """A step of the installation failed on the host."""


class HostKeyChanged(InstallError):
    """The host's key is not the one that was pinned."""


@dataclass(frozen=True, slots=True)
class Host:
    """A host and how it is known. `host_key`: as in known_hosts, `type base64`; None before the first contact."""

    node_id: UUID
    label: str
    ip_address: IPv4Address
    hostname: str
    host_key: str | None


@dataclass(frozen=True, slots=True)
class Installation:
    """What an installation is to put there. `agent_token` None: the one that is there stays."""

    host: Host
    gateway_url: str
    agent_token: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Installed:
    """What an installation found or made.

    `dkim_public_key`: base64 of the DER, as a TXT record's `p=` takes it; the private half never left the host.
    `changed`: how many of its steps changed anything; none on a host that was as it should be.
    """

    host_key: str
    dkim_selector: str
    dkim_public_key: str
    changed: int


@dataclass(frozen=True, slots=True)
class TestMail:
    """A mail that the node is to send through its own mail server."""

    # pytest would take it for a test.
    __test__ = False

    sender: str
    recipient: str
    correlation_id: str


class Installer(Protocol):
    """Installs hosts and looks into them. Every call has a time-out, may be repeated, and raises `InstallError`s."""

    def identify(self, host: Host, say: Say) -> str | None:
        """The host's key at first contact, to be pinned before anything is sent to it; None: `install` tells it."""
        ...

    def install(self, installation: Installation, say: Say) -> Installed:
        """Bring the host to what it should be; a repeat changes nothing."""
        ...

    def restart_services(self, host: Host, say: Say) -> None:
        """Restart what makes it a sending node, and re-apply what it should be."""
        ...

    def send_mail(self, host: Host, mail: TestMail) -> None:
        """Hand a mail to the node's own mail server, with the header `X-Penguin-Correlation` and the id in the text."""
        ...

    def count_queued(self, host: Host) -> int:
        """How many mails wait in the node's queue."""
        ...
