"""A real blacklist server for tests: rbldnsd with lists of the catalogue, their test points, listings and faults.

A list fails by rbldnsd's own access list, for everybody or for some clients. The resolvers in front of it are
`blacklist_resolvers.py`'s.
"""

import os
import pwd
import signal
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from enum import StrEnum
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from penguin_infra.dnsbl.catalogue import Blacklist
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra_tests.server_process import ServerProcess, find_program
from penguin_infra_tests.waiting import until

EVERYBODY = "127.0.0.0/8"

# A datagram to a port that nobody listens on yet is lost: ask again soon.
_ANSWER_SECONDS = 0.2
_NOBODY = ("--reuid=nobody", "--regid=nogroup", "--clear-groups")
_START = "$SOA 60 ns.lists.test hostmaster.lists.test 1 3600 600 86400 {ttl}\n$NS 60 ns.lists.test\n$TTL {ttl}\n"

Network = IPv4Network | IPv6Network


class Ailment(StrEnum):
    """How a list fails at its own server: what its access list does to whoever asks."""

    SILENT = "ignore"
    REFUSED = "refuse"
    EMPTIED = "empty"
    WILDCARDED = "127.0.0.2:This list is dead"
    PUBLIC_RESOLVER = "127.255.255.254:Error: open resolver"
    QUOTA = "127.255.255.255:Error: too many questions"


