"""A real fleet's processes for tests: code server and daemon as `penguin-infra up` starts them, and their runs.

With a lab, what a node is made with runs beside them: name server, gateway, sink, and the nodes with their installer.
All are found and ended by a mark in their environment, so that an orphaned run is never left behind.
"""

import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psutil
from sqlalchemy import Engine, text

from penguin_infra.cli.fleet_env import FleetPlan, build_fleet_env, dagster_url
from penguin_infra.cli.programs import DEFINITIONS_MODULE, dagster_home, list_programs, write_dagster_files
from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.operations.issue_credentials import adopt_api_key
from penguin_infra.operations.request_nodes import request_nodes
from penguin_infra.settings import Settings
from penguin_infra.store import nodes
from penguin_infra.wiring import SystemClock
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, free_port

MARK = "PENGUIN_TEST_FLEET"
CODE_SERVER, DAEMON = "code-server", "daemon"
LAB = ("lab-dns", "gateway", "sink", "lab-nodes")
# A busy machine may take its time; only a fleet that hangs takes this long.
PATIENCE_SECONDS = 240.0

_PORTS = ("code_server_port", "gateway_port", "lab_nodes_port", "sink_port", "lab_dns_port")
# Every port of this machine is open on a lab node's address.
_POLICY = "[provisioning]\npoll_seconds = 0.5\nscan_ports = false\n"


