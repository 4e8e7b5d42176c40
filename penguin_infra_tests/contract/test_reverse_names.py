"""Reverse names from the provider's call to the DNS: they come and go with the instance, and no outage loses one."""

from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.query
import dns.reversename
import dns.update
import pytest

from penguin_infra_tests.dns_process import KEY_NAME, KEY_SECRET, DnsProcess, free_port, running_dns, start_dns
from penguin_infra_tests.simulator_process import SimulatorProcess, running_simulator
from penguin_infra_tests.waiting import until


@pytest.fixture(scope="module")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process


def options(port: int) -> list[str]:
    return ["--reverse-dns", f"127.0.0.1:{port}", "--reverse-dns-delay", "0"]


def create_running(simulator: SimulatorProcess, label: str) -> tuple[str, str]:
    """The id and the address of a new instance."""
    body = {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}
    path = f"/instances/{simulator.ask('POST', '/instances', body=body).json()['id']}"
    running = until("it runs", lambda: _running(simulator, f"{path}/status"))
    return running["id"], running["ip"]


def name(simulator: SimulatorProcess, provider_id: str, ip: str, hostname: str) -> None:
    answer = simulator.ask("PUT", f"/instances/{provider_id}/rdns", body={"ip": ip, "hostname": hostname})
    assert answer.status_code == 200


def reverse_names(port: int, ip: str) -> list[str]:
    query = dns.message.make_query(dns.reversename.from_address(ip), "PTR")
    response = dns.query.udp(query, "127.0.0.1", port=port, timeout=5)
    return [record.to_text() for rrset in response.answer for record in rrset]


def await_names(port: int, ip: str, *expected: str) -> None:
    until(f"{ip} has the names {expected}", lambda: reverse_names(port, ip) == list(expected))


def test_a_reverse_name_appears_changes_and_goes_with_the_instance(tmp_path: Path, lab_dns: DnsProcess) -> None:
    with running_simulator(tmp_path, options=options(lab_dns.port)) as simulator:
        (one, one_ip), (other, other_ip) = create_running(simulator, "one"), create_running(simulator, "other")
        name(simulator, one, one_ip, "n1.nodes.lab.test")
        name(simulator, other, other_ip, "n2.nodes.lab.test")
        await_names(lab_dns.port, one_ip, "n1.nodes.lab.test.")
        name(simulator, one, one_ip, "n3.nodes.lab.test")
        await_names(lab_dns.port, one_ip, "n3.nodes.lab.test.")
        simulator.ask("DELETE", f"/instances/{one}")
        await_names(lab_dns.port, one_ip)
        assert reverse_names(lab_dns.port, other_ip) == ["n2.nodes.lab.test."]


def test_a_reverse_name_takes_its_time(tmp_path: Path, lab_dns: DnsProcess) -> None:
    slow = ["--reverse-dns", f"127.0.0.1:{lab_dns.port}", "--reverse-dns-delay", "3600"]
    given = ["--addresses", "127.77.200.1 127.77.200.2"]
    with running_simulator(tmp_path, options=[*slow, *given]) as simulator:
        late, late_ip = create_running(simulator, "late")
        gone, gone_ip = create_running(simulator, "gone")
        name(simulator, late, late_ip, "late.nodes.lab.test")
        name(simulator, gone, gone_ip, "gone.nodes.lab.test")
        update = dns.update.UpdateMessage("127.in-addr.arpa")
        update.add(dns.reversename.from_address(gone_ip), 5, "PTR", "stray.nodes.lab.test.")
        dns.query.tcp(update, "127.0.0.1", port=lab_dns.port, timeout=5)
        # A name that goes does not: once this is done, the other would have been published too.
        simulator.ask("DELETE", f"/instances/{gone}")
        await_names(lab_dns.port, gone_ip)
        assert reverse_names(lab_dns.port, late_ip) == []


def test_an_update_outlives_the_outage_of_both_servers(tmp_path: Path) -> None:
    port = free_port()
    (tmp_path / "dns").mkdir()
    with running_simulator(tmp_path / "hostwind", options=options(port)) as simulator:
        kept, kept_ip = create_running(simulator, "kept")
        gone, gone_ip = create_running(simulator, "gone")
        server = start_dns(tmp_path / "dns", port=port)
        name(simulator, gone, gone_ip, "gone.nodes.lab.test")
        await_names(port, gone_ip, "gone.nodes.lab.test.")
        server.kill()
        name(simulator, kept, kept_ip, "kept.nodes.lab.test")
        simulator.ask("DELETE", f"/instances/{gone}")
        simulator.kill()
        simulator.start()
        until("the outage is told", lambda: "waits to be published" in simulator.log)
        server = start_dns(tmp_path / "dns", port=port)
        try:
            await_names(port, kept_ip, "kept.nodes.lab.test.")
            await_names(port, gone_ip)
        finally:
            server.kill()


def test_a_server_that_wants_a_signature_gets_it_and_a_wrong_one_publishes_nothing(
    tmp_path: Path, lab_dns: DnsProcess
) -> None:
    given = [*options(lab_dns.port), "--addresses", "127.77.201.1"]
    keys = {"LAB_REVERSE_DNS_KEY_NAME": KEY_NAME, "LAB_REVERSE_DNS_KEY_SECRET": "d3Jvbmc="}
    with running_simulator(tmp_path, options=given, secrets=keys) as simulator:
        provider_id, ip = create_running(simulator, "signed")
        name(simulator, provider_id, ip, "signed.nodes.lab.test")
        until("the refusal is told", lambda: "PeerBadSignature" in simulator.log)
        assert reverse_names(lab_dns.port, ip) == []
        simulator.stop()
        simulator.secrets = {**keys, "LAB_REVERSE_DNS_KEY_SECRET": KEY_SECRET}
        simulator.start()
        await_names(lab_dns.port, ip, "signed.nodes.lab.test.")
        assert KEY_SECRET not in simulator.log


def test_an_address_of_another_zone_holds_up_nobody(tmp_path: Path, lab_dns: DnsProcess) -> None:
    given = tmp_path / "addresses"
    given.write_text("10.77.1.2\n127.77.202.1\n")
    with running_simulator(
        tmp_path / "hostwind", options=[*options(lab_dns.port), "--addresses", str(given)]
    ) as simulator:
        for label, hostname in (("foreign", "n1.nodes.lab.test"), ("own", "n2.nodes.lab.test")):
            provider_id, ip = create_running(simulator, label)
            name(simulator, provider_id, ip, hostname)
        await_names(lab_dns.port, "127.77.202.1", "n2.nodes.lab.test.")


def _running(simulator: SimulatorProcess, path: str) -> dict[str, str] | None:
    shown: dict[str, str] = simulator.ask("GET", path).json()
    return shown if shown["status"] == "running" else None
