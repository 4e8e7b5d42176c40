"""The analysts' notebook: run from its first cell to its last as an analyst runs it, and stored without any output."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from sqlalchemy import Engine, text

from penguin_infra.operations.admit_analysts import admit_analyst
from penguin_infra_tests.analysts_fleet import add_analysts_fleet
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.database_roles import name_in

NOTEBOOK = Path(__file__).parents[2] / "docs" / "notebooks" / "fleet_costs_and_reputation.ipynb"
_PLOTLY = "application/vnd.plotly.v1+json"
_CELL_SECONDS = 120


@pytest.fixture
def engine(databases: Databases) -> Iterator[Engine]:
    """On the newest server: what the notebook asks, the older one is asked by the guide's tests."""
    yield from fresh_engine(databases)


@pytest.fixture
def analyst_url(engine: Engine) -> Iterator[str]:
    """An analyst's login to the test's database, as the command prints it."""
    name = name_in(engine)
    with engine.begin() as connection:
        password = admit_analyst(connection, name)
    url = engine.url.set(drivername="postgresql", username=name, password=password)
    yield url.render_as_string(hide_password=False)
    with engine.begin() as connection:
        connection.execute(text(f'DROP ROLE IF EXISTS "{name}"'))


def stored() -> Any:
    return nbformat.read(NOTEBOOK, as_version=4)  # type: ignore[no-untyped-call]


def run(folder: Path, **environment: str) -> Any:
    """The notebook after a run in a kernel of this environment, whose files stay in the test's folder."""
    surroundings = {name: value for name, value in os.environ.items() if not name.startswith("PENGUIN_")}
    homes = {name: str(folder) for name in ("HOME", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "JUPYTER_CONFIG_DIR")}
    notebook = stored()
    client = NotebookClient(notebook, timeout=_CELL_SECONDS, startup_timeout=_CELL_SECONDS, kernel_name="python3")
    client.execute(env=surroundings | homes | environment)
    return notebook


def code_cells(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def count_points(values: Any) -> int:
    """Of a figure's axis; plotly packs numbers into base64."""
    return len(values["bdata"] if isinstance(values, dict) else values)


def test_every_cell_answers_and_five_of_them_draw_what_they_found(
    engine: Engine, analyst_url: str, tmp_path: Path
) -> None:
    add_analysts_fleet(engine, datetime.now(UTC))
    cells = code_cells(run(tmp_path, PENGUIN_ANALYST_URL=analyst_url))
    outputs = [output for cell in cells for output in cell.outputs]
    assert [output for output in outputs if output.output_type in {"error", "stream"}] == []
    figures = [output.data[_PLOTLY] for output in outputs if _PLOTLY in output.get("data", {})]
    assert len(figures) == 5
    for figure in figures:
        assert figure["layout"]["title"]["text"]
        assert all(count_points(trace["x"]) for trace in figure["data"])


def test_a_fleet_that_has_nothing_summed_up_yet_errs_in_no_cell(analyst_url: str, tmp_path: Path) -> None:
    cells = code_cells(run(tmp_path, PENGUIN_ANALYST_URL=analyst_url))
    assert [output for cell in cells for output in cell.outputs if output.output_type in {"error", "stream"}] == []


def test_without_a_login_the_notebook_says_where_to_get_one(tmp_path: Path) -> None:
    with pytest.raises(CellExecutionError) as stopped:
        run(tmp_path)
    assert "penguin-infra db analyst" in str(stopped.value)


def test_the_notebook_is_stored_without_what_a_run_printed() -> None:
    assert [cell.id for cell in code_cells(stored()) if cell.outputs or cell.execution_count is not None] == []


def test_the_notebooks_secret_comes_from_the_environment_alone() -> None:
    words = NOTEBOOK.read_text(encoding="utf-8")
    assert words.count("postgresql://") == words.count("postgresql://ada:...@") == 1
