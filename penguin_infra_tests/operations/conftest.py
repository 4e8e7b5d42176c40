"""One lab DNS server and one simulated Hostwind for this room; each test uses addresses and names of its own."""

from collections.abc import Iterator

import pytest

from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.dns_process import DnsProcess, running_dns
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, running_simulator


@pytest.fixture(scope="session")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns"), ttl_seconds=1) as process:
        yield process


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory, lab_dns: DnsProcess) -> Iterator[SimulatorProcess]:
    options = ["--reverse-dns", f"127.0.0.1:{lab_dns.port}", "--reverse-dns-delay", "0"]
    with running_simulator(tmp_path_factory.mktemp("hostwind"), boot_seconds=0, options=options) as process:
        yield process


@pytest.fixture
def provider(simulator: SimulatorProcess) -> Iterator[RestProvider]:
    simulator.clear_faults()
    with RestProvider(
        url=simulator.url, key=KEY, secret=SECRET, requests_per_second=500, attempts=2, first_wait_seconds=0.01
    ) as found:
        yield found
    simulator.clear_faults()
