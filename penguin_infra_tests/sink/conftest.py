"""A sink in a process of its own for each module of tests; each test uses correlation ids of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest
from sqlalchemy import Engine

from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.sink.sink_process import SinkProcess


@pytest.fixture(scope="module")
def shared_engine(databases: Databases) -> Iterator[Engine]:
    yield from fresh_engine(databases)


@pytest.fixture(scope="module")
def sink(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SinkProcess]:
    with SinkProcess(shared_engine, tmp_path_factory.mktemp("sink")) as started:
        yield started


@pytest.fixture
def correlation_id() -> str:
    return str(uuid4())
