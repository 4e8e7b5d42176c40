"""The name servers that hosts are published at: a forward zone, and the reverse zone of the hosts' own networks.

What a server is stands in `name_servers`; here are the hosts' zones, a given key, and a restart.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path

import dns.exception
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype

from penguin_infra_tests import name_servers
from penguin_infra_tests.hosts.cache import cache_directory
from penguin_infra_tests.name_servers import FORWARD_ZONE, NameServer, TsigKey

REVERSE_ZONE = "77.10.in-addr.arpa"
_APPARMOR = Path("/sys/module/apparmor/parameters/enabled")


class DnsPeer(NameServer):
    """A server under a key that the caller chose; on loopback unless an address is given."""

    def __init__(
        self,
        directory: Path,
        *,
        key_name: str,
        secret: str,
        address: str = "127.0.0.1",
        port: int | None = None,
        zones: Sequence[str] = (FORWARD_ZONE, REVERSE_ZONE),
    ) -> None:
        super().__init__(directory, zones=zones, key=TsigKey(key_name, secret), address=address, port=port)

    @classmethod
    def find_binary(cls) -> str | None:
        """A copy where AppArmor rules: it knows servers by their path, and keeps them to the system's folders."""
        installed = super().find_binary()
        if installed is None or not _APPARMOR.exists() or _APPARMOR.read_text().strip() != "Y":
            return installed
        return str(shutil.copy(installed, str(cache_directory())))

    def restart(self) -> None:
        self.stop()
        self.start()

    def is_answering(self) -> bool:
        """Whether it speaks for all its zones now."""
        return all(self._is_answered(zone) for zone in self.zones)

    def _is_answered(self, zone: str) -> bool:
        question = dns.message.make_query(zone, dns.rdatatype.SOA)
        try:
            answer = dns.query.udp(question, self.address, port=self.port, timeout=2)
        except (OSError, dns.exception.DNSException):
            return False
        return answer.rcode() == dns.rcode.NOERROR and bool(answer.answer)


class KnotServer(DnsPeer, name_servers.KnotServer):
    """Knot, the default peer: an unsigned update is NOTAUTH."""


class BindServer(DnsPeer, name_servers.BindServer):
    """BIND, the second: an unsigned update is REFUSED."""
