"""A host's network: a namespace of its own and a veth pair, this machine's end of which is the host's gateway.

Nothing is routed further: a host reaches this machine's 10.77 addresses and no other. What listens there is the
neighbours' affair.
"""

import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_network
from pathlib import Path

NAMESPACES_DIRECTORY = Path("/run/netns")
INSIDE = "eth0"


def run_ip(*arguments: str, is_checked: bool = True) -> None:
    """One command of iproute2. Raises RuntimeError with what it said."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False, timeout=30)
    if is_checked and done.returncode:
        raise RuntimeError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")


@dataclass(slots=True)
class HostNetwork:
    """The namespace and the pair, both under one name; a cut survives a new boot, as a pulled cable does."""

    name: str
    address: IPv4Address
    gateway: IPv4Address
    is_cut: bool = False

    @property
    def namespace(self) -> Path:
        return NAMESPACES_DIRECTORY / self.name

    def make(self) -> None:
        """A fresh kernel side for each boot: firewall rules and sockets of the former one are gone."""
        self._remove_pair()
        # While a host boots, what is meant for it must not leave this machine by its default route.
        run_ip("route", "replace", *self._no_way_out)
        run_ip("netns", "add", self.name)
        run_ip("link", "add", self.name, "type", "veth", "peer", "name", INSIDE, "netns", self.name)
        run_ip("address", "add", f"{self.gateway}/30", "dev", self.name)
        run_ip("link", "set", self.name, "up")
        run_ip("-n", self.name, "link", "set", "lo", "up")
        run_ip("-n", self.name, "address", "add", f"{self.address}/30", "dev", INSIDE)
        if not self.is_cut:
            self._raise_link()

    def cut(self) -> None:
        self.is_cut = True
        run_ip("-n", self.name, "link", "set", INSIDE, "down")

    def mend(self) -> None:
        self.is_cut = False
        self._raise_link()

    def remove(self) -> None:
        """Take away what is there of it."""
        self._remove_pair()
        run_ip("route", "delete", *self._no_way_out, is_checked=False)

    @property
    def _no_way_out(self) -> list[str]:
        return ["unreachable", str(ip_network(f"{self.gateway}/30", strict=False)), "metric", "4096"]

    def _remove_pair(self) -> None:
        run_ip("link", "delete", self.name, is_checked=False)
        run_ip("netns", "delete", self.name, is_checked=False)

    def _raise_link(self) -> None:
        run_ip("-n", self.name, "link", "set", INSIDE, "up")
        # The kernel drops the route with the link.
        run_ip("-n", self.name, "route", "replace", "default", "via", str(self.gateway))
