"""The pipeline in this process: Dagster's definitions around a fresh database, a simulated Hostwind and real DNS."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dagster as dg
import pytest
from pydantic import HttpUrl, SecretStr
from sqlalchemy import Engine

from penguin_infra.defs.build import build_definitions
from penguin_infra.settings import Settings
from penguin_infra.wiring import SystemClock, Wiring
from penguin_infra_tests.dns_process import DnsProcess, running_dns
from penguin_infra_tests.pretend_node import PretendInstaller, clear_zone, pretend_parts
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, running_simulator

# Dagster builds every sensor anew with a parameter of its own that it calls beta; nothing of ours sets it.
BETA_OWNERS = "ignore:Parameter `owners` of initializer `SensorDefinition.__init__`:dagster.BetaWarning"

# What the rules wait for passes in a second here.
POLICY = """
[retry]
rest_seconds = [0]
[provisioning]
address_timeout_minutes = 0.02
dns_timeout_minutes = 0.5
mail_timeout_minutes = 0.01
heartbeat_timeout_minutes = 0.01
poll_seconds = 0.1
[health]
directive_timeout_seconds = 0.5
reboot_timeout_seconds = 30
poll_seconds = 0.1
[blacklists]
zones = ["zen.spamhaus.org", "b.barracudacentral.org"]
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.filterwarnings(BETA_OWNERS))
            item.add_marker(pytest.mark.xdist_group("pipeline"))


@pytest.fixture(scope="session")
def account(tmp_path_factory: pytest.TempPathFactory, lab_dns: DnsProcess) -> Iterator[SimulatorProcess]:
    options = ["--reverse-dns", f"127.0.0.1:{lab_dns.port}", "--reverse-dns-delay", "0"]
    with running_simulator(tmp_path_factory.mktemp("hostwind"), boot_seconds=0.2, options=options) as simulator:
        yield simulator


@pytest.fixture
def simulator(account: SimulatorProcess) -> Iterator[SimulatorProcess]:
    """An account with no instance and no fault."""
    account.clear_faults()
    for instance in account.instances():
        account.ask("DELETE", f"/instances/{instance['id']}").raise_for_status()
    yield account
    account.clear_faults()


@pytest.fixture(scope="session")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process


@pytest.fixture
def policy_file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


@pytest.fixture
def installer(engine: Engine) -> PretendInstaller:
    return PretendInstaller(engine, SystemClock().now)


@pytest.fixture
def fleet(
    engine: Engine,
    simulator: SimulatorProcess,
    policy_file: Path,
    lab_dns: DnsProcess,
    installer: PretendInstaller,
) -> Iterator[Wiring]:
    """All that a process of the fleet works with; whoever sweeps sets the resolvers too (`sweeping_fleet`).

    Hosts are pretended; the provider and DNS are not.
    """
    parts = pretend_parts(lab_dns, installer)
    # No test may meet a name that another left in the zone.
    clear_zone(lab_dns)
    with wired(make_settings(engine, simulator, policy_file, resolvers=())) as made:
        vars(made).update(provision_parts=parts, dns_publisher=parts.dns, installer=installer)
        yield made


@pytest.fixture
def sweeping_fleet(
    engine: Engine, simulator: SimulatorProcess, policy_file: Path, lab_dns: DnsProcess
) -> Iterator[Wiring]:
    with wired(make_settings(engine, simulator, policy_file, resolvers=(str(lab_dns.resolver),))) as made:
        yield made


@pytest.fixture
def definitions(fleet: Wiring) -> dg.Definitions:
    return build_definitions(fleet)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@contextmanager
def wired(settings: Settings) -> Iterator[Wiring]:
    """A wiring whose connections are closed at the end of the block."""
    made = Wiring(settings)
    yield made
    made.engine.dispose()
    provider = vars(made).get("provider")
    if provider is not None:
        provider.close()


def make_settings(
    engine: Engine, simulator: SimulatorProcess, policy_file: Path, *, resolvers: tuple[str, ...]
) -> Settings:
    return Settings(
        database_url=SecretStr(engine.url.render_as_string(hide_password=False)),
        policy_file=policy_file,
        hostwind_api_url=HttpUrl(simulator.url),
        hostwind_api_key=SecretStr(KEY),
        hostwind_api_secret=SecretStr(SECRET),
        hostwind_requests_per_second=500,
        resolvers=resolvers,
    )
