"""Hosts for one session of tests: each on a network of its own, snapshots of any of them, and an end for all.

Everything is taken away when the pool closes, also what a killed process of an earlier run left behind.
"""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from penguin_infra_tests.hosts.abandoned import clear_slot
from penguin_infra_tests.hosts.apt_proxy import AptProxy
from penguin_infra_tests.hosts.base_image import apt_cache, ensure_base
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.slots import claim_slot


class HostPool:
    """Makes hosts and ends them; made hosts are not booted yet."""

    def __init__(self, base: Path, proxy: AptProxy) -> None:
        self._base = base
        self._proxy = proxy
        self._hosts: list[Host] = []
        self._snapshots: list[Path] = []

    def make_host(self, *, layers: Sequence[Path] = ()) -> Host:
        """A host that is off, on the bare base or on snapshots (the uppermost first)."""
        slot = claim_slot()
        clear_slot(slot)
        slot.directory.mkdir(parents=True)
        host = Host(slot, self._base, self._proxy, list(layers))
        self._hosts.append(host)
        return host

    def start_hosts(self, count: int, *, layers: Sequence[Path] = ()) -> list[Host]:
        """As many booted hosts, each on a network of its own."""
        return [self.start_host(layers=layers) for _ in range(count)]

    def start_host(self, *, layers: Sequence[Path] = ()) -> Host:
        """A booted host."""
        host = self.make_host(layers=layers)
        host.start()
        return host

    def snapshot(self, host: Host) -> Path:
        """What a stopped host has written, as a layer for others; the host itself is not changed."""
        if host.is_running:
            raise ValueError(f"{host.name} is running: stop it before taking a snapshot of its disk")
        directory = Path(tempfile.mkdtemp(prefix="penguin-snapshot-"))
        self._snapshots.append(directory)
        layer = directory / "layer"
        host.disk.copy_written_to(layer)
        return layer

    def release(self, host: Host) -> None:
        """End a host for good; its address may be another's from now on."""
        host.remove()
        shutil.rmtree(host.slot.directory, ignore_errors=True)
        host.slot.release()
        self._hosts.remove(host)

    def close(self) -> None:
        """End all hosts, the later ones also when an earlier one resists."""
        with ExitStack() as ends:
            for snapshot in self._snapshots:
                ends.callback(shutil.rmtree, snapshot, ignore_errors=True)
            for host in list(self._hosts):
                ends.callback(self.release, host)


@contextmanager
def host_pool() -> Iterator[HostPool]:
    """A pool for the length of a block, on a base that is built when the cache has none."""
    base = ensure_base()
    proxy = AptProxy(apt_cache())
    pool = HostPool(base, proxy)
    try:
        yield pool
    finally:
        pool.close()
        proxy.close()
