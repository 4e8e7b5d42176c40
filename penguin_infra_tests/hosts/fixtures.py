"""Real hosts for tests, started when a test first asks and shared by the session; a conftest imports what it wants.

Nothing runs where no test asks; where hosts cannot run, asking skips the test, or fails it in CI.
"""

from collections.abc import Iterator

import pytest

from penguin_infra_tests.hosts import pool
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.requirements import require_hosts


@pytest.fixture(scope="session")
def hosts_ready() -> None:
    """Hosts can run here."""
    require_hosts()


@pytest.fixture(scope="session")
def host_pool(hosts_ready: None) -> Iterator[pool.HostPool]:
    """The session's hosts; all of them end with it."""
    with pool.host_pool() as made:
        yield made


@pytest.fixture(scope="session")
def kept_host(host_pool: pool.HostPool) -> Host:
    """One host for the whole session, off at first; in whatever state the test before left it."""
    return host_pool.make_host()


@pytest.fixture
def bare_host(kept_host: Host) -> Host:
    """That host, booted anew from the bare base."""
    kept_host.reset()
    return kept_host
