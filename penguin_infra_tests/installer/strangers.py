"""Who else comes to a host: connects to its ports, tries to relay mail through it, guesses at its SSH."""

import smtplib
import socket
import subprocess
from contextlib import suppress

from penguin_infra_tests.hosts.host import Host
from penguin_infra_tests.hosts.ssh_access import key_pair


def takes_connections(host: Host, port: int) -> bool:
    try:
        socket.create_connection((str(host.address), port), timeout=2).close()
    except OSError:
        return False
    return True


def try_to_relay(host: Host, *, times: int) -> list[int]:
    codes = []
    try:
        with smtplib.SMTP(str(host.address), timeout=10) as client:
            client.ehlo("stranger.test")
            client.mail("somebody@stranger.test")
            codes = [client.rcpt(f"victim{number}@elsewhere.test")[0] for number in range(times)]
    except (OSError, smtplib.SMTPException):
        pass
    return codes


def guess_at_ssh(host: Host) -> None:
    options = ["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "-o", "ConnectTimeout=5"]
    known = ["-o", "UserKnownHostsFile=/dev/null", "-i", str(key_pair()[0])]
    command = ["ssh", *options, *known, f"admin@{host.address}"]
    # The ban cuts the connection that earned it: the client never hears of it.
    with suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, check=False, timeout=15, stdin=subprocess.DEVNULL)
