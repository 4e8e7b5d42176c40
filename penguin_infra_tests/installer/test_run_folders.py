"""Private folders are private, and gone afterwards."""

import subprocess
import sys
from pathlib import Path

import pytest

from penguin_infra.installer.run_folders import run_folder, write_private


def test_a_folder_is_its_owners_alone_and_gone_afterwards(tmp_path: Path) -> None:
    with run_folder(tmp_path / "work") as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert write_private(folder / "token", "s3cret").stat().st_mode & 0o777 == 0o600
    assert not folder.exists()


def test_a_folder_goes_too_when_the_work_fails(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), run_folder(tmp_path) as folder:
        raise RuntimeError
    assert not folder.exists()


def test_two_runs_leave_each_other_alone(tmp_path: Path) -> None:
    with run_folder(tmp_path) as one, run_folder(tmp_path) as other:
        assert one != other
        assert one.exists()


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path: Path) -> None:
    die = (
        "import os, sys; from pathlib import Path; from penguin_infra.installer.run_folders import run_folder\n"
        "with run_folder(Path(sys.argv[1])) as folder: (folder / 'token').touch(); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", die, tmp_path], check=False, timeout=30)
    [left] = tmp_path.glob("run-*")
    assert (left / "token").exists()
    with run_folder(tmp_path):
        assert not left.exists()
