"""What stands between a sweep and a blacklist in tests: unbound as the resolver, dnsdist as the bad road to it.

Both on loopback, and neither knows a way out of it. The lists themselves are `blacklist_servers.py`'s.
"""

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode

from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra_tests.blacklist_servers import BlacklistServer
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.server_process import ServerProcess, find_program

# A datagram to a port that nobody listens on yet is lost: ask again soon.
_ANSWER_SECONDS = 0.2
_COMMAND_SECONDS = 20

# Room for a question about a list with a name of up to 16 letters, and for no answer. Below the question's size there
# is no answer at all.
_TINY_UDP_OCTETS = 56
_UDP_OCTETS = 1232


class Distortion(StrEnum):
    """How a resolver answers for a list by itself: unbound's types of local zones."""

    SILENT = "deny"
    REFUSED = "always_refuse"
    NO_DATA = "always_nodata"
    DENIED = "always_nxdomain"
    REWRITTEN = "redirect"


class UnboundServer(ServerProcess):
    """unbound as the resolver of a blacklist server's lists.

    Unless it is caching, it keeps no answer, so that a change is seen at once. Whatever it asks leaves from `source`,
    an address of loopback: nothing else can be reached, and the lists may treat it by that.
    """

    package, binary = "unbound", "unbound"

    def __init__(
        self,
        directory: Path,
        lists: BlacklistServer,
        zones: Sequence[str],
        *,
        source: str = "127.0.0.1",
        is_caching: bool = False,
    ) -> None:
        super().__init__(directory)
        self._lists = lists
        self._zones = zones
        self._source = source
        self._is_caching = is_caching

    @property
    def resolver(self) -> Resolver:
        return Resolver(self.address, self.port)

    @contextmanager
    def distorted(self, zone: str, how: Distortion, address: str | None = None) -> Iterator[None]:
        """It answers for the zone by itself inside the block; `REWRITTEN` leads every name to `address`."""
        self._control("local_zone", zone, how)
        if address is not None:
            self._control("local_data", f"{zone}. 60 IN A {address}")
        try:
            yield
        finally:
            self._control("local_zone_remove", zone)

    @contextmanager
    def cut_off(self, zone: str) -> Iterator[None]:
        """It finds no way to the zone inside the block, and answers SERVFAIL."""
        self._control("stub_remove", zone)
        try:
            yield
        finally:
            self._control("stub_add", zone, f"{self._lists.address}@{self._lists.port}")
            self.forget(zone)

    def forget(self, zone: str) -> None:
        """What it could not find out: it keeps a failure for five seconds."""
        self._control("flush_zone", zone)

    @contextmanager
    def truncating(self) -> Iterator[None]:
        """No answer fits into a datagram inside the block."""
        self._control("set_option", "max-udp-size:", str(_TINY_UDP_OCTETS))
        try:
            yield
        finally:
            self._control("set_option", "max-udp-size:", str(_UDP_OCTETS))

    def prepare(self) -> None:
        stubs = "".join(
            f'stub-zone:\n    name: "{zone}"\n    stub-addr: {self._lists.address}@{self._lists.port}\n'
            for zone in self._zones
        )
        cache = "" if self._is_caching else "    cache-max-ttl: 0\n    cache-max-negative-ttl: 0\n"
        (self.directory / "unbound.conf").write_text(
            f'server:\n    username: ""\n    chroot: ""\n    directory: "{self.directory}"\n    pidfile: ""\n'
            f"    use-syslog: no\n    interface: {self.address}\n    port: {self.port}\n    do-ip6: no\n"
            f"    num-threads: 1\n    access-control: 127.0.0.0/8 allow\n    do-not-query-localhost: no\n"
            f"    outgoing-interface: {self._source}\n    max-udp-size: {_UDP_OCTETS}\n"
            # Nothing here is signed, and the root's keys cannot be reached.
            '    module-config: "iterator"\n'
            f"{cache}    infra-host-ttl: 0\n"
            f"remote-control:\n    control-enable: yes\n    control-use-cert: no\n"
            f"    control-interface: {self.directory / 'control'}\n{stubs}"
        )

    def arguments(self) -> Sequence[str]:
        return "-d", "-p", "-c", str(self.directory / "unbound.conf")

    def is_serving(self) -> bool:
        return _answers(self.address, self.port, self._zones[0])

    def _control(self, *command: str) -> None:
        program = find_program("unbound-control")
        assert program, f"unbound-control is not installed: apt-get install {self.package}"
        subprocess.run(
            [program, "-c", str(self.directory / "unbound.conf"), *command],
            check=True,
            capture_output=True,
            timeout=_COMMAND_SECONDS,
        )


class DnsdistServer(ServerProcess):
    """dnsdist in front of a blacklist server: a bad road for each port.

    The road that loses questions never loses those of `sure` names, given as a pattern.
    """

    package, binary = "dnsdist", "dnsdist"

    def __init__(
        self,
        directory: Path,
        lists: BlacklistServer,
        *,
        lost_share: float = 0.3,
        sure: str = "^$",
        delay_milliseconds: int = 300,
        questions_per_second: int = 50,
    ) -> None:
        super().__init__(directory)
        self._lists = lists
        self._lost_share = lost_share
        self._sure = sure
        self._delay_milliseconds = delay_milliseconds
        self._questions_per_second = questions_per_second
        self._lossy_port, self._slow_port, self._metered_port = free_port(), free_port(), free_port()

    @property
    def lossy(self) -> Resolver:
        """Loses a share of the questions."""
        return Resolver(self.address, self._lossy_port)

    @property
    def slow(self) -> Resolver:
        """Answers everything late."""
        return Resolver(self.address, self._slow_port)

    @property
    def metered(self) -> Resolver:
        """Answers 127.255.255.255 to whoever asks too much."""
        return Resolver(self.address, self._metered_port)

    def prepare(self) -> None:
        listening = "".join(
            f'addLocal("{self.address}:{port}")\n' for port in (self._lossy_port, self._slow_port, self._metered_port)
        )
        (self.directory / "dnsdist.conf").write_text(
            f'setLocal("{self.address}:{self.port}")\n{listening}'
            f'newServer({{address="{self._lists.server}", healthCheckMode="up"}})\n'
            # It would ask the world whether it is up to date.
            'setSecurityPollSuffix("")\n'
            f"addAction(AndRule({{DSTPortRule({self._lossy_port}), ProbaRule({self._lost_share}), "
            f'NotRule(RegexRule("{self._sure}"))}}), DropAction())\n'
            f"addAction(DSTPortRule({self._slow_port}), DelayAction({self._delay_milliseconds}))\n"
            f"addAction(AndRule({{DSTPortRule({self._metered_port}), "
            f'NotRule(MaxQPSRule({self._questions_per_second}))}}), SpoofAction({{"127.255.255.255"}}))\n'
        )

    def arguments(self) -> Sequence[str]:
        return "--supervised", "--disable-syslog", "-C", str(self.directory / "dnsdist.conf")

    def is_serving(self) -> bool:
        return _answers(self.address, self.port, self._lists.zones[0])


def _answers(address: str, port: int, zone: str) -> bool:
    query = dns.message.make_query(zone, "SOA")
    try:
        response = dns.query.udp(query, address, port=port, timeout=_ANSWER_SECONDS)
    except (OSError, dns.exception.DNSException):
        return False
    return response.rcode() == dns.rcode.NOERROR
