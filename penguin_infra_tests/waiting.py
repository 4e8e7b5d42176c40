"""Waiting for what another process does: as long as a busy machine may take, never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE_SECONDS = 60.0


def until(what: str, condition: Callable[[], T | None], seconds: float = PATIENCE_SECONDS) -> T:
    """Wait for the condition's first true answer and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain: {what}"
        time.sleep(0.05)
    return found
