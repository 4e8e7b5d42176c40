"""Following a real file over everything that rotations do to it."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from pathlib import Path

import pytest

from penguin_infra.agent.log_lines import LONGEST_LINE
from penguin_infra.agent.mail_log import LogFollower, Position


class Log:
    """A log that is written, and a follower whose position is kept as the spool keeps it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []
        self.read: list[bytes] = []
        self.overlong = 0
        self.follower = LogFollower(path, None)
        self._numbers = count()

    def write(self, lines: int = 1, path: Path | None = None) -> None:
        with (path or self.path).open("ab") as file:
            for _ in range(lines):
                content = f"line {next(self._numbers):06d} of the log".encode()
                self.written.append(content)
                file.write(content + b"\n")

    def follow(self, limit: int = 64) -> None:
        for _ in range(10_000):
            found = self.follower.read(limit)
            self.read += found.lines
            self.overlong += found.overlong
            if found.is_end:
                return
        raise AssertionError("it reads on for ever")

    def restart(self) -> None:
        kept = self.follower.position
        self.follower.close()
        self.follower = LogFollower(self.path, Position(**json.loads(json.dumps(asdict(kept)))) if kept else None)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path / "mail.log")


def rename_and_create(log: Log) -> None:
    for number in (3, 2, 1):
        older = log.path.with_name(f"mail.log.{number}")
        if older.exists():
            older.rename(log.path.with_name(f"mail.log.{number + 1}"))
    log.path.rename(log.path.with_name("mail.log.1"))
    log.path.touch()


def copy_and_truncate(log: Log) -> None:
    shutil.copy(log.path, log.path.with_name("mail.log.1"))
    os.truncate(log.path, 0)


ROTATIONS = [rename_and_create, copy_and_truncate]


def test_whole_lines_are_given_out_once_they_end(log: Log) -> None:
    log.path.write_bytes(b"begun ")
    log.follow()
    assert log.read == []
    with log.path.open("ab") as file:
        file.write(b"and ended\nnext")
    log.follow()
    assert log.read == [b"begun and ended"]
    assert log.follower.position is not None
    assert log.follower.position.offset == len(b"begun and ended\n")


def test_a_log_that_does_not_exist_yet_is_waited_for(log: Log) -> None:
    log.follow()
    log.write(3)
    log.follow()
    assert log.read == log.written


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("rotate", ROTATIONS)
def test_a_rotation_loses_and_repeats_nothing(log: Log, rotate: Callable[[Log], None], *, restarts: bool) -> None:
    for _ in range(3):
        log.write(5)
        log.follow()
        log.write(5)
        rotate(log)
        if restarts:
            log.restart()
        log.write(2)
        log.follow()
    assert log.read == log.written


def test_a_truncated_log_that_has_grown_beyond_the_offset_is_noticed(log: Log) -> None:
    log.write(5)
    log.follow()
    copy_and_truncate(log)
    log.write(50)
    log.follow()
    assert log.read == log.written


def test_a_log_emptied_without_a_copy_goes_on_from_its_start(log: Log) -> None:
    log.write(5)
    log.follow()
    os.truncate(log.path, 0)
    log.follow()
    log.write(2)
    log.follow()
    assert log.read == log.written


def test_what_comes_late_into_the_renamed_log_is_read_first(log: Log) -> None:
    log.write(5)
    log.follow()
    rename_and_create(log)
    log.follow()
    log.write(2, path=log.path.with_name("mail.log.1"))
    log.follow()
    log.write(2)
    log.follow()
    assert log.read == log.written


def test_several_rotations_while_nobody_followed_are_read_in_order(log: Log) -> None:
    log.write(5)
    log.follow(limit=40)
    for number in range(3):
        log.write(5)
        os.utime(log.path, (1000 + number, 1000 + number))
        rename_and_create(log)
    log.restart()
    log.write(1)
    log.follow()
    assert log.read == log.written


def test_what_was_rotated_after_the_last_reading_is_read_even_if_the_file_read_last_is_gone(log: Log) -> None:
    log.write(5)
    log.follow()
    log.path.rename(log.path.with_name("mail.log.1"))
    log.write(3)
    os.utime(log.path, ns=(0, log.path.with_name("mail.log.1").stat().st_mtime_ns + 1))
    log.path.with_name("mail.log.1").unlink()
    log.path.rename(log.path.with_name("mail.log.1"))
    log.write(2)
    log.restart()
    log.follow()
    assert log.read == log.written


def test_a_new_file_with_the_same_inode_is_another_log(log: Log) -> None:
    log.write(5)
    log.follow()
    position = log.follower.position
    assert position is not None
    log.follower.close()
    log.path.write_bytes(b"")
    log.write(9)
    log.follower = LogFollower(log.path, position)
    log.follow()
    assert log.read == log.written


def test_a_line_of_a_megabyte_is_counted_and_held_nowhere(log: Log) -> None:
    log.write(1)
    with log.path.open("ab") as file:
        file.write(b"x" * 1024 * 1024 + b"\n")
    log.write(1)
    log.follow(limit=LONGEST_LINE)
    assert log.read == log.written
    assert log.overlong == 1
    log.restart()
    log.write(1)
    log.follow()
    assert log.read == log.written


def test_a_restart_within_an_overlong_line_counts_it_once(log: Log) -> None:
    log.write(1)
    with log.path.open("ab") as file:
        file.write(b"x" * 100_000)
    log.follow(limit=LONGEST_LINE)
    log.restart()
    with log.path.open("ab") as file:
        file.write(b"x\n")
    log.write(1)
    log.follow(limit=LONGEST_LINE)
    assert log.overlong == 1
    assert log.read == log.written


def test_a_compressed_or_foreign_file_beside_the_log_is_left_alone(log: Log) -> None:
    log.write(5)
    log.follow()
    log.path.with_name("mail.log.2.gz").write_bytes(b"\x1f\x8b")
    log.path.with_name("mail.log.old").write_bytes(b"foreign\n")
    log.path.with_name("mail.logger").write_bytes(b"foreign\n")
    rename_and_create(log)
    log.write(1)
    log.follow()
    assert log.read == log.written


def test_after_a_damaged_spool_only_what_comes_now_is_read(log: Log) -> None:
    log.write(5)
    log.follower = LogFollower(log.path, None, skip_present=True)
    log.follow()
    log.write(1)
    log.follow()
    assert log.read == log.written[-1:]


def test_a_folder_in_the_logs_place_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "mail.log").mkdir()
    assert LogFollower(tmp_path / "mail.log", None).read(10).lines == []
