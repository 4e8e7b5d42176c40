"""What real hosts need of this machine, tried out rather than guessed, and what a test does when it is not there.

Outside CI it is skipped with the reason; in CI a missing part is a failure.
"""

import os
import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

from penguin_infra_tests.hosts.apt_proxy import APT_HELPER
from penguin_infra_tests.hosts.control_groups import hierarchies
from penguin_infra_tests.hosts.mirrors import KEYRING, RELEASE, find_mirrors
from penguin_infra_tests.hosts.slots import TOKEN

_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "systemd-nspawn": "systemd-container",
    "ip": "iproute2",
    "iptables": "iptables",
    "ssh": "openssh-client",
    "ssh-keygen": "openssh-client",
    "nsenter": "util-linux",
}


def require_hosts() -> None:
    """Let the calling test go on only where hosts can run."""
    if missing := missing_parts():
        skip_or_fail(f"real hosts cannot run here: {'; '.join(missing)}")


def skip_or_fail(reason: str) -> NoReturn:
    """End the calling test for want of a part of the machine."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@cache
def missing_parts() -> list[str]:
    """What stands in the way, in plain words; empty where hosts can run."""
    if platform.system() != "Linux":
        return [f"hosts are Linux containers, and this is {platform.system()}"]
    missing = [
        f"no {program} (apt-get install {package})"
        for program, package in _PROGRAMS.items()
        if not shutil.which(program)
    ]
    if not APT_HELPER.exists() or not shutil.which("apt-get"):
        missing.append("no apt: the hosts' packages come by this machine's own (a Debian 12 machine)")
    elif not find_mirrors():
        missing.append(f"no mirror of Debian 12 among apt's sources (a `deb` line with {RELEASE})")
    if not Path(KEYRING).exists():
        missing.append(f"no {KEYRING} (apt-get install debian-archive-keyring)")
    if os.geteuid() != 0:
        return [*missing, "not root: mounting and network namespaces need it"]
    if not hierarchies():
        missing.append("no cgroup hierarchy is mounted")
    return [*missing, *_failed_probes()]


def _failed_probes() -> list[str]:
    """Mount an overlay and make a namespace with a pair of interfaces, as a host does."""
    failed = []
    with tempfile.TemporaryDirectory(prefix="penguin-probe-") as directory:
        layered = "mount -t tmpfs probe . && mkdir l u w m && mount -t overlay -o lowerdir=l,upperdir=u,workdir=w o m"
        if said := _failure(["unshare", "--mount", "sh", "-c", f'cd "$0" && {layered}', directory]):
            failed.append(f"an overlay on memory cannot be mounted ({said})")
    name = f"pgt-{TOKEN}-p"
    if shutil.which("ip"):
        for probe in (
            ["netns", "add", name],
            ["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name],
        ):
            if said := _failure(["ip", *probe]):
                failed.append(f"`ip {' '.join(probe)}` fails ({said})")
                break
        _failure(["ip", "link", "delete", name])
        _failure(["ip", "netns", "delete", name])
    return failed


def _failure(command: list[str]) -> str:
    """What a failing command said; nothing when it did not fail."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError as error:
        return str(error)
    return (done.stderr.strip() or f"code {done.returncode}") if done.returncode else ""
