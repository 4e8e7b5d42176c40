"""Logging in over SSH by key file, to hosts whose key is pinned: the client's options, and one bounded command.

Not here: what Ansible does over it, and how a key comes to be pinned (`host_keys.py`).
"""

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from penguin_infra.installer.host_keys import host_key_changed, known_hosts_line
from penguin_infra.installer.installer import Host, HostUnreachable, InstallFailed

CONNECT_SECONDS = 10
# A cut network is noticed after 15 s of silence, however long the command on the host takes.
ALIVE_INTERVAL_SECONDS, ALIVE_COUNT = 5, 3

_SSH_FAILED = 255
_LONGEST_EXCERPT = 500


@dataclass(frozen=True, slots=True)
class SshAccess:
    """Who logs in, with which key, at which port. The key is only ever named, never read here."""

    key_file: Path
    user: str
    port: int

    def options(self, known_hosts: Path) -> list[str]:
        """What every connection is told: this key and these hosts only, nothing of the user's own settings."""
        settings = {
            "UserKnownHostsFile": f'"{known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "UpdateHostKeys": "no",
            "BatchMode": "yes",
            "IdentitiesOnly": "yes",
            "IdentityAgent": "none",
            "PreferredAuthentications": "publickey",
            "ForwardAgent": "no",
            "ConnectTimeout": str(CONNECT_SECONDS),
            "ServerAliveInterval": str(ALIVE_INTERVAL_SECONDS),
            "ServerAliveCountMax": str(ALIVE_COUNT),
        }
        return ["-F", "none", *(part for name, value in settings.items() for part in ("-o", f"{name}={value}"))]


def run_on_host(
    access: SshAccess, host: Host, command: str, *, work_folder: Path, timeout_seconds: float, given: bytes = b""
) -> bytes:
    """What a shell command on the host prints; `given` is its standard input.

    Errors: `HostUnreachable`, `HostKeyChanged`, and `InstallFailed` with what the command said.
    """
    if host.host_key is None:
        raise InstallFailed(f"{host.label} was never contacted, its host key is not known: install it first")
    work_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ssh-", dir=work_folder) as folder:
        known_hosts = Path(folder) / "known_hosts"
        known_hosts.write_text(known_hosts_line(host.ip_address, access.port, host.host_key), encoding="ascii")
        client = ["ssh", *access.options(known_hosts), "-o", "ControlPath=none", "-i", str(access.key_file)]
        target = ["-p", str(access.port), f"{access.user}@{host.ip_address}", command]
        try:
            done = subprocess.run(
                [*client, *target], input=given, capture_output=True, timeout=timeout_seconds, check=False
            )
        except subprocess.TimeoutExpired:
            raise HostUnreachable(
                f"`{command}` on {host.label} at {host.ip_address} was not done within {timeout_seconds:g} s"
            ) from None
        except FileNotFoundError:
            raise HostUnreachable("no ssh client on this machine: install openssh-client") from None
    if done.returncode == 0:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip()
    if done.returncode == _SSH_FAILED:
        if is_about_the_host_key(said):
            raise host_key_changed(host, None)
        raise HostUnreachable(f"no way into {host.label} at {host.ip_address} as {access.user}: {_last_line(said)}")
    raise InstallFailed(f"`{command}` on {host.label} ended with {done.returncode}: {said[:_LONGEST_EXCERPT]}")


def is_about_the_host_key(said: str) -> bool:
    """Whether the client refused the host for its key."""
    return "Host key verification failed" in said or "REMOTE HOST IDENTIFICATION HAS CHANGED" in said


def _last_line(said: str) -> str:
    lines = said.splitlines()
    return lines[-1][:_LONGEST_EXCERPT] if lines else "the client said nothing"
