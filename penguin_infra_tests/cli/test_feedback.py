"""Reading a Maildir: each report once, each mail moved once it is safe, and a dry run that leaves all as it was."""

from pathlib import Path

import pytest
from sqlalchemy import Engine, func, select

from penguin_infra.store.telemetry_tables import complaints
from penguin_infra_tests.cli.conftest import Run, RunJson
from penguin_infra_tests.feedback import feedback_report
from penguin_infra_tests.fleets import add_node


@pytest.fixture
def maildir(tmp_path: Path) -> Path:
    for name in ("new", "cur", "tmp"):
        (tmp_path / "fbl" / name).mkdir(parents=True)
    return tmp_path / "fbl"


def put(maildir: Path, name: str, raw: bytes) -> None:
    (maildir / "new" / name).write_bytes(raw)


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def kept(engine: Engine) -> int:
    with engine.connect() as connection:
        return connection.scalar(select(func.count()).select_from(complaints)) or 0


def test_reports_are_kept_and_moved_and_other_mail_is_named(run_json: RunJson, engine: Engine, maildir: Path) -> None:
    node_id = add_node(engine)
    put(maildir, "1.mail", feedback_report())
    put(maildir, "2.mail", feedback_report())
    put(maildir, "3.mail", feedback_report(source_ip="192.0.2.1"))
    put(maildir, "4.mail", b"Subject: out of office\n\nback on Monday\n")
    rows = run_json("feedback", "read-maildir", str(maildir))
    assert [(row["mail"], row["outcome"], row["node_id"]) for row in rows] == [
        ("1.mail", "attributed", str(node_id)),
        ("2.mail", "known_already", str(node_id)),
        ("3.mail", "unknown_address", None),
        ("4.mail", "not_feedback", None),
    ]
    assert "multipart/report" in rows[3]["reason"]
    assert names(maildir / "new") == []
    assert names(maildir / "cur") == [f"{number}.mail:2,S" for number in range(1, 5)]
    assert kept(engine) == 2


def test_a_dry_run_says_the_same_and_leaves_all_as_it_was(run_json: RunJson, engine: Engine, maildir: Path) -> None:
    add_node(engine)
    put(maildir, "1.mail", feedback_report())
    (row,) = run_json("feedback", "read-maildir", str(maildir), "--dry-run")
    assert row["outcome"] == "attributed"
    assert names(maildir / "new") == ["1.mail"]
    assert kept(engine) == 0


def test_people_are_told_how_many_of_what(run: Run, engine: Engine, maildir: Path) -> None:
    put(maildir, "1.mail", feedback_report())
    done = run("feedback", "read-maildir", str(maildir))
    assert done.exit_code == 0
    assert "Read 1: 1 unknown_address" in done.stderr
    assert "No new mail" in run("feedback", "read-maildir", str(maildir)).stdout


def test_a_folder_that_is_no_maildir_is_refused(run: Run, tmp_path: Path) -> None:
    done = run("feedback", "read-maildir", str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert "is no Maildir" in done.stderr


def test_without_a_database_nothing_is_moved(run_bare: Run, maildir: Path) -> None:
    put(maildir, "1.mail", feedback_report())
    done = run_bare("feedback", "read-maildir", str(maildir))
    assert done.exit_code == 1
    assert "no database" in done.stderr
    assert names(maildir / "new") == ["1.mail"]
