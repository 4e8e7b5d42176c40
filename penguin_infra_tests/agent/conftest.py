"""A stub gateway, a folder with a token and a mail log, and agents that run in threads, stopped at the test's end."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from penguin_infra.agent.agent import Agent, AgentConfig, Clock, Ended
from penguin_infra.messages.telemetry import Mta, Probes
from penguin_infra_tests.agent.stub_gateway import StubGateway, StubServer


class PlainProbes:
    """A node that is always the same."""

    def __init__(self, boot_id: str = "boot-1") -> None:
        self._boot_id = boot_id

    def boot_id(self) -> str:
        return self._boot_id

    def read(self) -> Probes:
        return Probes(1.0, 2.0, 3.0, 4.0, 5.0, Mta("up", active=1))


@dataclass
class PlainMta:
    """An MTA in memory that writes down what it was told."""

    held: bool = False
    calls: list[str] = field(default_factory=list)
    fails: bool = False

    def state(self) -> str:
        return "held" if self.held else "released"

    def hold(self) -> bool:
        self.calls.append("hold")
        self.held = self.held or not self.fails
        return not self.fails

    def release(self) -> bool:
        self.calls.append("release")
        self.held = self.held and self.fails
        return not self.fails

    def restart(self) -> bool:
        self.calls.append("restart")
        return not self.fails


class ShiftedClock(Clock):
    """The real clock, moved by hand."""

    def __init__(self) -> None:
        self.ahead_seconds = 0.0

    def now(self) -> float:
        return super().now() + self.ahead_seconds


@dataclass
class Running:
    """An agent in its thread."""

    thread: threading.Thread
    stop_event: threading.Event
    ended: list[Ended] = field(default_factory=list)

    def stop(self) -> None:
        self.stop_event.set()
        self.thread.join(10)
        assert not self.thread.is_alive()


@pytest.fixture
def gateway() -> Iterator[StubGateway]:
    stub = StubGateway()
    server = StubServer(stub)
    yield stub
    server.close()


@pytest.fixture
def config(tmp_path: Path, gateway: StubGateway) -> AgentConfig:
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("secret-1\n")
    (tmp_path / "mail.log").touch()
    return AgentConfig(
        node_id="node-1",
        gateway_url=gateway.url,
        token_file=token,
        spool_folder=tmp_path / "spool",
        mail_log=tmp_path / "mail.log",
        heartbeat_seconds=0.1,
        batch_seconds=0.1,
        log_poll_seconds=0.02,
        request_timeout_seconds=2.0,
        heartbeat_backoff_cap_seconds=0.2,
        delivery_backoff_cap_seconds=0.1,
        replay_interval_seconds=0.02,
    )


StartAgent = Callable[..., Running]


@pytest.fixture
def start() -> Iterator[StartAgent]:
    """Start an agent; `start(config, mta=..., clock=...)`."""
    all_running: list[Running] = []

    def start_agent(config: AgentConfig, **sides: Any) -> Running:
        sides.setdefault("probes", PlainProbes())
        sides.setdefault("mta", PlainMta())
        agent = Agent(config, **sides)
        stop_event = threading.Event()
        ended: list[Ended] = []
        thread = threading.Thread(target=lambda: ended.append(agent.run(stop_event)))
        running = Running(thread, stop_event, ended)
        all_running.append(running)
        thread.start()
        return running

    yield start_agent
    for running in all_running:
        running.stop()
