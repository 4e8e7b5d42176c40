"""Real authoritative name servers for tests: Knot and BIND, each a process of its own with a TSIG key.

Looking into their zones and changing them from outside; nothing of the product. PowerDNS stands beside this file,
and how a process starts and ends in `server_process.py`.
"""

import secrets
from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.tsig
import dns.update
import dns.zone
from dns.rdtypes.ANY.TXT import TXT

from penguin_infra_tests.server_process import ServerProcess

FORWARD_ZONE = "nodes.test"
REVERSE_ZONE = "10.in-addr.arpa"

_ANSWER_SECONDS = 5
START_OF_AUTHORITY = "ns.{zone}. hostmaster.{zone}. 1 3600 600 86400 5"


@dataclass(frozen=True, slots=True)
class TsigKey:
    """The key that may change and transfer the zones."""

    name: str = "penguin-test"
    secret: str = field(default_factory=lambda: b64encode(secrets.token_bytes(32)).decode(), repr=False)
    algorithm: str = "hmac-sha256"

    @property
    def keyring(self) -> dict[dns.name.Name, dns.tsig.Key]:
        name = dns.name.from_text(self.name)
        return {name: dns.tsig.Key(name, self.secret, self.algorithm)}


class ZoneRecord(NamedTuple):
    """One record of a zone: names without the last dot, texts joined and without quotes."""

    name: str
    rdtype: str
    value: str


class NameServer(ServerProcess):
    """A primary of zones; `start` after `kill` finds the same records again."""

    def __init__(
        self,
        directory: Path,
        *,
        zones: Sequence[str] = (FORWARD_ZONE, REVERSE_ZONE),
        key: TsigKey | None = None,
        address: str = "127.0.0.1",
        port: int | None = None,
    ) -> None:
        super().__init__(directory, address=address, port=port)
        self.zones = zones
        self.key = key or TsigKey()

    def zone_records(self, zone: str) -> frozenset[ZoneRecord]:
        """All records of a zone but its SOA and NS, by a zone transfer."""
        found = dns.zone.Zone(zone, relativize=False)
        query = dns.message.make_query(zone, dns.rdatatype.AXFR)
        query.use_tsig(self.key.keyring)
        dns.query.inbound_xfr(
            self.address, found, query, port=self.port, timeout=_ANSWER_SECONDS, lifetime=_ANSWER_SECONDS
        )
        infrastructure = {dns.rdatatype.SOA, dns.rdatatype.NS}
        glue = dns.name.from_text(f"ns.{zone}")
        return frozenset(
            _zone_record(name, rdata)
            for name, _, rdata in found.iterate_rdatas()
            if rdata.rdtype not in infrastructure and name != glue
        )

    def values(self, name: str, rdtype: str) -> frozenset[str]:
        """What a zone holds at a name, by a question."""
        answer = self._ask(dns.message.make_query(name, rdtype))
        return frozenset(_zone_record(rrset.name, rdata).value for rrset in answer.answer for rdata in rrset)

    def add(self, zone: str, name: str, rdtype: str, *values: str) -> None:
        """Put records there as somebody else with the same key would."""
        update = dns.update.UpdateMessage(zone)
        for value in values:
            update.add(dns.name.from_text(name), 300, rdtype, value)
        self._send(update)

    def delete(self, zone: str, name: str, *rdtypes: str) -> None:
        """Take everything of these types (none: of all) away at a name."""
        update = dns.update.UpdateMessage(zone)
        for rdtype in rdtypes or (None,):
            update.delete(dns.name.from_text(name), *([rdtype] if rdtype else []))
        self._send(update)

    def _send(self, update: dns.update.UpdateMessage) -> None:
        update.use_tsig(self.key.keyring)
        rcode = self._ask(update).rcode()
        assert rcode == dns.rcode.NOERROR, f"{self.binary}: {dns.rcode.to_text(rcode)}"

    def _ask(self, message: dns.message.Message) -> dns.message.Message:
        return dns.query.tcp(message, self.address, port=self.port, timeout=_ANSWER_SECONDS)

    def is_serving(self) -> bool:
        try:
            answers = [self._ask(dns.message.make_query(zone, dns.rdatatype.SOA)) for zone in self.zones]
        except (OSError, EOFError, dns.exception.DNSException):
            return False
        return all(answer.rcode() == dns.rcode.NOERROR and answer.answer for answer in answers)

    def _write_zone_files(self) -> None:
        for zone in self.zones:
            (self.directory / f"{zone}.zone").write_text(
                f"$ORIGIN {zone}.\n$TTL 300\n@ SOA {START_OF_AUTHORITY.format(zone=zone)}\n"
                f"@ NS ns.{zone}.\nns A {self.address}\n"
            )


class KnotServer(NameServer):
    """Knot DNS: the default peer."""

    package, binary = "knot", "knotd"

    def prepare(self) -> None:
        self._write_zone_files()
        zones = "".join(f"  - domain: {zone}\n    file: {zone}.zone\n    acl: writers\n" for zone in self.zones)
        (self.directory / "knot.conf").write_text(
            f"server:\n    rundir: {self.directory}\n    listen: {self.address}@{self.port}\n"
            "    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n"
            f"log:\n  - target: stderr\n    any: info\ndatabase:\n    storage: {self.directory}\n"
            f"key:\n  - id: {self.key.name}\n    algorithm: {self.key.algorithm}\n    secret: {self.key.secret}\n"
            f"acl:\n  - id: writers\n    key: {self.key.name}\n    action: [update, transfer]\n"
            f"template:\n  - id: default\n    storage: {self.directory}\nzone:\n{zones}"
        )

    def arguments(self) -> Sequence[str]:
        return "--config", str(self.directory / "knot.conf")


class BindServer(NameServer):
    """BIND 9: the second peer."""

    package, binary = "bind9", "named"

    def prepare(self) -> None:
        self._write_zone_files()
        allowed = f'key "{self.key.name}";'
        zones = "".join(
            f'zone "{zone}" {{ type primary; file "{zone}.zone"; allow-update {{ {allowed} }}; }};\n'
            for zone in self.zones
        )
        (self.directory / "named.conf").write_text(
            f'options {{ directory "{self.directory}"; pid-file none; session-keyfile none; lock-file none;\n'
            f"  listen-on port {self.port} {{ {self.address}; }}; listen-on-v6 {{ none; }};\n"
            "  recursion no; allow-query { any; }; dnssec-validation no; notify no; querylog no;\n"
            f'  managed-keys-directory "{self.directory}"; allow-transfer {{ {allowed} }}; }};\n'
            f'controls {{ }};\nkey "{self.key.name}" {{ algorithm {self.key.algorithm}; '
            f'secret "{self.key.secret}"; }};\n{zones}'
        )

    def arguments(self) -> Sequence[str]:
        return "-g", "-n", "1", "-c", str(self.directory / "named.conf")


@contextmanager
def running(servers: Collection[NameServer]) -> Iterator[None]:
    """Servers for the length of a with statement, each ended by its own id."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


def _zone_record(name: dns.name.Name, rdata: dns.rdata.Rdata) -> ZoneRecord:
    value = b"".join(rdata.strings).decode() if isinstance(rdata, TXT) else rdata.to_text().rstrip(".")
    return ZoneRecord(name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype), value)
