"""The report as it is made by hand: where it was written, its figures for scripts, and what speaks against it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.report_page import read_page
from penguin_infra_tests.reported_fleet import add_reported_fleet


def test_todays_report_is_written_to_the_homes_folder_and_its_path_is_told(
    run: Run, engine: Engine, tmp_path: Path
) -> None:
    add_reported_fleet(engine, datetime.now(UTC))
    done = run("report")
    assert done.exit_code == 0, done.output
    path = Path(done.stdout.strip())
    assert path.parent == tmp_path / "home" / "reports"
    assert "In rotation 18" in read_page(path.read_text()).texts["glance"]


def test_a_past_day_goes_to_the_file_that_is_named(run_json: RunJson, tmp_path: Path) -> None:
    past = str(datetime.now(UTC).date() - timedelta(days=20))
    told = run_json("report", "--day", past, "--out", str(tmp_path / "one.html"))
    assert (told["day"], told["path"]) == (past, str(tmp_path / "one.html"))
    assert told["bytes"] == (tmp_path / "one.html").stat().st_size
    assert (told["figures"]["nodes"], told["figures"]["high_alerts"]) == (0, 0)
    assert not (tmp_path / "home" / "reports").exists()


def test_a_day_to_come_is_refused(run: Run) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    assert f"there is no report of {tomorrow}: it is to come" in failure(run("report", "--day", str(tomorrow)))


@pytest.mark.parametrize("day", ["yesterday", "2026-13-01", "01.11.2026"])
def test_what_is_no_day_is_told_with_the_way_to_write_one(run: Run, day: str) -> None:
    done = run("report", "--day", day)
    assert done.exit_code == 2
    assert "%Y-%m-%d" in done.stderr


def test_a_file_that_cannot_be_written_is_named(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "PENGUIN_REPORT_FOLDER" in failure(run("report", "--out", str(tmp_path / "file" / "one.html")))


def test_a_database_that_is_away_is_told_in_words(run: Run, engine: Engine, databases: Databases) -> None:
    databases.refuse(engine.url)
    try:
        assert "does not serve us" in failure(run("report"))
    finally:
        databases.accept(engine.url)
