"""What a killed process left of its hosts: found by the slots that nobody holds any more, and taken away.

Hosts of running processes are never touched: their slots are held.
"""

import re
import shutil
from pathlib import Path

from penguin_infra_tests.hosts.control_groups import ControlGroups, hierarchies
from penguin_infra_tests.hosts.disks import HostDisk
from penguin_infra_tests.hosts.machine import forget_machine
from penguin_infra_tests.hosts.networks import NAMESPACES_DIRECTORY, HostNetwork
from penguin_infra_tests.hosts.slots import SLOTS_DIRECTORY, Slot, free_slots

_NAME = re.compile(r"pgt-[0-9a-f]{6}-(?P<index>\d+)")


def clear_abandoned() -> list[str]:
    """Clear every slot that nobody holds; the names of what was found in them."""
    cleared: list[str] = []
    kept = SLOTS_DIRECTORY.glob("*/") if SLOTS_DIRECTORY.exists() else []
    for slot in free_slots(sorted(int(directory.name) for directory in kept if directory.is_dir())):
        cleared += clear_slot(slot)
        slot.release()
    return cleared


def clear_slot(slot: Slot) -> list[str]:
    """End the former holder's machine, network and disk; the slot is the caller's, so nobody uses them."""
    found = _names_of(slot)
    for name in found:
        groups = ControlGroups(name)
        groups.kill()
        groups.remove()
        HostNetwork(name, slot.address, slot.gateway).remove()
        forget_machine(name)
    if slot.directory.exists():
        HostDisk(slot.directory / "disk", base=slot.directory).drop()
        shutil.rmtree(slot.directory)
        found = found or [str(slot.directory)]
    return found


def _names_of(slot: Slot) -> list[str]:
    places = [NAMESPACES_DIRECTORY, Path("/sys/class/net"), *hierarchies()]
    names = {path.name for place in places if place.exists() for path in place.iterdir()}
    matches = filter(None, map(_NAME.fullmatch, names))
    return sorted(match[0] for match in matches if int(match["index"]) == slot.index)
