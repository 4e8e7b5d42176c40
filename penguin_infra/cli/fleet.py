"""`penguin-infra up`, `down` and `status`: the fleet's programs on this machine, as a person sees them.

The order of things stands in `launch.py`, supervisord in `supervision.py`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from datetime import timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from penguin_infra.cli.launch import Fleet, PrepareDatabase
from penguin_infra.cli.log_stream import LogStream
from penguin_infra.cli.output import console
from penguin_infra.cli.ports import PortTaken
from penguin_infra.cli.programs import DEFINITIONS_MODULE, DagsterConfigMissing
from penguin_infra.cli.readiness import FleetNotReady, StopWished
from penguin_infra.cli.stop_signals import StopSignals
from penguin_infra.cli.supervision import ProgramState, SupervisionError
from penguin_infra.settings import SettingsError, read_settings
from penguin_infra.store.embedded import EmbeddedPostgresError

EXIT_NOT_RUNNING = 3

_EXPECTED_ERRORS: tuple[type[Exception], ...] = (
    DagsterConfigMissing,
    EmbeddedPostgresError,
    FleetNotReady,
    PortTaken,
    SettingsError,
    SupervisionError,
)


def register(
    app: typer.Typer,
    prepare_database: PrepareDatabase,
    *,
    expected_errors: tuple[type[Exception], ...] = (),
    definitions_module: str = DEFINITIONS_MODULE,
) -> None:
    """Add the commands. `expected_errors` are what `prepare_database` raises with a message meant for people."""
    expected: tuple[type[Exception], ...] = _EXPECTED_ERRORS + expected_errors

    @app.command()
    def up(
        detach: Annotated[bool, typer.Option("--detach", "-d", help="Return as soon as the UI answers.")] = False,
    ) -> None:
        """Run the whole fleet on this machine: PostgreSQL, Dagster and, without Hostwind credentials, the lab.

        Ctrl-C ends everything in order. When the fleet is up already, this shows it; Ctrl-C then ends only the view.

        Example: penguin-infra up --detach
        """
        with _told_in_one_line(console, expected), StopSignals(console) as stop:
            fleet = Fleet(read_settings(with_fleet_env=False), console)
            with fleet.changing():
                is_joined = fleet.supervision.is_running()
                if is_joined:
                    console.print("The fleet is up already: this terminal only looks on.")
                else:
                    fleet.start(prepare_database, stop, definitions_module)
            _print_states(console, fleet.supervision.states(), fleet.supervision.facts())
            if detach:
                console.print("It runs on by itself: `penguin-infra status` shows it, `penguin-infra down` ends it.")
            elif is_joined:
                console.print("Ctrl-C ends this view only; `penguin-infra down` ends the fleet.")
                _follow(fleet, stop, console)
            else:
                console.print("Ctrl-C ends everything.")
                _follow_to_the_end(fleet, stop, console)

    @app.command()
    def down() -> None:
        """End everything that `up` started, also when its supervisor was killed.

        Example: penguin-infra down
        """
        with _told_in_one_line(console, expected), StopSignals(console):
            fleet = Fleet(read_settings(with_fleet_env=False), console)
            was_running = fleet.supervision.is_running() or fleet.postgres.is_running()
            with fleet.changing(), console.status("stopping"):
                leftovers = fleet.stop()
            if leftovers:
                console.print(f"Ended {leftovers} processes that had outlived their supervisor.")
            console.print("Everything is stopped." if was_running or leftovers else "Nothing was running.")

    @app.command()
    def status(
        as_json: Annotated[bool, typer.Option("--json", help="Print a JSON document instead of a table.")] = False,
    ) -> None:
        """Show what runs where. Exit code 0 when all programs run, 3 otherwise.

        Example: penguin-infra status --json
        """
        with _told_in_one_line(console, expected):
            _show_status(Fleet(read_settings(with_fleet_env=False), console), console, as_json=as_json)


def _show_status(fleet: Fleet, console: Console, *, as_json: bool) -> None:
    states, facts = fleet.supervision.states(), fleet.supervision.facts()
    is_up = bool(states) and all(state.is_running for state in states)
    if as_json:
        typer.echo(
            json.dumps({**facts, "is_running": is_up, "programs": [asdict(state) for state in states]}, indent=2)
        )
    elif states:
        _print_states(console, states, facts)
    else:
        console.print("No fleet has run here yet: start it with `penguin-infra up`.")
    if not is_up:
        raise typer.Exit(EXIT_NOT_RUNNING)


def _follow_to_the_end(fleet: Fleet, stop: StopSignals, console: Console) -> None:
    try:
        _follow(fleet, stop, console)
    finally:
        console.print("Stopping, please wait.")
        with fleet.changing():
            fleet.stop()
        console.print("Everything is stopped.")


def _print_states(console: Console, states: Sequence[ProgramState], facts: dict[str, str]) -> None:
    title = f"World: {facts.get('world')}. Database: {facts.get('database')}. UI: {facts.get('ui')}"
    table = Table("program", "state", "pid", "port", "up for", title=title, title_justify="left")
    for state in states:
        uptime = "" if state.uptime_seconds is None else str(timedelta(seconds=state.uptime_seconds))
        style = "green" if state.is_running else "red"
        word = f"{state.state} {state.detail}".strip()
        table.add_row(state.name, f"[{style}]{word}[/]", str(state.pid or ""), str(state.port or ""), uptime)
    console.print(table)


def _follow(fleet: Fleet, stop: StopSignals, console: Console) -> None:
    files = {state.name: fleet.supervision.log_file(state.name) for state in fleet.supervision.states()}
    stream = LogStream(files, console)
    try:
        while not stop.wait(0.5):
            stream.print_news()
            if not fleet.supervision.is_running():
                console.print("The fleet was stopped from elsewhere.")
                return
    finally:
        stream.close()


@contextmanager
def _told_in_one_line(console: Console, expected: tuple[type[Exception], ...]) -> Iterator[None]:
    try:
        yield
    except StopWished:
        console.print("Stopped while starting; nothing is left running.")
    except expected as error:
        console.print(f"penguin-infra: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        raise typer.Exit(1) from None
