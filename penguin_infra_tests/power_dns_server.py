"""PowerDNS over SQLite as a peer in tests: the third of the name servers, beside `name_servers.py`."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from penguin_infra_tests.name_servers import START_OF_AUTHORITY, NameServer

_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")


class PowerDnsServer(NameServer):
    """PowerDNS over SQLite: the third peer."""

    package, binary = "pdns-server pdns-backend-sqlite3", "pdns_server"

    @classmethod
    def find_binary(cls) -> str | None:
        return super().find_binary() if _SCHEMA.exists() else None

    def prepare(self) -> None:
        database = sqlite3.connect(self.directory / "zones.sqlite3")
        database.executescript(_SCHEMA.read_text())
        row = self.key.name, self.key.algorithm, self.key.secret
        database.execute("INSERT INTO tsigkeys (name, algorithm, secret) VALUES (?, ?, ?)", row)
        for number, zone in enumerate(self.zones, 1):
            database.execute("INSERT INTO domains (id, name, type) VALUES (?, ?, 'NATIVE')", (number, zone))
            for kind in ("TSIG-ALLOW-DNSUPDATE", "TSIG-ALLOW-AXFR"):
                database.execute(
                    "INSERT INTO domainmetadata (domain_id, kind, content) VALUES (?, ?, ?)",
                    (number, kind, self.key.name),
                )
            infrastructure = [
                (zone, "SOA", START_OF_AUTHORITY.replace(".{zone}. ", ".{zone} ").format(zone=zone)),
                (zone, "NS", f"ns.{zone}"),
                (f"ns.{zone}", "A", self.address),
            ]
            database.executemany(
                f"INSERT INTO records (domain_id, name, type, content, ttl, auth) VALUES ({number}, ?, ?, ?, 300, 1)",
                infrastructure,
            )
        database.commit()
        database.close()
        (self.directory / "pdns.conf").write_text(
            f"launch=gsqlite3\ngsqlite3-database={self.directory / 'zones.sqlite3'}\n"
            f"local-address={self.address}\nlocal-port={self.port}\nsocket-dir={self.directory}\n"
            "daemon=no\nguardian=no\ndisable-syslog=yes\nloglevel=4\nreceiver-threads=1\ndistributor-threads=1\n"
            # Without these a change shows only after up to a minute.
            "cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n"
            "dnsupdate=yes\nallow-dnsupdate-from=0.0.0.0/0\nallow-axfr-ips=0.0.0.0/0\n"
        )

    def arguments(self) -> Sequence[str]:
        return (f"--config-dir={self.directory}",)
