"""Where this machine's own apt fetches Debian 12 from, and how a host without a way out names the same places.

Only apt itself is asked: its proxies and credentials stay its own, and no address of a mirror stands here.
"""

import re
import subprocess
from dataclasses import dataclass, field
from urllib.parse import urlsplit

RELEASE = "bookworm"
KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_SUITES = (RELEASE, f"{RELEASE}-updates", f"{RELEASE}-security")
_MAIN_INDEX = re.compile(r"^'(?P<mirror>[^']+)/dists/(?P<suite>[^/']+)/main/binary-", re.MULTILINE)
# A machine that reads a frozen mirror says so here; its hosts read the same mirror.
_DATE_CHECKS = ("Acquire::Check-Valid-Until", "Acquire::Check-Date")


@dataclass(frozen=True, slots=True)
class Mirror:
    """One suite and where it comes from; the address may carry this machine's credentials."""

    suite: str
    address: str = field(repr=False)

    @property
    def plain_address(self) -> str:
        """The same by plain HTTP and without credentials: what a host asks its proxy for."""
        parts = urlsplit(self.address)
        return f"http://{parts.hostname}{parts.path.rstrip('/')}"

    @property
    def source_line(self) -> str:
        """The line of a host's `sources.list`."""
        return f"deb [signed-by={KEYRING}] {self.plain_address} {self.suite} main"


def find_mirrors() -> list[Mirror]:
    """This machine's mirrors of Debian 12, the release first; none where apt reads no Debian 12."""
    found = [
        (match["suite"], match["mirror"]) for match in _MAIN_INDEX.finditer(_ask("apt-get", "--print-uris", "update"))
    ]
    # Other publishers name their suites after Debian's releases too: what says Debian in its address goes first.
    found.sort(key=lambda listed: "debian" not in listed[1])
    addresses: dict[str, str] = {}
    for suite, address in found:
        addresses.setdefault(suite, address)
    if RELEASE not in addresses:
        return []
    return [Mirror(suite, addresses[suite]) for suite in _SUITES if suite in addresses]


def date_options() -> list[str]:
    """The lines of apt's configuration by which this machine reads old indices, if it does."""
    configured = dict(line.split(" ", 1) for line in _ask("apt-config", "dump").splitlines() if " " in line)
    return [f"{option} {configured[option].rstrip(';')}" for option in _DATE_CHECKS if option in configured]


def _ask(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
