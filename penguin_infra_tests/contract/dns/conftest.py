"""One lab DNS server for this room's tests; each test uses addresses of its own."""

from collections.abc import Iterator

import pytest

from penguin_infra_tests.dns_process import DnsProcess, running_dns


@pytest.fixture(scope="session")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process
