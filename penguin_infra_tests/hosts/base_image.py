"""The bare Debian 12 that every host starts from, built once from this machine's mirrors and kept in the cache.

A base is keyed by its recipe and moved into place whole: an interrupted build leaves nothing that looks like one.
Nothing of the product is in it, and nothing that tells one host from another.
"""

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path

from penguin_infra_tests.hosts.apt_proxy import AptCache, AptProxy
from penguin_infra_tests.hosts.cache import cache_directory, held_alone
from penguin_infra_tests.hosts.mirrors import RELEASE, date_options, find_mirrors
from penguin_infra_tests.hosts.ssh_access import key_pair

LONGEST_BUILD_SECONDS = 1200
PACKAGES = (
    "ca-certificates",
    "dbus",
    "iproute2",
    "iptables",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "systemd",
    "systemd-sysv",
)
_APT_OPTIONS = ('APT::Install-Recommends "false"', 'Acquire::Languages "none"')
_DPKG_OPTIONS = ("path-exclude=/usr/share/man/*", "path-exclude=/usr/share/doc/*", "force-unsafe-io")
_SETTINGS = "etc/apt/apt.conf.d/90penguin-tests"
# Each run in the finished tree, $1. An unreachable resolver stalls installs and the gathering of facts.
_LAST_STEPS = (
    'install -d -m 0700 "$1/root/.ssh"',
    'printf "nameserver 127.0.0.1\\noptions timeout:1 attempts:1\\n" > "$1/etc/resolv.conf"',
    ': > "$1/etc/machine-id"',
    'rm -f "$1/etc/ssh/"ssh_host_*_key* "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1/etc/hostname"',
)


class BaseFailed(RuntimeError):
    """The base could not be built; the message ends with what mmdebstrap said last."""


def apt_cache() -> AptCache:
    """The packages that hosts and bases were ever given."""
    return AptCache(cache_directory() / "packages", find_mirrors())


def ensure_base() -> Path:
    """The base's root folder, built when this recipe has none yet. Raises BaseFailed."""
    recipe = _recipe()
    key = hashlib.sha256(json.dumps(recipe).encode()).hexdigest()[:16]
    base = cache_directory() / f"base-{RELEASE}-{key}"
    if not base.exists():
        with held_alone(cache_directory() / "base.lock") as lock:
            if not base.exists():
                _build(base, recipe, lock)
    return base


def _recipe() -> dict[str, list[str]]:
    """All that decides what the base holds; without it the cache would serve what is no longer asked for."""
    _, public_key = key_pair()
    return {
        "packages": sorted(PACKAGES),
        "apt": [*_APT_OPTIONS, *date_options()],
        "dpkg": list(_DPKG_OPTIONS),
        "steps": list(_LAST_STEPS),
        "sources": [mirror.source_line for mirror in find_mirrors()],
        "public_key": [public_key.read_text()],
    }


def _build(base: Path, recipe: dict[str, list[str]], lock: int) -> None:
    for abandoned in base.parent.glob("building-*"):
        shutil.rmtree(abandoned)
    building = Path(tempfile.mkdtemp(prefix="building-", dir=base.parent))
    building.chmod(0o755)
    proxy = AptProxy(apt_cache())
    try:
        _bootstrap(building, recipe, proxy.listen("127.0.0.1"), lock)
        building.replace(base)
    finally:
        proxy.close()
        shutil.rmtree(building, ignore_errors=True)


def _bootstrap(root: Path, recipe: dict[str, list[str]], proxy_url: str, lock: int) -> None:
    _, public_key = key_pair()
    options = [
        "--quiet",
        "--variant=minbase",
        "--mode=root",
        "--format=directory",
        # Without the lists Ansible's cache_valid_time finds no package.
        "--skip=cleanup/apt/lists",
        f"--include={','.join(recipe['packages'])}",
        *(f"--aptopt={option}" for option in recipe["apt"]),
        f'--aptopt=Acquire::http::Proxy "{proxy_url}"',
        *(f"--dpkgopt={option}" for option in recipe["dpkg"]),
        *(f"--customize-hook={step}" for step in recipe["steps"]),
        f"--customize-hook=upload {public_key} /root/.ssh/authorized_keys",
    ]
    # However the build ends, its processes and mounts end with it, and nobody else builds before they have.
    alone = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    command = [*alone, "mmdebstrap", *options, RELEASE, str(root), *recipe["sources"]]
    built = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=LONGEST_BUILD_SECONDS, pass_fds=[lock]
    )
    if built.returncode:
        raise BaseFailed(f"mmdebstrap could not build Debian {RELEASE} in {root}: {built.stderr[-2000:]}")
    settings = root / _SETTINGS
    settings.write_text("".join(f"{option};\n" for option in recipe["apt"]))
