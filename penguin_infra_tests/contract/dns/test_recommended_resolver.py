"""The resolver that `deploy/unbound` recommends: what unbound makes of its configuration, and of lists' answers."""

import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import pytest

from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.server_process import ServerProcess, find_program

CONFIGURATION = Path(__file__).parents[3] / "deploy" / "unbound" / "penguin-infra.conf"
ZEN = "zen.spamhaus.org"


class RecommendedResolver(ServerProcess):
    """unbound with the recommended configuration, on a port of its own, with the lab in the world's place."""

    package, binary = "unbound", "unbound"

    def __init__(self, directory: Path, lab: DnsProcess) -> None:
        super().__init__(directory)
        self._lab = lab

    def prepare(self) -> None:
        (self.directory / "unbound.conf").write_text(
            f'include: "{CONFIGURATION}"\n'
            f'server:\n    username: ""\n    chroot: ""\n    directory: "{self.directory}"\n    pidfile: ""\n'
            f"    use-syslog: no\n    port: {self.port}\n    do-ip6: no\n    do-not-query-localhost: no\n"
            f'stub-zone:\n    name: "{ZEN}"\n    stub-addr: 127.0.0.1@{self._lab.port}\n'
        )

    def arguments(self) -> Sequence[str]:
        return "-d", "-p", "-c", str(self.directory / "unbound.conf")

    def is_serving(self) -> bool:
        try:
            return self.ask(f"2.0.0.127.{ZEN}", timeout_seconds=0.2).rcode() == dns.rcode.NOERROR
        except (dns.exception.DNSException, OSError):
            return False

    def ask(self, name: str, *, timeout_seconds: float = 5) -> dns.message.Message:
        query = dns.message.make_query(name, "A")
        return dns.query.udp(query, self.address, port=self.port, timeout=timeout_seconds)


@pytest.fixture(scope="module")
def resolver(tmp_path_factory: pytest.TempPathFactory, lab_dns: DnsProcess) -> Iterator[RecommendedResolver]:
    RecommendedResolver.require()
    with RecommendedResolver(tmp_path_factory.mktemp("unbound") / "run", lab_dns) as server:
        yield server


def checked(*arguments: str) -> str:
    """What unbound says of the configuration."""
    program = find_program("unbound-checkconf")
    if program is None:
        pytest.skip("unbound-checkconf is not installed: apt-get install unbound")
    done = subprocess.run(
        [program, *arguments, str(CONFIGURATION)], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_unbound_takes_the_configuration() -> None:
    assert "no errors" in checked()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("interface", "127.0.0.1"),
        ("serve-expired", "no"),
        ("prefetch", "no"),
        ("cache-min-ttl", "0"),
        ("cache-max-negative-ttl", "60"),
        ("qname-minimisation", "no"),
        ("private-address", ""),
        ("private-domain", ""),
    ],
)
def test_no_answer_outlives_what_its_list_said_and_none_is_asked_for_or_removed_unasked(
    option: str, value: str
) -> None:
    assert checked("-o", option) == value


def test_it_forwards_to_nobody() -> None:
    lines = [line.split("#")[0].strip() for line in CONFIGURATION.read_text().splitlines()]
    assert not [line for line in lines if line.startswith("forward")]


def test_a_lists_answers_come_through_with_the_lists_own_life(
    resolver: RecommendedResolver, lab_dns: DnsProcess
) -> None:
    lab_dns.list_ip("10.4.0.1", ZEN)
    listed = resolver.ask(f"1.0.4.10.{ZEN}")
    assert [record.to_text() for record in listed.answer[0]] == ["127.0.0.2"]
    assert listed.answer[0].ttl <= 1
    assert resolver.ask(f"2.0.4.10.{ZEN}").rcode() == dns.rcode.NXDOMAIN
