"""A host of the tests under the installer's hands: who it is, how it is installed, and what was said meanwhile."""

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from penguin_infra.installer.ansible_installer import AnsibleInstaller
from penguin_infra.installer.installer import Host as Known
from penguin_infra.installer.installer import Installation, Installed, Say, TestMail
from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.ssh_access import key_pair
from penguin_infra_tests.installer.surroundings import SINK_DOMAIN, Received, Surroundings

TOKEN, NEXT_TOKEN = "first-s3cret-token", "second-s3cret-token"

SERVICES = ("ufw", "fail2ban", "opendkim", "postfix@-", "redis-server", "penguin-worker", "penguin-agent", "ssh")
ALL_ACTIVE = dict.fromkeys(SERVICES, "active")

# The cores are shared with everything else that runs: only a fault takes so long.
LONGEST_INSTALLATION_SECONDS = 900.0


@dataclass
class Node:
    """One host as a node. `host_key` is pinned by the first installation."""

    host: Host
    around: Surroundings
    work_folder: Path
    node_id: UUID = field(default_factory=uuid4)
    host_key: str | None = None
    said: list[str] = field(default_factory=list)

    @property
    def hostname(self) -> str:
        return f"{self.host.name}.nodes.test"

    @property
    def known(self) -> Known:
        return Known(self.node_id, self.host.name, self.host.address, self.hostname, self.host_key)

    @property
    def installer(self) -> AnsibleInstaller:
        return AnsibleInstaller(
            ssh_key_file=key_pair()[0],
            ssh_user="root",
            work_folder=self.work_folder,
            worker_artifact=None,
            sink_domain=SINK_DOMAIN,
            sink_route=self.around.sink_route,
            gateway_ca_file=self.around.authority,
            timeout_seconds=LONGEST_INSTALLATION_SECONDS,
            patience_seconds=3,
        )

    def install(self, token: str | None = TOKEN, *, say: Say | None = None) -> Installed:
        """Install, and pin the key."""
        order = Installation(self.known, self.around.gateway_url, token)
        installed = self.installer.install(order, say or self.said.append)
        self.host_key = installed.host_key
        return installed

    def send(self, *, to: str = f"postbox@{SINK_DOMAIN}") -> TestMail:
        """Hand a mail to its Postfix."""
        mail = TestMail(f"probe@{self.hostname}", to, str(uuid4()))
        self.installer.send_mail(self.known, mail)
        return mail

    @property
    def stranger(self) -> str:
        """A mailbox outside: mail to it takes the way of all mail, not the sink's."""
        return f"somebody@[{self.host.gateway}]"

    def queued(self) -> int:
        return self.installer.count_queued(self.known)

    def arrival(self, word: str) -> Received:
        """The mail with this word in it, once it came to the sink."""
        found: list[Received] = []

        def has_come() -> bool:
            found[:] = [mail for mail in self.around.mails if word.encode() in mail.content]
            return bool(found)

        wait_until(has_come)
        return found[0]

    def beat(self, condition: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next heartbeat that fulfils it. The agent is started anew: its first one comes within five seconds."""
        before = len(self.around.gateway.heartbeats)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            self.host.run("systemctl restart penguin-agent")
            with suppress(AssertionError):
                wait_until(lambda: any(map(condition, self.around.gateway.heartbeats[before:])), seconds=8)
                break
        return next(filter(condition, self.around.gateway.heartbeats[before:]))

    def tell(self, **words: object) -> None:
        """The directive in every answer from now on."""
        version = (self.around.gateway.directive or {"version": 0})["version"] + 1
        self.around.gateway.directive = {"version": version, "transport": "release", **words}


def states(host: Host) -> dict[str, str]:
    """What systemd says of each service."""
    told = host.run(f"systemctl is-active {' '.join(SERVICES)}", check=False)
    return dict(zip(SERVICES, told.split(), strict=True))


def wait_until(condition: Callable[[], bool], seconds: float = 90.0) -> None:
    """Poll; an assertion error when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.1)
