"""This room's servers: the lab's DNS, where each test uses addresses of its own, and others' blacklist servers."""

from collections.abc import Iterator

import pytest

from penguin_infra_tests.blacklist_resolvers import UnboundServer
from penguin_infra_tests.blacklist_servers import BlacklistServer
from penguin_infra_tests.contract.dns.real_lists import LISTS
from penguin_infra_tests.dns_process import DnsProcess, running_dns


@pytest.fixture(scope="session")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process


@pytest.fixture(scope="session")
def running_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlacklistServer]:
    BlacklistServer.require()
    with BlacklistServer(tmp_path_factory.mktemp("lists") / "rbldnsd", list(LISTS.values())) as server:
        yield server


@pytest.fixture
def server(running_server: BlacklistServer) -> Iterator[BlacklistServer]:
    yield running_server
    running_server.forget_listings()


@pytest.fixture(scope="session")
def unbound(running_server: BlacklistServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[UnboundServer]:
    UnboundServer.require()
    with UnboundServer(
        tmp_path_factory.mktemp("resolver") / "unbound", running_server, running_server.zones
    ) as resolver:
        yield resolver
