"""Real DNS servers for tests: Knot and BIND with a forward and a reverse zone that take updates under one TSIG key.

Each is a process of its own in the foreground, with a folder of its own: no service of the machine, no root needed.
Nothing here knows the product's side; what a zone holds is read by a transfer.
"""

import os
import shutil
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.xfr
import dns.zone

from penguin_infra_tests.dns_process import free_port

FORWARD_ZONE = "nodes.test"
REVERSE_ZONE = "77.10.in-addr.arpa"
# Either answers in under a second on an idle machine.
LONGEST_START_SECONDS = 30
LONGEST_STOP_SECONDS = 20
_NEW_ZONE = "@ 60 IN SOA ns.peers.test. admin.peers.test. 1 3600 600 86400 1\n@ 60 IN NS ns.peers.test.\n"


@dataclass(slots=True, kw_only=True)
class DnsPeer(ABC):
    """One server; `start` after `stop` or `kill` finds its zones as they were."""

    directory: Path
    key_name: str
    secret: str = field(repr=False)
    address: str = "127.0.0.1"
    port: int = field(default_factory=free_port)
    zones: Sequence[str] = (FORWARD_ZONE, REVERSE_ZONE)
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @classmethod
    @abstractmethod
    def program(cls) -> str:
        """The server's binary."""

    @classmethod
    @abstractmethod
    def package(cls) -> str:
        """Debian's package that brings it."""

    @classmethod
    def missing_part(cls) -> str | None:
        """What to install, when the binary is not here."""
        return None if _find(cls.program()) else f"no {cls.program()} (apt-get install {cls.package()})"

    @property
    def log(self) -> str:
        return (self.directory / "server.log").read_text(errors="replace")

    def start(self) -> None:
        """Wait until it answers for every zone. Raises RuntimeError with its log."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for zone in self.zones:
            zone_file = self.directory / f"{zone}.zone"
            if not zone_file.exists():
                zone_file.write_text(_NEW_ZONE)
        configuration = self.directory / "server.conf"
        configuration.touch(mode=0o600)
        configuration.write_text(self._configuration())
        with (self.directory / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binary(), *self._arguments()],
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + LONGEST_START_SECONDS
        while not self.is_answering():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise RuntimeError(f"{self.program()} did not answer on {self.address}:{self.port}: {self.log[-2000:]}")
            time.sleep(0.02)

    def stop(self) -> None:
        """In order; harmless when it does not run."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(LONGEST_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def is_answering(self) -> bool:
        """Whether it speaks for all its zones now."""
        return all(self._is_served(zone) for zone in self.zones)

    def zone_records(self, zone: str) -> set[tuple[str, str, str]]:
        """Name (without the last dot), type and value of all that is published; what every zone has is left out."""
        key = dns.tsig.Key(self.key_name, self.secret, dns.tsig.HMAC_SHA256)
        found = dns.zone.Zone(zone, relativize=False)
        query, _ = dns.xfr.make_query(found, keyring=key)
        dns.query.inbound_xfr(self.address, found, query, port=self.port, timeout=10, lifetime=30)
        return {
            (name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype), rdata.to_text())
            for name, _, rdata in found.iterate_rdatas()
            if rdata.rdtype not in {dns.rdatatype.SOA, dns.rdatatype.NS}
        }

    def _is_served(self, zone: str) -> bool:
        question = dns.message.make_query(zone, dns.rdatatype.SOA)
        try:
            answer = dns.query.udp(question, self.address, port=self.port, timeout=0.5)
        except (dns.exception.DNSException, OSError):
            return False
        return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer)

    def _binary(self) -> str:
        found = _find(self.program())
        if found is None:
            raise RuntimeError(f"{self.missing_part()}")
        if not _is_confined():
            return found
        # AppArmor knows servers by their path and keeps them to the system's folders.
        return str(shutil.copy(found, str(self.directory)))

    @abstractmethod
    def _configuration(self) -> str:
        """The whole configuration file."""

    @abstractmethod
    def _arguments(self) -> list[str]:
        """The command line behind the binary: in the foreground, with `server.conf`."""


class KnotServer(DnsPeer):
    """Knot: an unsigned update is NOTAUTH."""

    @classmethod
    def program(cls) -> str:
        return "knotd"

    @classmethod
    def package(cls) -> str:
        return "knot"

    def _configuration(self) -> str:
        zones = "".join(f"  - domain: {zone}\n    file: {zone}.zone\n" for zone in self.zones)
        return f"""
server:
    listen: {self.address}@{self.port}
    rundir: .
    automatic-acl: off
log:
  - target: stderr
    any: info
database:
    storage: .
key:
  - id: {self.key_name}
    algorithm: hmac-sha256
    secret: {self.secret}
acl:
  - id: fleet
    key: {self.key_name}
    action: [update, transfer]
template:
  - id: default
    storage: .
    acl: fleet
zone:
{zones}"""

    def _arguments(self) -> list[str]:
        return ["--config", "server.conf"]


class BindServer(DnsPeer):
    """BIND: an unsigned update is REFUSED."""

    @classmethod
    def program(cls) -> str:
        return "named"

    @classmethod
    def package(cls) -> str:
        return "bind9"

    def _configuration(self) -> str:
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "{zone}.zone"; allow-update {{ key "{self.key_name}"; }}; }};\n'
            for zone in self.zones
        )
        return f"""
key "{self.key_name}" {{ algorithm hmac-sha256; secret "{self.secret}"; }};
options {{
    directory "{self.directory}";
    listen-on port {self.port} {{ {self.address}; }};
    listen-on-v6 {{ none; }};
    allow-transfer {{ key "{self.key_name}"; }};
    recursion no;
    notify no;
    dnssec-validation no;
    pid-file none;
    lock-file none;
    session-keyfile none;
}};
controls {{ }};
{zones}"""

    def _arguments(self) -> list[str]:
        return ["-g", "-n", "1", "-c", "server.conf"]


def _find(program: str) -> str | None:
    """Servers live where an ordinary account's path does not lead."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"]))


def _is_confined() -> bool:
    switch = Path("/sys/module/apparmor/parameters/enabled")
    return switch.exists() and switch.read_text().strip() == "Y"
