"""Fixtures of the scenarios: a small world whose processes may die, one for each module."""

from collections.abc import Iterator
from typing import Any

import pytest

from penguin_infra.store.database import make_engine
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.scenarios.deaths import Points, connect_provider
from penguin_infra_tests.scenarios.provisioning_world import World
from penguin_infra_tests.simulator_process import running_simulator


@pytest.fixture(scope="module")
def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    points = Points()
    url = databases.create()
    engine, outside = make_engine(url, pool_size=10), make_engine(url)
    dialect: Any = engine.dialect
    dialect.do_commit = points.around("commit", dialect.do_commit)
    with running_simulator(tmp_path_factory.mktemp("hostwind"), boot_seconds=0.03) as simulator:
        provider = connect_provider(simulator, points)
        yield World(engine, outside, simulator, provider, points)
        provider.close()
    engine.dispose()
    outside.dispose()
    databases.drop(url)
