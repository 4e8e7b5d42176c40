"""Installs hosts by Ansible over SSH, and looks into them by SSH: the adapter for real machines.

What is done on a host stands in `project/`, how a playbook is run in `playbook_run.py`, and who a host is in
`host_keys.py`.
"""

import shlex
from collections.abc import Mapping
from dataclasses import replace
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from pathlib import Path
from typing import Any

from penguin_infra.agent.archive import build_archive
from penguin_infra.installer.host_keys import pin_host_key
from penguin_infra.installer.installer import (
    Host,
    Installation,
    Installed,
    Installer,
    InstallFailed,
    Say,
    TestMail,
)
from penguin_infra.installer.playbook_events import PlaybookStory
from penguin_infra.installer.playbook_run import PlaybookRun
from penguin_infra.installer.run_folders import run_folder, write_private
from penguin_infra.installer.ssh import SshAccess, run_on_host

# Never changed: the record in the DNS carries it.
DKIM_SELECTOR = "penguin"

REFERENCE_WORKER = Path(__file__).parent / "worker" / "reference_worker.py"

_COMMAND_SECONDS = 60.0
# sshd of a fresh machine comes up some time after its address is told.
_PATIENCE_SECONDS = 90.0


class AnsibleInstaller(Installer):
    """Installs hosts from this machine; may be shared by threads.

    `worker_artifact` None: the reference worker. `sink_domain` and `sink_route` (`host:port`): where nodes hand their
    verification mail. `timeout_seconds` bounds one playbook, `patience_seconds` the wait for a host's sshd.
    """

    def __init__(
        self,
        *,
        ssh_key_file: Path,
        ssh_user: str,
        work_folder: Path,
        worker_artifact: Path | None,
        sink_domain: str | None,
        sink_route: str | None,
        gateway_ca_file: Path | None,
        timeout_seconds: float,
        ssh_port: int = 22,
        patience_seconds: float = _PATIENCE_SECONDS,
    ) -> None:
        # Absolute: Ansible runs in a folder of its own.
        self._access = SshAccess(ssh_key_file.absolute(), ssh_user, ssh_port)
        self._work_folder = work_folder.absolute()
        self._worker = (worker_artifact or REFERENCE_WORKER).absolute()
        self._sink = (sink_domain or "", sink_route or "")
        self._gateway_ca_file = gateway_ca_file.absolute() if gateway_ca_file else None
        self._timeout_seconds = timeout_seconds
        self._patience_seconds = patience_seconds

    def identify(self, host: Host, say: Say) -> str:
        """The key that the host shows, compared with the pinned one if there is one."""
        return pin_host_key(host, port=self._access.port, patience_seconds=self._patience_seconds, say=say)

    def install(self, installation: Installation, say: Say) -> Installed:
        """Bring the host to what it should be; a repeat changes nothing.

        Errors: `HostUnreachable`, `InstallFailed`, `HostKeyChanged`; what `say` raises, after Ansible was ended.
        """
        self._check_files()
        host = self._pinned(installation.host, say)
        with run_folder(self._work_folder) as folder:
            token = installation.agent_token
            variables = {
                "node_id": str(host.node_id),
                "gateway_url": installation.gateway_url,
                "gateway_ca_file": str(self._gateway_ca_file or ""),
                "agent_archive": str(build_archive(folder / "penguin-agent.pyz")),
                "agent_token_file": str(write_private(folder / "agent_token", token)) if token else "",
            }
            story = self._run(folder, "site.yml", host, variables, say)
        public_key = story.reported.get("dkim_public_key")
        if not isinstance(public_key, str) or not public_key:
            raise InstallFailed(f"{host.label} reported no public DKIM key: see /etc/dkimkeys on it")
        return Installed(str(host.host_key), DKIM_SELECTOR, public_key, story.changed)

    def restart_services(self, host: Host, say: Say) -> None:
        """Restart what makes it a sending node, and re-apply what it should be."""
        self._check_files()
        host = self._pinned(host, say)
        with run_folder(self._work_folder) as folder:
            self._run(folder, "restart.yml", host, {}, say)

    def send_mail(self, host: Host, mail: TestMail) -> None:
        """Hand a mail to the node's own Postfix.

        What an earlier one left waiting, for a sink that was down, is tried again with it and not minutes later.
        """
        command = shlex.join(["/usr/sbin/sendmail", "-i", "-f", mail.sender, "--", mail.recipient])
        self._on_host(host, f"{command} && /usr/sbin/postqueue -f", given=compose(mail))

    def count_queued(self, host: Host) -> int:
        """How many mails wait in the node's queue; `postqueue -j` prints a line for each."""
        told = self._on_host(host, "bash -c 'set -o pipefail; /usr/sbin/postqueue -j | wc -l'")
        return int(told)

    def _run(self, folder: Path, playbook: str, host: Host, variables: Mapping[str, Any], say: Say) -> PlaybookStory:
        sink_domain, sink_route = self._sink
        common = {
            "hostname": host.hostname,
            "ip_address": str(host.ip_address),
            "ssh_port": self._access.port,
            "dkim_selector": DKIM_SELECTOR,
            "worker_artifact": str(self._worker),
            "sink_domain": sink_domain,
            "sink_route": sink_route,
        }
        run = PlaybookRun(
            folder=folder,
            playbook=playbook,
            host=host,
            access=self._access,
            variables={**common, **variables},
            timeout_seconds=self._timeout_seconds,
        )
        return run.carry_out(say)

    def _pinned(self, host: Host, say: Say) -> Host:
        return replace(host, host_key=self.identify(host, say))

    def _on_host(self, host: Host, command: str, *, given: bytes = b"") -> bytes:
        return run_on_host(
            self._access,
            host,
            command,
            work_folder=self._work_folder,
            timeout_seconds=min(_COMMAND_SECONDS, self._timeout_seconds),
            given=given,
        )

    def _check_files(self) -> None:
        """Refuse at once what would otherwise end as an unreachable host, or in the middle of the work."""
        named = {
            "the SSH key": self._access.key_file,
            "the worker": self._worker,
            "the gateway's authority": self._gateway_ca_file,
        }
        for what, file in named.items():
            if file is not None and not file.is_file():
                raise InstallFailed(f"{what} is not to be found at {file}: see the settings")


def compose(mail: TestMail) -> bytes:
    """The mail as it is handed over, marked in a header and in its text."""
    message = EmailMessage()
    message["From"] = mail.sender
    message["To"] = mail.recipient
    message["Subject"] = "Verification of a sending node"
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain=mail.sender.rpartition("@")[2] or "localhost")
    message["X-Penguin-Correlation"] = mail.correlation_id
    message.set_content(
        f"This mail shows that a node sends as receivers ask for it.\n\nCorrelation id: {mail.correlation_id}\n"
    )
    return bytes(message)
