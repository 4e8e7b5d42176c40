"""The lab's DNS server in a process of its own, for tests that need real blacklists on loopback.

Starting, killing and changing it; no assertions.
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import dns.tsig

from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.lab import dns_changes
from penguin_infra.lab.dns_zones import Fault

TTL_SECONDS = 1
KEY_NAME = "lab-test"
KEY_SECRET = "c2l4dGVlbiBieXRlcyBvZiBhIHRlc3Qga2V5IQ=="


@dataclass(slots=True)
class DnsProcess:
    """A running server; the changes are on its disk when a method returns."""

    port: int
    directory: Path
    process: subprocess.Popen[str]

    @property
    def resolver(self) -> Resolver:
        return Resolver(dns_changes.HOST, self.port)

    @property
    def key(self) -> dns.tsig.Key:
        """What signs changes of the nodes' names."""
        return dns.tsig.Key(KEY_NAME, KEY_SECRET)

    def list_ip(self, ip: str, zone: str, code: str | None = None, reason: str = "spam was seen") -> None:
        (blacklist,) = load_catalogue().select([zone])
        dns_changes.add_listing(self.port, blacklist.zone, ip, code or str(blacklist.worst_code.code), reason)

    def delist_ip(self, ip: str, zone: str) -> None:
        dns_changes.remove_listing(self.port, zone, ip)

    def break_list(self, zone: str, fault: Fault) -> None:
        dns_changes.set_fault(self.port, zone, fault)

    @contextmanager
    def broken(self, zone: str, fault: Fault) -> Iterator[None]:
        """The list fails inside the block, and works again after it."""
        self.break_list(zone, fault)
        try:
            yield
        finally:
            self.break_list(zone, Fault.NONE)

    def kill(self) -> None:
        """As `kill -9` would."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def running_dns(directory: Path, *, ttl_seconds: int = TTL_SECONDS) -> Iterator[DnsProcess]:
    """A server on a free port of loopback, stopped at the end of the block."""
    dns_process = start_dns(directory, ttl_seconds=ttl_seconds)
    try:
        yield dns_process
    finally:
        dns_process.process.terminate()
        dns_process.process.communicate()


def start_dns(directory: Path, *, port: int | None = None, ttl_seconds: int = TTL_SECONDS) -> DnsProcess:
    """Start a server and wait until it answers; the caller stops it."""
    port = port or free_port()
    python = [sys.executable, "-c", "from penguin_infra.cli.lab_dns import app; app()"]
    options = ["--port", str(port), "--directory", str(directory), "--ttl-seconds", str(ttl_seconds)]
    log = directory / "server.log"
    with log.open("w") as errors:
        process = subprocess.Popen(
            [*python, "serve-dns", *options],
            env={**os.environ, "PENGUIN_DNS_KEY_NAME": KEY_NAME, "PENGUIN_DNS_KEY_SECRET": KEY_SECRET},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert process.stdout is not None
    if "serves" not in process.stdout.readline():
        process.communicate()
        raise RuntimeError(f"the lab's DNS did not start: {log.read_text()}")
    return DnsProcess(port, directory, process)


def free_port() -> int:
    """A port of loopback that neither TCP nor UDP uses."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            stream.bind((dns_changes.HOST, 0))
            port: int = stream.getsockname()[1]
            try:
                datagrams.bind((dns_changes.HOST, port))
            except OSError:
                continue
            return port
