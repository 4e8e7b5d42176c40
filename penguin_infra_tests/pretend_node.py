"""A node for tests that are about the record of its making: what its installation and its mail leave in the database.

DNS and the provider are real processes; the host is pretended. Real hosts are `hosts/`'s.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from ipaddress import IPv4Address

import dkim
import dns.query
import dns.rdatatype
import dns.tsigkeyring
import dns.xfr
import dns.zone
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from sqlalchemy import Engine, insert

from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra.dns_records.lookup import NameLookup
from penguin_infra.dns_records.publisher import Record
from penguin_infra.dns_records.record_data import value_of
from penguin_infra.domain.verification import OutsideView
from penguin_infra.installer.installer import Host, HostUnreachable, Installation, Installed, Say, TestMail
from penguin_infra.operations.provision_parts import ProvisionParts, Screening
from penguin_infra.store.installation_tables import sink_messages
from penguin_infra_tests.dns_process import KEY_NAME, KEY_SECRET, DnsProcess
from penguin_infra_tests.pulses import beat

ZONE = "nodes.lab.test"
SELECTOR = "penguin"
MAILBOX = "verify@sink.lab.test"


@cache
def signing_key() -> tuple[bytes, str]:
    """A private key in PEM, and its public half as a TXT record takes it."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    return private, "".join(public.splitlines()[1:-1])


@dataclass
class PretendInstaller:
    """Installs by a heartbeat, and sends by a row at the sink. `around`: called at either side of each call."""

    engine: Engine
    now: Callable[[], datetime]
    around: Callable[[str], None] = lambda _where: None
    failures: list[Exception] = field(default_factory=list)
    is_mail_lost: bool = False
    is_silent: bool = False
    queued: int = 0
    helo: str | None = None
    installations: list[Installation] = field(default_factory=list)
    restarts: list[str] = field(default_factory=list)

    def identify(self, host: Host, say: Say) -> str:
        return host.host_key or "ssh-ed25519 AAAA"

    def install(self, installation: Installation, say: Say) -> Installed:
        self.around("before install")
        if self.failures:
            raise self.failures.pop(0)
        say("pretending")
        self.installations.append(installation)
        if not self.is_silent:
            beat(self.engine, [installation.host.node_id], at=self.now())
        self.around("after install")
        return Installed("ssh-ed25519 AAAA", SELECTOR, signing_key()[1], changed=1)

    def restart_services(self, host: Host, say: Say) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.restarts.append(host.label)

    def send_mail(self, host: Host, mail: TestMail) -> None:
        self.around("before mail")
        if self.is_mail_lost:
            return
        content = signed_mail(host.hostname, mail)
        with self.engine.begin() as connection:
            connection.execute(
                insert(sink_messages).values(
                    correlation_id=mail.correlation_id,
                    received_at=self.now(),
                    peer_address=str(host.ip_address),
                    helo=self.helo or host.hostname,
                    tls_version="TLSv1.3",
                    mail_from=mail.sender,
                    rcpt_to=mail.recipient,
                    content=content,
                )
            )
        self.around("after mail")

    def count_queued(self, host: Host) -> int:
        return self.queued + int(self.is_mail_lost)


def signed_mail(hostname: str, mail: TestMail) -> bytes:
    """A mail as the node's own mail server signs it."""
    content = (
        f"From: {mail.sender}\r\nTo: {mail.recipient}\r\nSubject: verification\r\n"
        f"X-Penguin-Correlation: {mail.correlation_id}\r\n\r\n{mail.correlation_id}\r\n"
    ).encode()
    signature = dkim.sign(
        content, SELECTOR.encode(), hostname.encode(), signing_key()[0], include_headers=[b"from", b"to", b"subject"]
    )
    return bytes(signature) + content


@dataclass
class PointedPublisher:
    """A publisher with something at either side of each change."""

    inner: DynamicUpdatePublisher
    around: Callable[[str], None]

    @property
    def zone(self) -> str:
        return self.inner.zone

    def publish(self, records: list[Record], *, ours: list[Record] = []) -> None:  # noqa: B006 - never changed
        self.around("before publish")
        self.inner.publish(records, ours=ours)
        self.around("after publish")

    def remove(self, records: list[Record]) -> None:
        self.around("before remove")
        self.inner.remove(records)
        self.around("after remove")

    def read(self, name: str, rdtype: object) -> frozenset[str]:
        return self.inner.read(name, rdtype)  # type: ignore[arg-type]


def publisher_of(lab_dns: DnsProcess) -> DynamicUpdatePublisher:
    """The product's own publisher, into the lab's zone."""
    return DynamicUpdatePublisher(
        zone=ZONE,
        server=f"127.0.0.1:{lab_dns.port}",
        key_name=KEY_NAME,
        key_secret=KEY_SECRET,
        key_algorithm="hmac-sha256",
        attempts=2,
    )


def zone_records(lab_dns: DnsProcess) -> set[tuple[str, str, str]]:
    """All names of nodes that the lab's server has: name, type and value."""
    zone = dns.zone.Zone(ZONE, relativize=False)
    query, _ = dns.xfr.make_query(zone, keyring=dns.tsigkeyring.from_text({KEY_NAME: KEY_SECRET}))
    dns.query.inbound_xfr("127.0.0.1", zone, query, port=lab_dns.port, timeout=5, lifetime=5)
    return {
        (name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype), value_of(rdata))
        for name, _, rdata in zone.iterate_rdatas()
        if rdata.rdtype in {dns.rdatatype.A, dns.rdatatype.TXT}
    }


def clear_zone(lab_dns: DnsProcess) -> None:
    """Take every name of a node away."""
    found = [Record(name, "A" if kind == "A" else "TXT", value) for name, kind, value in zone_records(lab_dns)]
    if found:
        publisher_of(lab_dns).remove(found)


def pretend_parts(
    lab_dns: DnsProcess,
    installer: PretendInstaller,
    *,
    screen: Callable[[IPv4Address], Screening] = lambda _address: Screening((), ()),
    around: Callable[[str], None] = lambda _where: None,
) -> ProvisionParts:
    """Real DNS, a pretended host, and lists that know nothing."""
    return ProvisionParts(
        screen=screen,
        dns=PointedPublisher(publisher_of(lab_dns), around),  # type: ignore[arg-type]
        names=NameLookup([("127.0.0.1", lab_dns.port)]),
        installer=installer,
        look_from_outside=lambda _address: OutsideView(
            relays=False, relay_detail="closed", open_ports=frozenset({22, 25})
        ),
        authorized_keys=("ssh-ed25519 AAAA test",),
        gateway_url="https://gateway.lab.test",
        sink_mailbox=MAILBOX,
    )


def unreachable(times: int) -> Iterator[Exception]:
    """So many times a host that is not up yet."""
    return (HostUnreachable("no SSH at the host yet") for _ in range(times))
