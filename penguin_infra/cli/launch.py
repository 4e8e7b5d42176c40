"""The order in which a fleet comes up and goes down on this machine; what the commands print stands in `fleet.py`."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fcntl import LOCK_EX, flock

from rich.console import Console

from penguin_infra.cli.fleet_env import (
    FleetPlan,
    build_fleet_env,
    build_process_env,
    plan_fleet,
    read_fleet_env,
    write_fleet_env,
    write_lab_policy,
)
from penguin_infra.cli.orphaned_runs import cancel_orphaned_runs
from penguin_infra.cli.ports import require_free_ports
from penguin_infra.cli.programs import (
    DEFINITIONS_MODULE,
    Program,
    dagster_home,
    list_ports,
    list_programs,
    write_dagster_files,
)
from penguin_infra.cli.readiness import StopWished, await_condition, does_ui_answer, is_port_open
from penguin_infra.cli.stop_signals import StopSignals
from penguin_infra.cli.supervision import Supervision
from penguin_infra.settings import Settings, read_settings
from penguin_infra.store.embedded import PostgresServer

PrepareDatabase = Callable[[Settings], object]


class Fleet:
    """This home's fleet: PostgreSQL and the programs under supervisord."""

    def __init__(self, user_settings: Settings, console: Console) -> None:
        self._user_settings = user_settings
        self._console = console
        self.supervision = Supervision(user_settings.home)
        self.postgres = PostgresServer(user_settings.home / "postgres")

    @contextmanager
    def changing(self) -> Iterator[None]:
        """One command at a time brings the fleet up or down; the second waits for the first."""
        # Logs are nobody's business; only PostgreSQL's account passes through, to its own folder.
        self._user_settings.home.mkdir(parents=True, exist_ok=True, mode=0o711)
        directory = self.supervision.directory
        directory.mkdir(exist_ok=True, mode=0o700)
        with (directory / "lock").open("a") as lock:
            flock(lock, LOCK_EX)
            yield

    def start(
        self, prepare_database: PrepareDatabase, stop: StopSignals, definitions_module: str = DEFINITIONS_MODULE
    ) -> None:
        """Bring everything up until the UI answers; after an error or a wish to stop nothing is left running."""
        try:
            self._start(prepare_database, stop, definitions_module)
        except BaseException:
            self.stop()
            raise

    def stop(self) -> int:
        """Bring everything down; returns how many processes had outlived a killed supervisord."""
        leftovers = self.supervision.stop()
        self.postgres.stop()
        return leftovers

    def _start(self, prepare_database: PrepareDatabase, stop: StopSignals, definitions_module: str) -> None:
        known = self._user_settings
        if leftovers := self.supervision.end_leftovers():
            self._console.print(f"Ended {leftovers} processes that an earlier fleet had left.")
        earlier = read_fleet_env(known.home)
        plan = plan_fleet(known, earlier)
        self._console.print(plan.sentence)
        require_free_ports(list_ports(known, is_lab=plan.is_lab), also_udp=("PENGUIN_LAB_DNS_PORT",))

        embedded_urls = self._start_postgres(plan) if plan.is_embedded else None
        fleet_env = build_fleet_env(plan, known, earlier, embedded_urls)
        write_fleet_env(known.home, fleet_env)
        if plan.is_lab:
            write_lab_policy(known.home)
        # From here on this process is told the same as the programs it starts.
        os.environ.update(build_process_env(plan, fleet_env))
        os.environ.update(
            PENGUIN_HOME=str(known.home), DAGSTER_HOME=str(dagster_home(known.home)), PYTHONUNBUFFERED="1"
        )
        with self._console.status("preparing the database"):
            prepare_database(read_settings())
        write_dagster_files(known)
        _heed(stop)

        programs = list_programs(
            known, is_lab=plan.is_lab, is_embedded=plan.is_embedded, definitions_module=definitions_module
        )
        facts = {
            "world": "lab" if plan.is_lab else "Hostwind",
            "database": "embedded PostgreSQL" if plan.is_embedded else "PENGUIN_DATABASE_URL",
            "ui": f"http://127.0.0.1:{known.ui_port}",
        }
        self._start_programs(programs, facts, stop)

    def _start_programs(self, programs: Sequence[Program], facts: dict[str, str], stop: StopSignals) -> None:
        known = self._user_settings
        started_at = time.time()
        self.supervision.start(programs, known.supervisor_port, facts)
        for program in programs:
            if not program.waits_for_code_server:
                self.supervision.start_program(program.name)
        self._await("the code server", lambda: is_port_open(known.code_server_port), stop)
        for program in programs:
            if program.waits_for_code_server:
                self.supervision.start_program(program.name)
        self._await("the UI", lambda: does_ui_answer(known.ui_port), stop)
        if orphans := cancel_orphaned_runs(known.ui_port, started_at):
            self._console.print(f"Marked {orphans} runs as cancelled: their processes died with an earlier fleet.")
        self._await("every program", lambda: all(state.is_running for state in self.supervision.states()), stop)

    def _start_postgres(self, plan: FleetPlan) -> tuple[str, str]:
        with self._console.status("starting PostgreSQL"):
            self.postgres.start()
        return self.postgres.url(plan.database_name), self.postgres.url(plan.dagster_database_name)

    def _await(self, name: str, condition: Callable[[], bool], stop: StopSignals) -> None:
        await_condition(name, condition, self.supervision, stop, self._console)


def _heed(stop: StopSignals) -> None:
    if stop.is_stop_wished:
        raise StopWished