class BlacklistServer(ServerProcess):
    """rbldnsd with some lists; every change is served when the method returns.

    It runs as `nobody` where the tests are root: it refuses to be that. All its paths are relative, so that it
    reaches its own folder below those that only root may enter.
    """

    package, binary = "rbldnsd", "rbldnsd"

    def __init__(self, directory: Path, lists: Sequence[Blacklist], *, ttl_seconds: int = 1) -> None:
        super().__init__(directory)
        self._lists = {one.zone: one for one in lists}
        self._ttl_seconds = ttl_seconds
        self._listed: dict[str, dict[Network, tuple[Sequence[str], str]]] = defaultdict(dict)
        self._ailments: dict[str, dict[str, Ailment]] = defaultdict(dict)
        self._writes = 0

    @property
    def resolver(self) -> Resolver:
        """The server itself, as a resolver that knows nothing else."""
        return Resolver(self.address, self.port)

    @property
    def zones(self) -> Sequence[str]:
        return tuple(self._lists)

    def list_networks(
        self, zone: str, networks: Iterable[object], *codes: str, reason: str = "spam was seen from $"
    ) -> None:
        """List addresses or whole networks; without codes by the list's gravest. `$` stands for the address."""
        codes = codes or (str(self._lists[zone].worst_code.code),)
        assert len(codes) <= self._depth(zone), f"{zone} is served with no more than {self._depth(zone)} codes a name"
        self._listed[zone] |= {ip_network(str(network)): (codes, reason) for network in networks}
        self._change(zone)

    def delist(self, zone: str, networks: Iterable[object]) -> None:
        """Take them off again."""
        for network in networks:
            del self._listed[zone][ip_network(str(network))]
        self._change(zone)

    def break_list(self, zone: str, ailment: Ailment, *, clients: str = EVERYBODY) -> None:
        """Make a list fail for clients of these addresses, until it is mended."""
        self._ailments[zone][clients] = ailment
        self._change(zone)

    def mend_list(self, zone: str) -> None:
        """Let it answer everybody again."""
        self._ailments.pop(zone, None)
        self._change(zone)

    @contextmanager
    def broken(self, zone: str, ailment: Ailment, *, clients: str = EVERYBODY) -> Iterator[None]:
        """The list fails inside the block, and works again after it."""
        self.break_list(zone, ailment, clients=clients)
        try:
            yield
        finally:
            self.mend_list(zone)

    def forget_listings(self) -> None:
        """Only the test points stay listed, and every list is well."""
        changed = {*self._listed, *self._ailments}
        self._listed.clear()
        self._ailments.clear()
        if changed:
            self._change(*changed)

    def questions(self) -> Mapping[str, int]:
        """How many questions have come for each list since the start: datagrams, tries and test points too."""
        counts: Counter[str] = Counter()
        log = self.directory / "questions.log"
        for line in log.read_text().splitlines() if log.exists() else ():
            _, _, name, *_ = line.split()
            counts.update(zone for zone in self._lists if name.rstrip(":").endswith(f".{zone}"))
        return counts

    def prepare(self) -> None:
        for zone in self._lists:
            self._write(zone)
        if self.prefix():
            os.chown(self.directory, *_nobody())

    def prefix(self) -> Sequence[str]:
        if os.geteuid() != 0:
            return ()
        setpriv = find_program("setpriv")
        assert setpriv, "setpriv is not installed, and rbldnsd refuses to run as root: apt-get install util-linux"
        return (setpriv, *_NOBODY)

    def arguments(self) -> Sequence[str]:
        datasets = [
            f"{zone}:{kind}:{file}"
            for zone in self._lists
            for file, kind in [*self._data_files(zone), (f"{zone}.acl", "acl")]
        ]
        # Changes are looked for on a signal rather than by the clock, so that a test knows when they are served.
        return ("-n", "-c", "0", "-l", "+questions.log", "-b", f"{self.address}/{self.port}", *datasets)

    def is_serving(self) -> bool:
        query = dns.message.make_query(next(iter(self._lists)), "SOA")
        try:
            return bool(dns.query.udp(query, self.address, port=self.port, timeout=_ANSWER_SECONDS).answer)
        except (OSError, dns.exception.DNSException):
            return False

    def _change(self, *zones: str) -> None:
        if not self.directory.exists():
            # Written with the rest when it starts.
            return
        before = self._reloads() if self._process else 0
        for zone in zones:
            self._write(zone)
        if self._process is None:
            return
        self._process.send_signal(signal.SIGHUP)
        until(f"rbldnsd serves {', '.join(zones)} anew", lambda: self._reloads() > before)
        assert "will not be serviced" not in self.log, self.log

    def _reloads(self) -> int:
        return self.log.count("zones reloaded")

    def _depth(self, zone: str) -> int:
        # A dataset answers one address a name: as many datasets as its test point has codes.
        return max(len(self._lists[zone].test_point_codes), 2)

    def _data_files(self, zone: str) -> list[tuple[str, str]]:
        versions = (4, 6) if self._lists[zone].ipv6 else (4,)
        return [
            (f"{zone}.ip{version}.{number}", f"ip{version}trie")
            for version in versions
            for number in range(self._depth(zone))
        ]

    def _write(self, zone: str) -> None:
        blacklist = self._lists[zone]
        test_codes = [str(code) for code in blacklist.test_point_codes]
        test_points = {ip_network(str(point)): (test_codes, "test point $") for point in blacklist.test_points}
        entries = {**test_points, **self._listed[zone]}
        for file, kind in self._data_files(zone):
            version, number = int(kind[2]), int(file.rpartition(".")[2])
            lines = [
                f"{network} :{codes[number]}:{reason}\n"
                for network, (codes, reason) in entries.items()
                if network.version == version and number < len(codes)
            ]
            self._replace(file, _START.format(ttl=self._ttl_seconds) + "".join(lines))
        ailments = [f"{clients} :{ailment}\n" for clients, ailment in self._ailments[zone].items()]
        self._replace(f"{zone}.acl", "".join(ailments))

    def _replace(self, file: str, text: str) -> None:
        """By one rename: rbldnsd never sees half a file."""
        fresh = self.directory / f"{file}.new"
        fresh.write_text(text)
        fresh.chmod(0o644)
        # It knows a change by the second: each write gets one of its own.
        self._writes += 1
        os.utime(fresh, (self._writes, self._writes))
        fresh.replace(self.directory / file)


def _nobody() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid
