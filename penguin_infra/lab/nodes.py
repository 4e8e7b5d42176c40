"""The lab's nodes: one process that runs the real agent for each node that was installed, against the real gateway.

They are installed and looked into by `host_service.py`, and live for as long as their machine does at the simulated
provider and their record in the registry: both are asked over sockets, as the outside world would.
"""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from penguin_infra.lab.customers import Customers
from penguin_infra.lab.dns_zone import FORWARD_ZONE
from penguin_infra.lab.host_orders import HostOrder, HostRefused, MailOrder, UnknownLabNode
from penguin_infra.lab.lab_node import LabNode, installed_order, token_file, write_installation
from penguin_infra.lab.node_keys import NodeKeys, read_keys
from penguin_infra.lab.node_moods import Scenario
from penguin_infra.lab.node_surroundings import Machine, Registered, Surroundings
from penguin_infra.lab.scenario_file import ScenarioFile

logger = logging.getLogger(__name__)

_IN_SERVICE = frozenset({"warming", "active", "paused", "maintenance"})
LOOK_SECONDS = 3.0
_MAIL_SECONDS = 0.3


class LabNodes:
    """All of the lab's nodes. `run` and `run_mail` look after them, each in a thread, until told to stop."""

    def __init__(
        self,
        *,
        folder: Path,
        gateway_url: str,
        surroundings: Surroundings,
        sink: tuple[str, int],
        heartbeat_seconds: float,
        look_seconds: float,
        has_history: bool = True,
    ) -> None:
        """`has_history`: each tells what it delivered before it was born; in a lab with a past, others did."""
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._gateway_url = gateway_url
        self._surroundings = surroundings
        self._sink = sink
        self._heartbeat_seconds = heartbeat_seconds
        self._look_seconds = look_seconds
        self._has_history = has_history
        self._lock = threading.RLock()
        # Keys take their time to make: nobody but another installation waits for it.
        self._installing = threading.Lock()
        self._scenarios = ScenarioFile(folder / "scenarios.json")
        self._customers = Customers(folder / "demand.json")
        orders = [installed_order(each) for each in folder.iterdir() if each.is_dir()]
        self._nodes = {order.label: self._node(order) for order in orders if order is not None}

    def run(self, stop: threading.Event) -> None:
        """Look around every `look_seconds`, and let time pass for all every second."""
        looked = ticked = time.monotonic()
        looked -= self._look_seconds
        while not stop.wait(1):
            now = time.monotonic()
            is_look_due = now - looked >= self._look_seconds
            looked = now if is_look_due else looked
            if is_look_due:
                _despite_outages(self.look)
            self.pass_time(now - ticked)
            ticked = now
        with self._lock:
            for node in self._nodes.values():
                node.silence()

    def run_mail(self, stop: threading.Event) -> None:
        """Deliver the nodes' real mails, one after another."""
        while not stop.wait(_MAIL_SECONDS):
            with self._lock:
                present = [node for node in self._nodes.values() if node.is_present]
            for node in present:
                try:
                    node.deliver_mail(self._sink)
                except OSError as error:
                    logger.info("%s is gone while it sent mail: %s", node.order.label, error)

    # What the installer service asks.

    def install(self, order: HostOrder, token: str | None) -> tuple[NodeKeys, int]:
        """Bring a node to what was ordered, its agent included; returns its keys and how many steps changed anything.

        Errors: `HostRefused`.
        """
        folder = self._folder / order.label
        with self._installing:
            former = installed_order(folder)
            if former is not None and former.node_id != order.node_id:
                # Another node's machine, which is gone: this one has a disk of its own.
                self._forget(order.label)
            changed = write_installation(folder, order, token)
            with self._lock:
                node = self._nodes.get(order.label)
                if node is None:
                    node = self._nodes[order.label] = self._node(order)
                elif changed:
                    node.silence()
                    node.order = order
                node.is_present = True
                node.installed_at_seconds = time.monotonic()
                self._let_speak(node)
            return read_keys(folder), changed

    def restart(self, label: str) -> None:
        """Restart a node's services. Errors: `UnknownLabNode`."""
        with self._lock:
            self._present(label).restart()

    def send_mail(self, label: str, order: MailOrder) -> None:
        """Hand a mail to a node's own mail server. Errors: `UnknownLabNode`."""
        self._present(label).take_mail(order, datetime.now(UTC))

    def count_queued(self, label: str) -> int:
        """How many mails wait in a node's queue. Errors: `UnknownLabNode`."""
        return self._present(label).inside.queued

    # What the lab's commands ask.

    def describe(self) -> list[Mapping[str, Any]]:
        """The nodes as a person may look at them."""
        with self._lock:
            return [
                {
                    "label": label,
                    "ip_address": node.order.ip_address,
                    "scenario": node.inside.scenario,
                    "is_speaking": node.is_speaking,
                    "transport": node.inside.state(),
                    "queue": node.inside.queued,
                    "reboots": node.inside.reboots,
                }
                for label, node in sorted(self._nodes.items())
                if node.is_present
            ]

    def set_scenario(self, label: str, scenario: Scenario) -> None:
        """Let one node behave so. Errors: `UnknownLabNode`."""
        with self._lock:
            self._present(label).inside.play(scenario)
            self._keep_scenarios()

    def ask_for_more(self, percent: int) -> int:
        """Let all nodes in service be asked for so much more than usual; returns how many. Errors: `HostRefused`."""
        with self._lock:
            serving = self._serving()
            before = self._customers.percent
        if not serving:
            raise HostRefused("no lab node is in service yet: `penguin-infra nodes list` shows how far they are")
        for node in serving:
            self._surroundings.tell_demand(node.order.node_id, node.token, node.inside.seed, (before, percent))
        with self._lock:
            self._customers.ask(percent, len(serving))
        return len(serving)

    # What happens by itself.

    def look(self) -> None:
        """End what is gone, bring back what is there again, boot anew what was rebooted or resized."""
        began_seconds = time.monotonic()
        registered, machines = self._surroundings.registered_nodes(), self._surroundings.machines()
        with self._lock:
            self._adopt_former(registered)
            for node in list(self._nodes.values()):
                # What was installed since then may be missing in what was told.
                if node.installed_at_seconds < began_seconds:
                    self._settle(node, registered, machines)
            untold = [node for node in self._nodes.values() if node.is_in_service and not node.is_history_told]
        for node in untold:
            # A node that takes over a part of a raised demand had no customers of its own before.
            if self._has_history and not self._customers.is_raised:
                now = datetime.now(UTC)
                self._surroundings.tell_history(node.order.node_id, node.token, seed=node.inside.seed, now=now)
            node.mark_history_told()

    def pass_time(self, seconds: float) -> None:
        """Let every node send for that long, and its recipients complain. A node that serves nobody yet only speaks."""
        now = datetime.now(UTC)
        with self._lock:
            serving = self._serving()
            factor = self._customers.factor(len(serving))
            for node in self._nodes.values():
                if node in serving:
                    node.inside.pass_time(seconds, now, factor=factor)
                    _despite_outages(partial(self._complain, node, seconds, now))
                self._let_speak(node)
            # Restarts and reboots end some of them.
            self._keep_scenarios()

    def _settle(self, node: LabNode, registered: Mapping[str, Registered], machines: Mapping[str, Machine]) -> None:
        known = registered.get(node.order.node_id)
        machine = machines.get(node.order.node_id.replace("-", "")[:8])
        is_decommissioned = known is not None and known.status == "decommissioned"
        node.is_present = known is not None and not is_decommissioned and machine is not None
        node.is_in_service = node.is_present and known is not None and known.status in _IN_SERVICE
        if machine is None:
            if is_decommissioned:
                self._forget(node.order.label)
                return
        else:
            self._boot_anew(node, machine)
        self._let_speak(node)

    def _boot_anew(self, node: LabNode, machine: Machine) -> None:
        while node.inside.reboots < machine.reboots:
            logger.info("%s was rebooted", node.order.label)
            node.silence()
            node.inside.reboot()
        former = node.keep_plan(machine.plan)
        if former not in {None, machine.plan}:
            logger.info("%s was resized from %s to %s", node.order.label, former, machine.plan)
            node.silence()
            node.inside.resize()
            self._keep_scenarios()

    def _let_speak(self, node: LabNode) -> None:
        is_silent = node.inside.mood.is_silent or not node.is_present
        if is_silent:
            node.silence()
        elif not node.is_speaking:
            node.speak()

    def _adopt_former(self, registered: Mapping[str, Registered]) -> None:
        """Nodes of an earlier version, which were never installed but have a token, and told their history with it."""
        for known in registered.values():
            folder = self._folder / known.label
            is_former = known.label not in self._nodes and token_file(folder).exists()
            if is_former and known.status in _IN_SERVICE and known.ip_address:
                hostname = known.hostname or f"{known.label}.{FORWARD_ZONE}"
                order = HostOrder(known.node_id, known.label, known.ip_address, hostname, self._gateway_url)
                write_installation(folder, order, None)
                node = self._nodes[known.label] = self._node(order)
                node.mark_history_told()

    def _forget(self, label: str) -> None:
        """The machine is gone, and its disk with it."""
        with self._lock:
            if (node := self._nodes.pop(label, None)) is not None:
                node.silence()
            self._scenarios.forget(label)
            shutil.rmtree(self._folder / label, ignore_errors=True)

    def _present(self, label: str) -> LabNode:
        with self._lock:
            node = self._nodes.get(label)
            if node is None or not node.is_present:
                known = ", ".join(sorted(name for name, each in self._nodes.items() if each.is_present)) or "none yet"
                raise UnknownLabNode(f"no lab node is called {label}; there are: {known}")
            return node

    def _node(self, order: HostOrder) -> LabNode:
        return LabNode(
            self._folder / order.label,
            order,
            scenario=self._scenarios.of(order.label),
            heartbeat_seconds=self._heartbeat_seconds,
        )

    def _complain(self, node: LabNode, seconds: float, now: datetime) -> None:
        node.owed_complaints += node.inside.mood.complaints_per_minute * seconds / 60
        while node.owed_complaints >= 1:
            node.owed_complaints -= 1
            self._surroundings.complain(node.order.ip_address, now)

    def _serving(self) -> list[LabNode]:
        return [node for node in self._nodes.values() if node.is_present and node.is_in_service]

    def _keep_scenarios(self) -> None:
        self._scenarios.keep({label: node.inside.scenario for label, node in self._nodes.items()})


def _despite_outages(act: Callable[[], None]) -> None:
    try:
        act()
    # A page where an answer should be is no JSON, or none of the API's.
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        logger.info("not now: %s: %s", type(error).__name__, error)
