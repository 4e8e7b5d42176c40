"""Private folders for the length of a run: mode 0700, gone afterwards, also those of runs that were killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PREFIX = "run-"
_LOCK = "lock"


@contextmanager
def run_folder(work_folder: Path) -> Iterator[Path]:
    """A folder of one's own below `work_folder`; what nobody alive holds is removed first."""
    work_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with (work_folder / _LOCK).open("w") as turn:
        # A new folder is held before anybody may take it for an abandoned one.
        fcntl.flock(turn, fcntl.LOCK_EX)
        _remove_abandoned(work_folder)
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=work_folder))
        held = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(held, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def write_private(file: Path, text: str) -> Path:
    """A file that nobody else can read at any moment."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w") as opened:
        opened.write(text)
    return file


def _remove_abandoned(work_folder: Path) -> None:
    for folder in work_folder.glob(f"{_PREFIX}*"):
        try:
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            shutil.rmtree(folder, ignore_errors=True)
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(lock)
