"""Ctrl-C, SIGTERM and SIGHUP as a wish to stop that loops look at, never as an exception in the middle of something."""

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from rich.console import Console

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class StopSignals:
    """While entered, signals only set a flag; the second one tells the impatient that the end is under way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._wish = threading.Event()

    @property
    def is_stop_wished(self) -> bool:
        """Whether someone asked to stop."""
        return self._wish.is_set()

    def wait(self, seconds: float) -> bool:
        """Sleep, but wake on the wish to stop; returns whether it is there."""
        return self._wish.wait(seconds)

    def __enter__(self) -> Self:
        self._former = {number: signal.signal(number, self._on_signal) for number in _SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signature is Python's
        if self._wish.is_set():
            self._console.print("Stopping, please wait: a second signal changes nothing.")
        self._wish.set()
