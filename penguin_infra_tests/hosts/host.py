"""A real host for a test: Debian 12 with systemd and sshd, to be booted, reached, broken and reset.

It is bare: everything the product needs on a node, the product must bring. Making many of them is the pool's affair.
"""

import subprocess
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from pathlib import Path

from penguin_infra_tests.hosts.apt_proxy import AptProxy
from penguin_infra_tests.hosts.control_groups import ControlGroups
from penguin_infra_tests.hosts.disks import HostDisk
from penguin_infra_tests.hosts.machine import Machine, forget_machine
from penguin_infra_tests.hosts.networks import HostNetwork
from penguin_infra_tests.hosts.slots import Slot
from penguin_infra_tests.hosts.ssh_access import SshClient, make_key

# Not apt-cacher-ng's 3142: that may run on this machine.
APT_PROXY_PORT = 30142
HOST_KEY = "etc/ssh/ssh_host_ed25519_key"


class HostFailed(RuntimeError):
    """A host did not do what it was asked to; the message ends with what it said."""


class CommandFailed(HostFailed):
    """A command on a host ended with another code than 0, or not in time."""


@dataclass(slots=True)
class Host:
    """One host under one address, from its slot's claim to its release."""

    slot: Slot
    base: Path
    proxy: AptProxy
    layers: list[Path] = field(default_factory=list)
    # SSH answers after a second on an idle machine; only a broken host takes this long.
    longest_boot_seconds: float = 60
    network: HostNetwork = field(init=False)
    disk: HostDisk = field(init=False)
    machine: Machine = field(init=False)

    def __post_init__(self) -> None:
        directory = self.slot.directory
        self.network = HostNetwork(self.name, self.address, self.gateway)
        self.disk = HostDisk(directory / "disk", self.base, self.layers)
        self.machine = Machine(
            self.name,
            root=self.disk.root,
            namespace=self.network.namespace,
            console=directory / "console.log",
            before_boot=self.network.make,
        )

    @property
    def name(self) -> str:
        return self.slot.name

    @property
    def address(self) -> IPv4Address:
        return self.slot.address

    @property
    def gateway(self) -> IPv4Address:
        """This machine's end of the host's network: what listens there is what the host can reach."""
        return self.slot.gateway

    @property
    def is_running(self) -> bool:
        return self.machine.is_on

    @property
    def ssh(self) -> SshClient:
        """A client that trusts the key the host had when it was made bare, and no other."""
        return SshClient(str(self.address), self.slot.directory / "known_hosts")

    def start(self) -> None:
        """Boot, and wait until SSH answers. Raises HostFailed, with everything cleared away."""
        if self.is_running:
            raise HostFailed(f"{self.name} is running already: reboot or reset it")
        try:
            is_new = not self.disk.upper.exists()
            self.disk.mount()
            if is_new:
                self._make_individual()
            self.machine.switch_on()
            self.proxy.listen(str(self.gateway), APT_PROXY_PORT)
            self._await_boot()
        except BaseException:
            self.stop()
            raise

    def stop(self, *, is_orderly: bool = True) -> None:
        """Shut down and leave nothing but the written disk, which the next start finds again."""
        groups = ControlGroups(self.name)
        # The last one named goes first, and each goes whatever became of those before it.
        with ExitStack() as ends:
            ends.callback(forget_machine, self.name)
            ends.callback(self.disk.unmount)
            ends.callback(self.network.remove)
            ends.callback(self.proxy.close, str(self.gateway))
            ends.callback(groups.remove)
            ends.callback(groups.kill)
            ends.callback(self.machine.switch_off if is_orderly else self.machine.cut_power)

    def remove(self) -> None:
        """Stop, and forget the disk."""
        with ExitStack() as ends:
            ends.callback(self.disk.drop)
            ends.callback(self.stop)

    def reset(self) -> None:
        """Back to the bare base under the same address, with new host keys, as a newly ordered machine has."""
        self.stop(is_orderly=False)
        self.disk.drop()
        self.network.is_cut = False
        self.start()

    def reboot(self) -> None:
        """Reboot from within, and wait until the host answers again: by SSH unless it is cut off."""
        before = self.machine.boots
        self.run_inside("systemctl reboot", check=False)
        deadline = time.monotonic() + self.longest_boot_seconds
        while self.machine.boots == before:
            if time.monotonic() > deadline:
                raise HostFailed(f"{self.name} was told to reboot, and did not: {self.machine.console_tail()}")
            time.sleep(0.02)
        self._await_boot()

    def boot_id(self) -> str:
        """Changes with each boot; asked from inside, so it works without a network."""
        return self.run_inside("cat /proc/sys/kernel/random/boot_id").strip()

    def cut_network(self) -> None:
        """Nothing gets in or out until it is mended."""
        self.network.cut()

    def mend_network(self) -> None:
        self.network.mend()

    def fill_disk(self) -> None:
        """Every further write on the host fails for want of space, until it is freed."""
        self.disk.fill()

    def free_disk(self) -> None:
        self.disk.free()

    def run(self, command: str, *, check: bool = True, timeout: float = 60) -> str:
        """What a shell command prints, run by root over SSH. Raises CommandFailed."""
        return self._finish(self.ssh.command(command), command, check=check, timeout=timeout)

    def run_inside(self, command: str, *, check: bool = True, timeout: float = 60) -> str:
        """The same without SSH or network. Raises CommandFailed.

        Not while the host shuts down: it would wait for the command, and never hear that it ended.
        """
        entered = ["nsenter", "--target", str(self.machine.leader()), "--mount", "--uts", "--ipc", "--net", "--pid"]
        clean = ["env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"]
        # nsenter's own fork stops itself with a child that a shutdown stops, and would hold up the shutdown for ever.
        waiting = ["sh", "-c", '"$@"; exit $?', "wait", "sh", "-c", command]
        shell = [*entered, "--root", "--wd", "--no-fork", "--", *clean, *waiting]
        return self._finish(shell, command, check=check, timeout=timeout)

    def run_in_network(self, argv: list[str], *, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """A program of this machine, seeing the network as the host does."""
        command = ["ip", "netns", "exec", self.name, *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=timeout)

    def replace_host_key(self) -> None:
        """The host shows another key from now on; our client goes on expecting the former one."""
        key = self.disk.root / HOST_KEY
        for half in (key, key.with_suffix(".pub")):
            half.unlink()
        make_key(key, comment=self.name)
        self.run_inside("systemctl restart ssh")

    def trust_host_key(self) -> None:
        """Let our client expect the key that the host has now."""
        self.ssh.trust((self.disk.root / f"{HOST_KEY}.pub").read_text())

    def _make_individual(self) -> None:
        """What tells this host from another on the same base."""
        root = self.disk.root
        (root / "etc/hostname").write_text(f"{self.name}\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}.nodes.test {self.name}\n")
        proxy = f'Acquire::http::Proxy "http://{self.gateway}:{APT_PROXY_PORT}";\nAcquire::http::Timeout "300";\n'
        (root / "etc/apt/apt.conf.d/91penguin-proxy").write_text(proxy)
        key = root / HOST_KEY
        key.unlink(missing_ok=True)
        make_key(key, comment=self.name)
        self.trust_host_key()

    def _await_boot(self) -> None:
        ask = self.run_inside if self.network.is_cut else self.run
        deadline = time.monotonic() + self.longest_boot_seconds
        while time.monotonic() < deadline and self.is_running:
            try:
                ask("true", timeout=10)
            except RuntimeError:  # not yet, or no process 1 at this moment
                time.sleep(0.05)
            else:
                return
        raise HostFailed(f"{self.name} did not answer SSH on {self.address}: {self.machine.console_tail()}")

    def _finish(self, argv: list[str], command: str, *, check: bool, timeout: float) -> str:
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=timeout, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired as endless:
            raise CommandFailed(f"`{command}` on {self.name} did not end within {timeout} s") from endless
        if check and done.returncode:
            said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
            raise CommandFailed(f"`{command}` on {self.name} ended with {done.returncode}: {said}")
        return done.stdout
