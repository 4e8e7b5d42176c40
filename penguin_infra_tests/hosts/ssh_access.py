"""The tests' own SSH key and the client's command line that uses it; no host, no network of its own."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from penguin_infra_tests.hosts.cache import cache_directory, held_alone


def key_pair() -> tuple[Path, Path]:
    """The private key (mode 0600) and the public one that every base lets in, made once."""
    private = cache_directory() / "id_ed25519"
    public = private.with_suffix(".pub")
    if not public.exists():
        with held_alone(cache_directory() / "key.lock"):
            if not public.exists():
                private.unlink(missing_ok=True)
                make_key(private, comment="penguin-infra-tests")
    return private, public


def make_key(private: Path, *, comment: str) -> None:
    """A key without a passphrase and its public half beside it."""
    options = ["-q", "-t", "ed25519", "-N", "", "-C", comment]
    subprocess.run(["ssh-keygen", *options, "-f", private], check=True, timeout=60, stdin=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class SshClient:
    """How this machine's client reaches root on one host, trusting only the host key it was given."""

    address: str
    known_hosts: Path

    def trust(self, public_host_key: str) -> None:
        """Believe this key from now on, and no other."""
        self.known_hosts.write_text(f"{self.address} {public_host_key}")

    def command(self, remote: str) -> list[str]:
        """The argument list for one remote command; nothing of this machine's SSH configuration is read."""
        private, _ = key_pair()
        options = {
            "BatchMode": "yes",
            "ConnectTimeout": "5",
            "GlobalKnownHostsFile": "/dev/null",
            "IdentitiesOnly": "yes",
            "ServerAliveCountMax": "2",
            "ServerAliveInterval": "5",
            "StrictHostKeyChecking": "yes",
            "UserKnownHostsFile": f'"{self.known_hosts}"',
        }
        chosen = [argument for name, value in options.items() for argument in ("-o", f"{name}={value}")]
        return ["ssh", "-F", "none", "-i", str(private), *chosen, f"root@{self.address}", remote]
