"""Where a process may die, and what it works with meanwhile: a clock that runs fast and a provider that waits little.

Which processes there are and what they do stands in `provisioning_world.py`.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.fleets import NOW
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess

# The latency is longer than the time-out: the client gives up, and the simulator acts all the same.
TIMEOUT_SECONDS = 0.15
LATENCY_SECONDS = 0.25


class ProcessKilled(BaseException):
    """What happens to a process that is killed, as far as its own code can tell."""


@dataclass
class FakeClock:
    """Minutes pass in milliseconds; the real wait lets the simulator's instances boot."""

    at: datetime = NOW

    def now(self) -> datetime:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        time.sleep(0.01)


@dataclass
class Points:
    """The places where something may happen to a process: before or after an HTTP call or a commit."""

    _where: str = ""
    _left: int = 0
    _happening: Callable[[], None] | None = None

    def arm(self, where: str, nth: int, happening: Callable[[], None]) -> None:
        self._where, self._left, self._happening = where, nth, happening

    def disarm(self) -> None:
        self._happening = None

    def reach(self, where: str) -> None:
        if self._happening is None or where != self._where:
            return
        self._left -= 1
        if self._left == 0:
            happening, self._happening = self._happening, None
            happening()

    def around(self, name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*args: Any, **options: Any) -> Any:
            self.reach(f"before {name}")
            result = act(*args, **options)
            self.reach(f"after {name}")
            return result

        return acting


def connect_provider(simulator: SimulatorProcess, points: Points) -> RestProvider:
    """A provider that waits little, with a point at either side of each HTTP call, its repeats included."""
    provider = RestProvider(
        url=simulator.url,
        key=KEY,
        secret=SECRET,
        requests_per_second=1000,
        timeout_seconds=TIMEOUT_SECONDS,
        attempts=2,
        first_wait_seconds=0.002,
        longest_wait_seconds=0.01,
    )
    # Between a creation and the look for it lies the most dangerous moment of all, inside one call of the port.
    transport: Any = provider._transport
    transport.call = points.around("call", transport.call)
    return provider
