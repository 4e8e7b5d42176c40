"""One zone of the lab's DNS, in memory and in its zone file, with what any zone can do.

Records and files only. Blacklists and their faults are `dns_zones.py`'s, the rules of an update `dns_updates.py`'s.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.exception
import dns.name
import dns.rdataset
import dns.rdatatype
import dns.transaction
import dns.update
import dns.zone

from penguin_infra.lab.dns_updates import apply_update

# The nodes' names, and their addresses' names: every address of the lab is a loopback one.
FORWARD_ZONE = "nodes.lab.test"
REVERSE_ZONE = "127.in-addr.arpa"

_APEX = (
    ("SOA", "ns.lab.invalid. hostmaster.lab.invalid. 1 3600 600 86400 2"),
    ("NS", "ns.lab.invalid."),
)

_Write = Callable[[dns.transaction.Transaction], None]


class LabDnsError(Exception):
    """The lab's DNS cannot be served, asked or changed; the message says why and what to do."""


class LabZone:
    """A zone whose every change is on disk before it is shown. `is_key_needed`: to change and to transfer it."""

    def __init__(self, zone: str, directory: Path, *, is_key_needed: bool = False) -> None:
        self.origin = dns.name.from_text(zone)
        self.is_key_needed = is_key_needed
        self._file = directory / f"{zone}.zone"
        self._records = self._load()
        self._write(self._furnish)

    def holds(self, name: dns.name.Name) -> bool:
        """Whether a name exists, if only as the parent of one that does (an empty non-terminal, RFC 8020)."""
        return name in self._names

    def find(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> list[dns.rdataset.Rdataset]:
        """The records at a name of one type, or of all for ANY."""
        if rdtype == dns.rdatatype.ANY:
            node = self._records.get_node(name)
            return list(node.rdatasets) if node else []
        found = self._records.get_rdataset(name, rdtype)
        return [] if found is None else [found]

    def start_of_authority(self) -> dns.rdataset.Rdataset:
        """The SOA record, which negative answers carry."""
        return self._records.find_rdataset(self.origin, dns.rdatatype.SOA)

    def everything(self) -> Iterator[tuple[dns.name.Name, dns.rdataset.Rdataset]]:
        """All records but the SOA, for a zone transfer."""
        for name, rdataset in self._records.iterate_rdatasets():
            if rdataset.rdtype != dns.rdatatype.SOA:
                yield name, rdataset

    def change(self, update: dns.update.UpdateMessage) -> None:
        """Carry out a dynamic update as a whole, or not at all. Errors: `UpdateRefused`, `OSError`."""

        def write(transaction: dns.transaction.Transaction) -> None:
            apply_update(transaction, self.origin, update)
            transaction.update_serial(name=self.origin)

        self._write(write)

    def _furnish(self, transaction: dns.transaction.Transaction) -> None:
        """What the zone holds whatever its file said."""
        for rdtype, text in _APEX:
            transaction.replace(self.origin, dns.rdataset.from_text("IN", rdtype, 0, text))

    def _settle(self) -> None:
        """Bring what is derived from the records up to them."""
        self._names = {self.origin}
        for name in self._records:
            while name not in self._names:
                self._names.add(name)
                name = name.parent()  # noqa: PLW2901 - climbs to the apex

    def _load(self) -> dns.zone.Zone:
        if not self._file.exists():
            return dns.zone.Zone(self.origin, relativize=False)
        try:
            return dns.zone.from_file(str(self._file), self.origin, relativize=False)
        except (dns.exception.DNSException, OSError) as error:
            raise LabDnsError(f"{self._file} is no zone file ({error}): mend or remove it") from error

    def _write(self, write: _Write) -> None:
        with self._records.writer() as transaction:
            write(transaction)
            # Whatever fails up to here leaves the records as they were.
            self._save(transaction)
        self._settle()

    def _save(self, transaction: dns.transaction.Transaction) -> None:
        unfinished = self._file.with_suffix(".new")
        with unfinished.open("w", encoding="ascii") as file:
            for name, rdataset in sorted(transaction.iterate_rdatasets(), key=lambda pair: pair[0]):
                file.write(rdataset.to_text(name, relativize=False) + "\n")
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self._file)
