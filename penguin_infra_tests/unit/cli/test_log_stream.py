"""Following log files: only news, whole lines, and none lost when a file is rotated."""

import io
from pathlib import Path

from rich.console import Console

from penguin_infra.cli.log_stream import LogFollower, LogStream


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_a_rotated_file_is_read_to_its_end_before_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "daemon.log"
    append(path, "before anyone looked\n")
    follower = LogFollower(path)
    append(path, "one\ntw")
    first = list(follower.read_lines())
    append(path, "o\n")
    path.rename(tmp_path / "daemon.log.1")
    append(path, "three\n")

    assert first == ["one"]
    assert list(follower.read_lines()) == ["two", "three"]
    assert list(follower.read_lines()) == []
    follower.close()


def test_a_file_that_comes_later_is_followed_from_its_start(tmp_path: Path) -> None:
    follower = LogFollower(tmp_path / "late.log")
    before = list(follower.read_lines())
    append(tmp_path / "late.log", "hello\n")

    assert before == []
    assert list(follower.read_lines()) == ["hello"]
    follower.close()


def test_every_line_names_its_program_and_is_printed_as_it_is(tmp_path: Path) -> None:
    printed = io.StringIO()
    files = {"daemon": tmp_path / "daemon.log", "postgres": tmp_path / "postgres.log"}
    stream = LogStream(files, Console(file=printed, width=40))
    append(files["daemon"], "[bold]not markup[/bold] " + "x" * 60 + "\n")
    append(files["postgres"], "ready\n")
    stream.print_news()
    stream.close()

    assert printed.getvalue() == "  daemon │ [bold]not markup[/bold] " + "x" * 60 + "\npostgres │ ready\n"
