"""The folder that outlives a checkout: bases, packages and the test's SSH key.

Where it is and how one process at a time makes something in it; what is made is the neighbours' affair.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_directory() -> Path:
    """`PENGUIN_TEST_CACHE`, else a folder of our own in the user's cache; made when it is missing."""
    chosen = os.environ.get("PENGUIN_TEST_CACHE")
    users = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    directory = Path(chosen) if chosen else users / "penguin-infra-tests"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory.resolve()


@contextmanager
def held_alone(lock_file: Path) -> Iterator[int]:
    """Hold a lock that others wait for, until this process and all that inherit its descriptor are gone."""
    with lock_file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock.fileno()
