"""One lab node: what it was ordered to be, its folder, its real agent in a thread of its own, and its real mail.

What it pretends is `node_simulation.py`'s; all of them together are `nodes.py`'s.
"""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from penguin_infra.agent.agent import Agent, AgentConfig
from penguin_infra.lab.host_orders import HostOrder, HostRefused, MailOrder, keep_order, kept_order
from penguin_infra.lab.node_keys import make_missing_keys, read_keys
from penguin_infra.lab.node_moods import Scenario
from penguin_infra.lab.node_postbox import Route
from penguin_infra.lab.node_simulation import SimulatedNode
from penguin_infra.lab.private_files import write_private
from penguin_infra.lab.signed_mail import compose_signed_mail

_ORDER_FILE = "host.json"
_HISTORY_FILE = "history-told"
_PLAN_FILE = "plan"
# Longer than an agent's step, shorter than its request to a gateway that is away: that one ends by itself.
_JOIN_SECONDS = 3.0


class LabNode:
    """A node that was installed. `is_present`: its machine is there; `is_in_service`: it sends for customers."""

    def __init__(self, folder: Path, order: HostOrder, *, scenario: Scenario, heartbeat_seconds: float) -> None:
        self.folder = folder
        self.order = order
        self.inside = SimulatedNode(folder, seed=int(order.node_id[:8], 16), scenario=scenario)
        self.is_present = True
        self.is_in_service = False
        self.installed_at_seconds = time.monotonic()
        self.owed_complaints = 0.0
        self._heartbeat_seconds = heartbeat_seconds
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether its agent runs."""
        return self._thread is not None and self._thread.is_alive()

    @property
    def token(self) -> str:
        """By which its agent speaks."""
        return token_file(self.folder).read_text().strip()

    @property
    def is_history_told(self) -> bool:
        """Whether the gateway knows what this node delivered before it was born."""
        return (self.folder / _HISTORY_FILE).exists()

    def mark_history_told(self) -> None:
        """The gateway knows."""
        (self.folder / _HISTORY_FILE).touch()

    def keep_plan(self, plan: str) -> str | None:
        """Note the machine's plan; returns the one that it had before, None where nobody knew. Outlives a restart."""
        file = self.folder / _PLAN_FILE
        former = file.read_text().strip() if file.exists() else None
        if former != plan:
            file.write_text(plan)
        return former

    def speak(self) -> None:
        """Let its agent run."""
        config = AgentConfig(
            node_id=self.order.node_id,
            gateway_url=self.order.gateway_url,
            token_file=token_file(self.folder),
            spool_folder=self.folder / "spool",
            mail_log=self.inside.mail.log,
            heartbeat_seconds=self._heartbeat_seconds,
        )
        agent = Agent(config, probes=self.inside, mta=self.inside)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=agent.run, args=(self._stop,), name=self.order.label, daemon=True)
        self._thread.start()

    def silence(self) -> None:
        """End its agent, or leave it to end by itself where it waits for an answer."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout=_JOIN_SECONDS)
            self._thread = None

    def restart(self) -> None:
        """Restart its mail server and its agent. What makes it silent is not cured by that."""
        self.inside.restart()
        self.silence()
        if not self.inside.mood.is_silent:
            self.speak()

    def take_mail(self, order: MailOrder, now: datetime) -> None:
        """Sign a mail and put it into the queue."""
        message = compose_signed_mail(order, hostname=self.order.hostname, keys=read_keys(self.folder), now=now)
        self.inside.postbox.put(sender=order.sender, recipient=order.recipient, message=message)

    def deliver_mail(self, sink: tuple[str, int]) -> None:
        """Try what is due of its queue of real mails.

        They go while the transport is held too: on a real node, verification mail has a transport of its own.
        """
        if self.inside.mood.is_mta_down:
            return
        route = Route(source=self.order.ip_address, hostname=self.order.hostname, server=sink)
        for attempt in self.inside.postbox.deliver(route):
            self.inside.mail.tell(attempt, f"sink[{sink[0]}]:{sink[1]}", now=datetime.now(UTC))


def token_file(folder: Path) -> Path:
    """Where a node's token is kept."""
    return folder / "token"


def write_installation(folder: Path, order: HostOrder, token: str | None) -> int:
    """Bring a node's folder to what was ordered; returns how many steps changed anything.

    Errors: `HostRefused` where there is no token, neither given nor there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = token_file(folder)
    if token is None and not file.exists():
        raise HostRefused(f"{order.label} has no agent's token, and the order has none", status=409, code="no_token")
    changed = make_missing_keys(folder)
    if token is not None and not (file.exists() and file.read_text().strip() == token):
        write_private(file, token)
        changed += 1
    if kept_order(folder / _ORDER_FILE) != order:
        # Last: it says that the rest is there.
        keep_order(folder / _ORDER_FILE, order)
        changed += 1
    return changed


def installed_order(folder: Path) -> HostOrder | None:
    """What the node in a folder was ordered to be, once it was installed."""
    return kept_order(folder / _ORDER_FILE)