def until(what: str, condition: Callable[[], Any], seconds: float = PATIENCE_SECONDS) -> Any:
    """Wait for the condition's first true answer and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.1)
    return found


@dataclass
class FleetProcesses:
    """The processes of one home; `engine` is the test's own view of the fleet's database.

    `lab_dns_port`: where the lab's name server is to be, the one to which the simulator publishes reverse names
    (`reverse_dns_options`). Without it there is no lab beside the simulator, and no node can be made.
    """

    home: Path
    engine: Engine
    simulator: SimulatorProcess
    dagster_database_url: str
    lab_dns_port: int | None = None
    definitions_module: str = DEFINITIONS_MODULE
    mark: str = field(default_factory=lambda: uuid4().hex)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _settings: Settings = field(init=False)
    _told: dict[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.home.mkdir()
        ports: dict[str, Any] = {name: free_port() for name in _PORTS}
        ports["lab_dns_port"] = self.lab_dns_port or ports["lab_dns_port"]
        self._settings = Settings(_env_file=None, home=self.home, **ports)
        self._told = self._tell()
        (self.home / "policy.toml").write_text(_POLICY)
        write_dagster_files(self._settings)

    def forget_tuning(self) -> None:
        """Leave Dagster with its defaults and our storage."""
        path = dagster_home(self.home) / "dagster.yaml"
        path.write_text("storage:" + path.read_text().partition("\nstorage:")[2])

    def start(self, name: str) -> None:
        """Start the code server or the daemon, as supervisord does, and before them the lab where it is not up."""
        if self.lab_dns_port is not None:
            for each in LAB:
                if each not in self._processes:
                    self._start(each)
        self._start(name)

    def kill(self, name: str) -> None:
        """As `kill -9` does: what it had started lives on."""
        self._processes[name].kill()
        self._processes.pop(name).wait()

    def request(self, node_count: int = 1) -> list[UUID]:
        with self.engine.begin() as connection:
            asked = request_nodes(
                connection,
                node_count=node_count,
                region="dallas",
                plan="ssd-1",
                requested_by="person:test",
                now=SystemClock().now(),
            )
        return [node.node_id for node in asked]

    def publisher(self) -> DynamicUpdatePublisher:
        """Anybody with the key of the lab's zone."""
        return DynamicUpdatePublisher(
            zone=self._told["PENGUIN_DNS_ZONE"],
            server=self._told["PENGUIN_DNS_SERVER"],
            key_name=self._told["PENGUIN_DNS_KEY_NAME"],
            key_secret=self._told["PENGUIN_DNS_KEY_SECRET"],
            key_algorithm="hmac-sha256",
        )

    def node(self, node_id: UUID) -> Node:
        with self.engine.connect() as connection:
            return nodes.get_node(connection, node_id)

    def await_step(self, step: str, *node_ids: UUID) -> tuple[UUID, str]:
        """Wait until a living run works on this step of one of the nodes; returns the node's and the run's id."""
        query = text(
            "SELECT node_id, run_id FROM fleet.provisioning_steps WHERE node_id = ANY(:node_ids) AND step = :step "
            "AND status = 'running' AND fleet.run_lock_holder(run_id) IS NOT NULL LIMIT 1"
        )

        def look() -> Any:
            with self.engine.connect() as connection:
                return connection.execute(query, {"node_ids": list(node_ids), "step": step}).one_or_none()

        found = until(f"{step} of {node_ids}", look)
        return found.node_id, found.run_id

    def await_warming(self, *node_ids: UUID) -> None:
        try:
            until("all are warming", lambda: {self.node(each).status for each in node_ids} == {NodeStatus.WARMING})
        except AssertionError as error:
            error.add_note("\n".join(self.progress(*node_ids)))
            raise

    def progress(self, *node_ids: UUID) -> list[str]:
        """How far each node's steps are, a line a step that is not done."""
        query = text(
            "SELECT node.label, step.step, step.status, step.attempt, coalesce(step.error, step.progress) AS word "
            "FROM fleet.sending_nodes AS node LEFT JOIN fleet.provisioning_steps AS step "
            "ON step.node_id = node.id AND step.status <> 'succeeded' WHERE node.id = ANY(:node_ids)"
        )
        with self.engine.connect() as connection:
            return [" ".join(map(str, row)) for row in connection.execute(query, {"node_ids": list(node_ids)})]

    def kill_run(self, run_id: str) -> None:
        """Kill the process whose database session holds the run's lock."""
        query = text("SELECT client_port FROM pg_stat_activity WHERE pid = fleet.run_lock_holder(:run_id)")
        port = self._scalar(query, run_id=run_id)
        (process,) = [one for one in self.living() if port in _local_ports(one)]
        assert process.pid not in {one.pid for one in self._processes.values()}
        process.kill()
        until("the run is gone", lambda: _is_gone(process))

    def attempts(self, node_id: UUID) -> int:
        query = text("SELECT attempt FROM fleet.node_actions WHERE node_id = :node_id AND kind = 'provision'")
        return int(self._scalar(query, node_id=node_id))

    def instances_ever_made(self, node_id: UUID) -> int:
        """Deleted ones too: the bill forgets nothing."""
        lines: Any = self.simulator.bill()["instances"]
        return sum(line["label"].endswith(node_id.hex[:8]) for line in lines)

    def living(self) -> list[psutil.Process]:
        """This fleet's processes, whoever their parent is by now."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                is_dead = process.status() == psutil.STATUS_ZOMBIE
                if not is_dead and process.environ().get(MARK) == self.mark:
                    found.append(process)
        return found

    def end(self) -> None:
        """As a power cut does: code server, daemon, runs and what Dagster started for them, all by `kill -9`."""
        while left := self.living():
            for process in left:
                with suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(left, timeout=5)
        for started in self._processes.values():
            started.wait()
        self._processes.clear()

    def _scalar(self, query: Any, **parameters: object) -> Any:
        with self.engine.connect() as connection:
            return connection.scalar(query, parameters)

    def _start(self, name: str) -> None:
        programs = list_programs(
            self._settings, is_lab=True, is_embedded=False, definitions_module=self.definitions_module
        )
        (program,) = [one for one in programs if one.name == name]
        with (self.home / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                program.command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        if program.port is not None:
            until(f"{name} serves", lambda: self._is_open(name, program.port))

    def _is_open(self, name: str, port: int | None) -> bool:
        assert self._processes[name].poll() is None, (self.home / f"{name}.log").read_text()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def _tell(self) -> dict[str, str]:
        """What `up` tells a fleet's processes, with this test's own database and simulator."""
        url = self.engine.url.render_as_string(hide_password=False)
        plan = FleetPlan(is_lab=self.lab_dns_port is not None, user_database_url=url, user_dagster_url=None)
        told = build_fleet_env(plan, self._settings, {"HOSTWIND_API_KEY": KEY, "HOSTWIND_API_SECRET": SECRET}, None)
        if key := told.get("PENGUIN_LAB_API_KEY"):
            with self.engine.begin() as connection:
                adopt_api_key(connection, name="lab", key=key, scope="admin", now=SystemClock().now())
        return told

    def _environment(self) -> dict[str, str]:
        foreign = ("PENGUIN_", "HOSTWIND_", "DAGSTER_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
        ports = {f"PENGUIN_{name.upper()}": str(getattr(self._settings, name)) for name in _PORTS}
        return {
            **kept,
            # No blacklist is asked from here, unless a lab has its own.
            "PENGUIN_RESOLVERS": "127.0.0.1:9",
            **self._told,
            **ports,
            **self.simulator.environment,
            "PENGUIN_HOME": str(self.home),
            "DAGSTER_HOME": str(dagster_home(self.home)),
            "PENGUIN_DATABASE_URL": self.engine.url.render_as_string(hide_password=False),
            "PENGUIN_DAGSTER_DATABASE_URL": dagster_url(self.dagster_database_url),
            "PENGUIN_POLICY_FILE": str(self.home / "policy.toml"),
            # Nobody is swept here.
            "PENGUIN_SWEEP_CRON": "0 0 29 2 *",
            "HOSTWIND_REQUESTS_PER_SECOND": "50",
            MARK: self.mark,
        }


def reverse_dns_options(lab_dns_port: int) -> list[str]:
    """With which a simulator publishes reverse names in the lab, at once."""
    return ["--reverse-dns", f"127.0.0.1:{lab_dns_port}", "--reverse-dns-delay", "0"]


@contextmanager
def running_fleet(fleet: FleetProcesses) -> Iterator[FleetProcesses]:
    """Both processes for the length of a with statement; nothing is left after it."""
    try:
        fleet.start(CODE_SERVER)
        fleet.start(DAEMON)
        yield fleet
    finally:
        fleet.end()


def _is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _local_ports(process: psutil.Process) -> set[int]:
    """None of a process that ended since it was listed."""
    try:
        return {each.laddr.port for each in process.net_connections("tcp")}
    except psutil.NoSuchProcess:
        return set()
