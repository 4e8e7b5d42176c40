"""Fixtures of the scenarios: a small world whose processes may die, one for each module."""

from collections.abc import Iterator
from typing import Any

import pytest

from penguin_infra.store.database import make_engine
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.dns_process import running_dns
from penguin_infra_tests.pretend_node import PretendInstaller, pretend_parts
from penguin_infra_tests.scenarios.deaths import FakeClock, Points, connect_provider
from penguin_infra_tests.scenarios.provisioning_world import World
from penguin_infra_tests.simulator_process import running_simulator


@pytest.fixture(scope="module")
def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    points = Points()
    url = databases.create()
    engine, outside = make_engine(url, pool_size=10), make_engine(url)
    dialect: Any = engine.dialect
    dialect.do_commit = points.around("commit", dialect.do_commit)
    with (
        running_dns(tmp_path_factory.mktemp("dns")) as lab_dns,
        running_simulator(
            tmp_path_factory.mktemp("hostwind"),
            boot_seconds=0.03,
            options=["--reverse-dns", f"127.0.0.1:{lab_dns.port}", "--reverse-dns-delay", "0"],
        ) as simulator,
    ):
        provider = connect_provider(simulator, points)
        clock = FakeClock()
        installer = PretendInstaller(outside, clock.now, around=points.reach)
        parts = pretend_parts(lab_dns, installer, around=points.reach)
        yield World(engine, outside, simulator, provider, parts, lab_dns, points, clock)
        provider.close()
    engine.dispose()
    outside.dispose()
    databases.drop(url)
