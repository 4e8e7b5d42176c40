"""A fleet of one real host: everything that a node is made with, real, and handed out by a simulated provider.

The provider double is a process of its own that gives out the host's address and publishes its reverse name at the
same name server. Runs are plain calls here (`run`) or processes that can be killed (`start_run`).
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from pydantic import HttpUrl, SecretStr
from sqlalchemy import Engine, text

from penguin_infra.dns_records.publisher import DnsError
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.node import Node
from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.installer.installer import InstallError
from penguin_infra.operations.node_steps import StepError
from penguin_infra.operations.node_work import claim_node_work
from penguin_infra.operations.provision_node import STEPS
from penguin_infra.operations.recover_actions import recover_actions
from penguin_infra.settings import Settings
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes, published_names, steps, verifications
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring
from penguin_infra_tests import job_runs
from penguin_infra_tests.fleets import plan
from penguin_infra_tests.gateway.processes import GatewayProcess
from penguin_infra_tests.hosts.dns_peers import REVERSE_ZONE, DnsPeer, KnotServer
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.ssh_access import key_pair
from penguin_infra_tests.hosts.tls_front import tls_front
from penguin_infra_tests.name_servers import FORWARD_ZONE
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, running_simulator
from penguin_infra_tests.sink.sink_process import MAILBOX, SinkProcess

EXPECTED = (StepError, ProviderError, DnsError, InstallError, nodes.NodeError)

_POLICY = """\
[retry]
max_attempts = {max_attempts}
rest_seconds = [0]
[provisioning]
screen_timeout_minutes = 0.02
dns_timeout_minutes = 1
install_timeout_minutes = {install_minutes}
mail_timeout_minutes = 0.5
heartbeat_timeout_minutes = 1.5
poll_seconds = 0.5
[blacklists]
zones = ["zen.spamhaus.org"]
"""

_JOBS = {
    ActionKind.PROVISION: job_runs.provision,
    ActionKind.RELEASE: job_runs.release,
    ActionKind.REINSTALL: job_runs.reinstall,
}


@dataclass
class RealFleet:
    """The parts of one fleet around one host; `environment` is what a process of it is told."""

    engine: Engine
    host: Host
    dns: DnsPeer
    simulator: SimulatorProcess
    sink: SinkProcess
    environment: dict[str, str] = field(repr=False)
    wiring: Wiring
    said: list[str] = field(default_factory=list)

    def request(self, label: str) -> UUID:
        with self.engine.begin() as connection:
            return nodes.insert_request(
                connection,
                label=label,
                region="dallas",
                plan="ssd-1",
                requested_by="person:test",
                now=self.wiring.clock.now(),
            )

    def run(self, kind: ActionKind, node_id: UUID) -> None:
        """One whole run of that job, here; what it raises is the caller's."""
        work = claim_node_work(
            engine=self.engine,
            provider=self.wiring.provider,
            fleet_name=self.wiring.settings.fleet_name,
            limits=self.wiring.policy.provisioning,
            clock=self.wiring.clock,
            say=self.said.append,
            action_id=self.open_action(kind, node_id),
            run_id=str(uuid4()),
        )
        try:
            _JOBS[kind](work, self.wiring.provision_parts)
        except Exception as error:
            error.add_note(self._look_inside())
            raise
        finally:
            work.close()

    def _look_inside(self) -> str:
        """What the host has to say for itself, where it still can."""
        with suppress(RuntimeError):
            return self.host.run_inside("postqueue -j; tail -n 40 /var/log/mail.log", check=False, timeout=20)
        return "the host says nothing"

    def run_until_over(self, kind: ActionKind, node_id: UUID) -> AnyRow:
        """As many runs as the ledger asks for; returns the action."""
        while True:
            with suppress(*EXPECTED):
                self.run(kind, node_id)
            action = self.action(kind, node_id)
            if action.status != "planned":
                return action

    def start_run(self, kind: ActionKind, node_id: UUID) -> subprocess.Popen[bytes]:
        """One run of Dagster's own job in a process of its own, to be killed."""
        command = [
            sys.executable,
            "-m",
            "penguin_infra_tests.hosts.one_run",
            kind,
            str(self.open_action(kind, node_id)),
        ]
        with (self.wiring.settings.home / "runs.log").open("ab") as log:
            return subprocess.Popen(
                command, env=os.environ | self.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def take_back(self, kind: ActionKind) -> None:
        """What the next tick does about runs that died."""
        recover_actions(
            self.engine,
            kind,
            find_ended_runs=lambda _keys: {},
            limits=self.wiring.policy.retry,
            now=self.wiring.clock.now(),
        )

    def open_action(self, kind: ActionKind, node_id: UUID) -> UUID:
        """The node's planned action of that kind, or a new one."""
        with self.engine.connect() as connection:
            rows = ledger.list_actions(connection, node_id=node_id)
        found = [row.id for row in rows if row.kind == kind and row.status == "planned"]
        return found[0] if found else plan(self.engine, [node_id], kind, at=self.wiring.clock.now())[0]

    def action(self, kind: ActionKind, node_id: UUID) -> AnyRow:
        with self.engine.connect() as connection:
            return next(row for row in ledger.list_actions(connection, node_id=node_id) if row.kind == kind)

    def node(self, node_id: UUID) -> Node:
        with self.engine.connect() as connection:
            return nodes.get_node(connection, node_id)

    def steps(self, node_id: UUID) -> dict[str, AnyRow]:
        with self.engine.connect() as connection:
            return {row.step: row for row in steps.list_steps(connection, node_id, STEPS)}

    def findings(self, node_id: UUID) -> dict[str, AnyRow]:
        with self.engine.connect() as connection:
            return {row.check_name: row for row in verifications.list_findings(connection, node_id)}

    def unaccounted(self) -> list[str]:
        """Instances and records that no living node holds: there must be none, whatever happened.

        The provider takes a reverse name away a moment after its instance: it is waited for.
        """
        deadline = time.monotonic() + 20
        while (found := self._unaccounted()) and time.monotonic() < deadline:
            time.sleep(0.2)
        return found

    def _unaccounted(self) -> list[str]:
        with self.engine.connect() as connection:
            living = [node for node in nodes.list_nodes(connection) if node.status != "decommissioned"]
            known = {tuple(one) for node in living for one in published_names.live_records(connection, node.node_id)}
        held = {node.provider_id for node in living}
        stray = [f"instance {one['id']}" for one in self.simulator.instances() if one["id"] not in held]
        for zone in (FORWARD_ZONE, REVERSE_ZONE):
            stray += [f"record {record}" for record in self.dns.zone_records(zone) if tuple(record) not in known]
        return stray

    def await_heartbeat(self, node_id: UUID, condition: str, seconds: float = 90) -> Any:
        """Wait until the node's newest heartbeat is as the SQL condition says."""
        query = text(f"SELECT * FROM fleet.node_pulses WHERE node_id = :node_id AND {condition}")
        deadline = time.monotonic() + seconds
        while True:
            with self.engine.connect() as connection:
                if (row := connection.execute(query, {"node_id": node_id}).one_or_none()) is not None:
                    return row
            assert time.monotonic() < deadline, f"no heartbeat with {condition} within {seconds} s"
            time.sleep(0.2)


@contextmanager
def real_fleet(
    engine: Engine, host: Host, directory: Path, *, install_minutes: float = 10, max_attempts: int = 3
) -> Iterator[RealFleet]:
    """All parts around a booted host, for the length of a block."""
    with ExitStack() as parts:
        dns = KnotServer(
            directory / "dns", key_name="penguin-test", secret="cGVuZ3Vpbi10ZXN0LXBlbmd1aW4tdGVzdC1wZW5ndWlu"
        )
        parts.enter_context(dns)
        simulator = parts.enter_context(
            running_simulator(
                directory / "hostwind",
                boot_seconds=0.5,
                options=[
                    "--addresses", str(host.address),
                    "--reverse-dns", f"{dns.address}:{dns.port}",
                    "--reverse-zone", REVERSE_ZONE,
                    "--reverse-dns-delay", "0",
                ],
                secrets={
                    "LAB_REVERSE_DNS_KEY_NAME": dns.key.name,
                    "LAB_REVERSE_DNS_KEY_SECRET": dns.key.secret,
                },
            )
        )  # fmt: skip
        home = directory / "home"
        home.mkdir()
        gateway = GatewayProcess(engine, home)
        gateway.start()
        parts.callback(gateway.stop)
        front_port, authority = parts.enter_context(tls_front(home, address=host.gateway, inner_port=gateway.port))
        sink = parts.enter_context(SinkProcess(engine, home, host=str(host.gateway)))
        policy = home / "policy.toml"
        policy.write_text(_POLICY.format(install_minutes=install_minutes, max_attempts=max_attempts))
        settings = Settings(
            _env_file=None,
            home=home,
            database_url=SecretStr(engine.url.render_as_string(hide_password=False)),
            policy_file=policy,
            hostwind_api_url=HttpUrl(simulator.url),
            hostwind_api_key=SecretStr(KEY),
            hostwind_api_secret=SecretStr(SECRET),
            hostwind_requests_per_second=100,
            resolvers=(f"{dns.address}:{dns.port}",),
            dns_zone=FORWARD_ZONE,
            dns_server=f"{dns.address}:{dns.port}",
            dns_key_name=dns.key.name,
            dns_key_secret=SecretStr(dns.key.secret),
            ssh_key_file=key_pair()[0],
            gateway_url=HttpUrl(f"https://{host.gateway}:{front_port}"),
            gateway_ca_file=authority,
            sink_mailbox=MAILBOX,
            sink_route=f"{host.gateway}:{sink.port}",
        )
        wiring = Wiring(settings)
        parts.callback(wiring.engine.dispose)
        parts.callback(wiring.provider.close)  # type: ignore[attr-defined]
        yield RealFleet(engine, host, dns, simulator, sink, _as_environment(settings), wiring)


def _as_environment(settings: Settings) -> dict[str, str]:
    """The settings as a process of its own is told them."""
    told: dict[str, str] = {}
    for name in settings.model_fields_set:
        value = getattr(settings, name)
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        key = name.upper() if name.startswith("hostwind_") else f"PENGUIN_{name.upper()}"
        told[key] = ",".join(plain) if isinstance(plain, tuple) else str(plain)
    return told
