"""The commands as they are typed, against a database of the test's own and one simulated Hostwind for the room."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from typer.testing import CliRunner, Result

from penguin_infra.cli import output
from penguin_infra.cli.main import app
from penguin_infra.settings import Settings, settings
from penguin_infra.wiring import Wiring
from penguin_infra_tests.simulator_process import SimulatorProcess, running_simulator

Run = Callable[..., Result]
RunJson = Callable[..., Any]


@pytest.fixture(scope="session")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorProcess]:
    with running_simulator(tmp_path_factory.mktemp("hostwind"), boot_seconds=0) as process:
        yield process


@pytest.fixture
def wired(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close what the commands opened, as the end of their process would."""
    made: list[Wiring] = []

    class ClosedLater(Wiring):
        def __init__(self, settings: Settings, application_name: str) -> None:
            super().__init__(settings, application_name)
            made.append(self)

    monkeypatch.setattr(output, "Wiring", ClosedLater)
    yield
    for fleet in made:
        opened = vars(fleet)
        if "engine" in opened:
            opened["engine"].dispose()
        if "provider" in opened:
            opened["provider"].close()


@pytest.fixture
def set_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, wired: None) -> Iterator[Callable[..., None]]:
    """Change the environment in the middle of a test; the settings are read again."""
    for name in ("PENGUIN_DATABASE_URL", "PENGUIN_DAGSTER_DATABASE_URL", "PENGUIN_POLICY_FILE", "PENGUIN_LAB"):
        monkeypatch.delenv(name, raising=False)
    for name in ("PENGUIN_BLACKLIST_FILE", "PENGUIN_BLACKLIST_KEYS", "PENGUIN_BLACKLIST_KEYS_FILE"):
        monkeypatch.delenv(name, raising=False)
    for name in ("HOSTWIND_API_URL", "HOSTWIND_API_KEY", "HOSTWIND_API_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path / "home"))
    # Who asks, whatever account runs the tests.
    monkeypatch.setenv("LOGNAME", "ada")

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    settings.cache_clear()
    yield change
    settings.cache_clear()


@pytest.fixture
def run_bare(set_environment: Callable[..., None]) -> Run:
    """Run a command where nothing is set up."""
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


@pytest.fixture
def run(set_environment: Callable[..., None], engine: Engine, run_bare: Run) -> Run:
    """Run a command on this test's database."""
    set_environment(PENGUIN_DATABASE_URL=engine.url.render_as_string(hide_password=False))
    return run_bare


@pytest.fixture
def run_json(run: Run) -> RunJson:
    """Run a command with `--json`; what it printed, parsed."""

    def running(*arguments: str) -> Any:
        done = run(*arguments, "--json")
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    return running


def failure(done: Result) -> str:
    """What a command that failed said on stderr, one line, without a traceback, and nothing on stdout."""
    assert done.exit_code == 1, done.output
    assert isinstance(done.exception, SystemExit)
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("penguin-infra: ")
    return line
