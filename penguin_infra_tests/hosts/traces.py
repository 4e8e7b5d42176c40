"""Everything on this machine by which a host could be noticed, for tests that want to see nothing of it."""

from pathlib import Path

import psutil

from penguin_infra_tests.hosts.control_groups import ControlGroups
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.networks import NAMESPACES_DIRECTORY


def traces_of(host: Host) -> list[str]:
    """Processes, mounts, namespaces, interfaces, routes and cgroups; the written disk of a stopped host is none."""
    groups = [str(group) for group in ControlGroups(host.name).directories if group.exists()]
    processes = [process for process in psutil.process_iter(["cmdline"]) if _is_of(process, host.name)]
    places = [NAMESPACES_DIRECTORY / host.name, Path("/sys/class/net") / host.name]
    places.append(Path("/run/systemd/nspawn/propagate") / host.name)
    return [
        *(f"process {process.pid}" for process in processes),
        *(f"process {pid}" for pid in ControlGroups(host.name).process_ids()),
        *(f"mount {mount}" for mount in _mounts() if mount == str(host.disk.root)),
        *(str(place) for place in places if place.exists()),
        *(f"route {line}" for line in Path("/proc/net/route").read_text().splitlines() if _hex(host) in line),
        *groups,
    ]


def _is_of(process: psutil.Process, name: str) -> bool:
    return any(f"--machine={name}" in argument for argument in process.info["cmdline"] or [])


def _mounts() -> list[str]:
    return [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]


def _hex(host: Host) -> str:
    """The network's address as the kernel's table shows it."""
    network = int(host.address) & ~3
    return network.to_bytes(4, "little").hex().upper()
