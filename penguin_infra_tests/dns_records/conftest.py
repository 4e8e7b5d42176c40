"""The three name servers, shared by this room's tests; each test uses names of its own."""

from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import pytest

from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra_tests.dns_records.dns_proxy import DnsProxy
from penguin_infra_tests.name_servers import FORWARD_ZONE, BindServer, KnotServer, NameServer
from penguin_infra_tests.power_dns_server import PowerDnsServer

Connect = Callable[..., DynamicUpdatePublisher]

_numbers = count(1)


@pytest.fixture(scope="session", params=[KnotServer, BindServer, PowerDnsServer], ids=["knot", "bind", "powerdns"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    kind: type[NameServer] = request.param
    kind.require(in_ci=kind is not PowerDnsServer)
    with kind(tmp_path_factory.mktemp("servers") / kind.binary) as started:
        yield started


@pytest.fixture(params=[KnotServer, BindServer, PowerDnsServer], ids=["knot", "bind", "powerdns"])
def mortal(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NameServer]:
    """A server of the test's own, to be killed."""
    kind: type[NameServer] = request.param
    kind.require(in_ci=kind is not PowerDnsServer)
    with kind(tmp_path_factory.mktemp("mortal") / kind.binary) as started:
        yield started


@pytest.fixture
def proxy(server: NameServer) -> Iterator[DnsProxy]:
    with DnsProxy(server.address, server.port) as started:
        yield started


@pytest.fixture
def name() -> str:
    """A name of the test's own."""
    return f"n{next(_numbers)}.{FORWARD_ZONE}"


def connect(peer: NameServer, **changes: Any) -> DynamicUpdatePublisher:
    """A publisher with the server's own key."""
    usual: dict[str, Any] = {
        "zone": FORWARD_ZONE,
        "server": peer.server,
        "key_name": peer.key.name,
        "key_secret": peer.key.secret,
        "key_algorithm": peer.key.algorithm,
        "timeout_seconds": 5.0,
        "first_wait_seconds": 0.05,
    }
    return DynamicUpdatePublisher(**usual | changes)


@pytest.fixture
def publisher(server: NameServer) -> DynamicUpdatePublisher:
    return connect(server)
