"""The lab's nodes: one process that runs the real agent for each node of the fleet, against the real gateway.

It learns of nodes from the gateway's API and of reboots from the simulated provider, as the outside world would: over
sockets. What a node pretends is `node_simulation.py`'s.
"""

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from penguin_infra.agent.agent import Agent, AgentConfig
from penguin_infra.lab.history import history_batches
from penguin_infra.lab.node_control import UnknownLabNode
from penguin_infra.lab.node_moods import Scenario
from penguin_infra.lab.node_simulation import SimulatedNode

logger = logging.getLogger(__name__)

_IN_SERVICE = frozenset({"warming", "active", "paused", "maintenance"})
_LOOK_SECONDS = 3.0
# Short: all nodes wait for it, and everything asked is on this machine.
_TIMEOUT_SECONDS = 3.0


@dataclass
class LabNode:
    """One node with its agent, while it runs."""

    node_id: str
    label: str
    ip_address: str
    inside: SimulatedNode
    stop: threading.Event = field(default_factory=threading.Event)
    thread: threading.Thread | None = None
    owed_complaints: float = 0.0

    @property
    def is_speaking(self) -> bool:
        """Whether its agent runs."""
        return self.thread is not None and self.thread.is_alive()


class LabNodes:
    """All of the lab's nodes. `run` looks after them until told to stop."""

    def __init__(
        self,
        *,
        folder: Path,
        gateway_url: str,
        api_key: str,
        provider_url: str,
        provider_credentials: tuple[str, str],
        heartbeat_seconds: float = 30.0,
    ) -> None:
        self._folder = folder
        self._gateway_url = gateway_url
        self._heartbeat_seconds = heartbeat_seconds
        self._gateway = httpx.Client(
            base_url=gateway_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        self._provider = httpx.Client(
            base_url=provider_url, auth=provider_credentials, timeout=_TIMEOUT_SECONDS, trust_env=False
        )
        self._nodes: dict[str, LabNode] = {}
        self._lock = threading.RLock()
        self._scenarios = self._read_scenarios()

    def run(self, stop: threading.Event) -> None:
        """Look for new nodes and reboots every few seconds, and let time pass for all every second."""
        looked = ticked = time.monotonic()
        looked -= _LOOK_SECONDS
        while not stop.wait(1):
            now = time.monotonic()
            is_look_due = now - looked >= _LOOK_SECONDS
            looked = now if is_look_due else looked
            # A gateway or a provider that is away is part of what a lab is for.
            if is_look_due:
                _despite_outages(self.look)
            self.pass_time(now - ticked)
            ticked = now
        with self._lock:
            for node in self._nodes.values():
                self._silence(node)

    def look(self) -> None:
        """Begin what is new, end what is gone, reboot what was rebooted."""
        answer = self._gateway.get("/api/v1/infrastructure/nodes")
        answer.raise_for_status()
        listed = {node["label"]: node for node in answer.json()["nodes"]}
        instances = self._instances()
        with self._lock:
            for label, node in listed.items():
                if node["status"] in _IN_SERVICE and node["ip_address"]:
                    self._look_after(label, node, instances)
            for label in [label for label in self._nodes if listed.get(label, {}).get("status") not in _IN_SERVICE]:
                self._silence(self._nodes.pop(label))

    def pass_time(self, seconds: float) -> None:
        """Let every node send for that long, and its recipients complain."""
        now = datetime.now(UTC)
        with self._lock:
            for node in self._nodes.values():
                node.inside.pass_time(seconds, now)
                if node.inside.mood.is_silent:
                    self._silence(node)
                elif not node.is_speaking:
                    _despite_outages(partial(self._speak, node))
                _despite_outages(partial(self._complain, node, seconds, now))

    def describe(self) -> list[Mapping[str, Any]]:
        """The nodes as a person may look at them."""
        with self._lock:
            return [
                {
                    "label": node.label,
                    "ip_address": node.ip_address,
                    "scenario": node.inside.scenario,
                    "is_speaking": node.is_speaking,
                    "transport": node.inside.state(),
                    "queue": node.inside.mail.queue,
                    "reboots": node.inside.reboots,
                }
                for node in self._nodes.values()
            ]

    def set_scenario(self, label: str, scenario: Scenario) -> None:
        """Let one node behave so; raises `UnknownLabNode`."""
        with self._lock:
            node = self._nodes.get(label)
            if node is None:
                known = ", ".join(sorted(self._nodes)) or "none yet"
                raise UnknownLabNode(f"no lab node is called {label}; there are: {known}")
            node.inside.play(scenario)
            self._scenarios[label] = scenario
            self._save_scenarios()

    def _look_after(self, label: str, listed: Mapping[str, Any], instances: Mapping[str, Mapping[str, Any]]) -> None:
        node = self._nodes.get(label)
        if node is None:
            folder = self._folder / label
            folder.mkdir(parents=True, exist_ok=True)
            scenario = self._scenarios.get(label, Scenario.CALM)
            inside = SimulatedNode(folder, seed=int(listed["node_id"][:8], 16), scenario=scenario)
            node = self._nodes[label] = LabNode(listed["node_id"], label, listed["ip_address"], inside)
        instance = instances.get(listed["node_id"].replace("-", "")[:8], {})
        while node.inside.reboots < int(instance.get("reboots", 0)):
            logger.info("%s was rebooted", label)
            self._silence(node)
            node.inside.reboot()
            self._scenarios[label] = node.inside.scenario
            self._save_scenarios()

    def _instances(self) -> dict[str, Mapping[str, Any]]:
        """The provider's instances by their node's token, with how often each was rebooted."""
        found: dict[str, Mapping[str, Any]] = {}
        page: int | None = 1
        while page:
            answer = self._provider.get("/instances", params={"page": page, "per_page": 100}).raise_for_status().json()
            for instance in answer["instances"]:
                inside = self._provider.get(f"/lab/instances/{instance['id']}").raise_for_status().json()
                found[instance["label"].rpartition("-")[2]] = inside
            page = answer["next_page"]
        return found

    def _speak(self, node: LabNode) -> None:
        token = node.inside.folder / "token"
        if not token.exists():
            answer = self._gateway.post(f"/api/v1/infrastructure/nodes/{node.node_id}/agent-token")
            if not answer.is_success:
                logger.warning("no token for %s: %s", node.label, answer.status_code)
                return
            self._tell_history(node, answer.json()["token"])
            token.touch(mode=0o600)
            token.write_text(answer.json()["token"])
        config = AgentConfig(
            node_id=node.node_id,
            gateway_url=self._gateway_url,
            token_file=token,
            spool_folder=node.inside.folder / "spool",
            mail_log=node.inside.mail.log,
            heartbeat_seconds=self._heartbeat_seconds,
        )
        agent = Agent(config, probes=node.inside, mta=node.inside)
        node.stop = threading.Event()
        node.thread = threading.Thread(target=agent.run, args=(node.stop,), name=node.label, daemon=True)
        node.thread.start()

    def _tell_history(self, node: LabNode, token: str) -> None:
        for batch in history_batches(node.node_id, now=datetime.now(UTC), seed=node.inside.seed):
            self._gateway.post(
                "/api/v1/agents/deliveries", json=batch.to_json(), headers={"Authorization": f"Bearer {token}"}
            ).raise_for_status()

    def _silence(self, node: LabNode) -> None:
        node.stop.set()
        if node.thread is not None:
            node.thread.join(timeout=_TIMEOUT_SECONDS)
            node.thread = None

    def _complain(self, node: LabNode, seconds: float, now: datetime) -> None:
        node.owed_complaints += node.inside.mood.complaints_per_minute * seconds / 60
        while node.owed_complaints >= 1:
            node.owed_complaints -= 1
            report = feedback_report(node.ip_address, now)
            self._gateway.post("/api/v1/feedback/arf", content=report, headers={"Content-Type": "message/rfc822"})

    def _read_scenarios(self) -> dict[str, Scenario]:
        file = self._folder / "scenarios.json"
        kept = json.loads(file.read_text()) if file.exists() else {}
        return {label: Scenario(name) for label, name in kept.items()}

    def _save_scenarios(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / "scenarios.json").write_text(json.dumps(self._scenarios))


def _despite_outages(act: Callable[[], None]) -> None:
    try:
        act()
    except httpx.HTTPError as error:
        logger.info("not now: %s", error)


def feedback_report(source_ip: str, arrived_at: datetime) -> bytes:
    """A complaint as a mailbox provider sends it (RFC 5965), about a mail from that address at that time."""
    report = EmailMessage()
    report["From"] = "feedback@mailbox-provider.example"
    report["To"] = "abuse@penguinmails.example"
    report["Subject"] = f"complaint {arrived_at.timestamp():.6f}"
    report["Message-ID"] = f"<{time.time_ns()}@mailbox-provider.example>"
    report.set_content("This is an email abuse report.")
    report.add_attachment(
        (
            "Feedback-Type: abuse\r\nUser-Agent: Lab/1.0\r\nVersion: 1\r\n"
            f"Source-IP: {source_ip}\r\nArrival-Date: {arrived_at:%a, %d %b %Y %H:%M:%S +0000}\r\n"
        ).encode(),
        maintype="message",
        subtype="feedback-report",
        cte="7bit",
    )
    report.replace_header("Content-Type", 'multipart/report; report-type="feedback-report"')
    return report.as_bytes()
