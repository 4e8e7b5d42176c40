"""Dagster's own commands find the same module by either way, and load it with warnings as errors."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml  # type: ignore[import-untyped]

import penguin_infra

ROOT = Path(penguin_infra.__file__).parent.parent
MODULE = "penguin_infra.definitions"


def bare_environment(home: Path) -> dict[str, str]:
    """An environment that names no database, no provider and no instance of Dagster."""
    foreign = ("PENGUIN_", "HOSTWIND_", "DAGSTER_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    return kept | {"PENGUIN_HOME": str(home), "DAGSTER_DISABLE_TELEMETRY": "1"}


def test_dg_and_the_workspace_name_the_same_module() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    (location,) = yaml.safe_load((ROOT / "workspace.yaml").read_text())["load_from"]
    assert project["code_location_target_module"] == location["python_module"]["module_name"] == MODULE


def test_validation_loads_the_workspace_without_any_database_or_provider(tmp_path: Path) -> None:
    dagster = (sys.executable, "-m", "dagster", "definitions", "validate", "-w", "workspace.yaml")
    ended = subprocess.run(
        dagster, cwd=ROOT, env=bare_environment(tmp_path), capture_output=True, text=True, timeout=120, check=False
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 0, said
    assert "Validation successful for code location penguin_infra" in said
    assert "All code locations passed validation" in said


def test_the_module_loads_with_warnings_as_errors_and_opens_nothing(tmp_path: Path) -> None:
    # Dagster's own beta warning about `owners` comes when the repository is made of it, not when it loads.
    load = f"from {MODULE} import defs; assert len(list(defs.sensors)) == 10"
    ended = subprocess.run(
        (sys.executable, "-W", "error", "-c", load),
        env=bare_environment(tmp_path / "home"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []
