"""Fixtures of the contract tests: one simulator a session, a provider that speaks to it, labels that nobody shares."""

from collections.abc import Callable, Iterator
from uuid import uuid4

import pytest

from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, running_simulator

Connect = Callable[..., RestProvider]


@pytest.fixture(scope="session")
def session_simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with running_simulator(tmp_path_factory.mktemp("hostwind")) as simulator:
        yield simulator
    # The adapter survives a 500, so that a broken simulator would go unnoticed.
    assert simulator.log == ""


@pytest.fixture
def simulator(session_simulator: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """The session's simulator, with no fault in force before and after."""
    session_simulator.clear_faults()
    yield session_simulator
    session_simulator.clear_faults()


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Make providers that wait little between repeats, and close them afterwards."""
    made: list[RestProvider] = []

    def make(url: str, **options: object) -> RestProvider:
        defaults: dict[str, object] = {
            "key": KEY,
            "secret": SECRET,
            "requests_per_second": 500,
            "timeout_seconds": 20,
            "first_wait_seconds": 0.01,
        }
        made.append(RestProvider(url=url, **{**defaults, **options}))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for provider in made:
        provider.close()


@pytest.fixture
def provider(simulator: SimulatorProcess, connect: Connect) -> RestProvider:
    return connect(simulator.url)


@pytest.fixture
def label() -> str:
    return f"test-{uuid4().hex[:12]}"
