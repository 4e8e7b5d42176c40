"""What the system needs of a DNS zone: the port that the adapter (`dynamic_update.py`, RFC 2136) implements.

DnsError               a name could not be published, removed or read; the message names server, zone and name
├── DnsUnavailable     no answer, or SERVFAIL: a repeat may help
├── DnsRefused         the server will not take it: names the setting at fault (key, zone, server's own policy)
└── RecordTaken        the name holds records that we did not make: never overwritten, never removed
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, Protocol

from penguin_infra.domain.verification import NoAnswer

RecordType = Literal["A", "TXT"]


@dataclass(frozen=True, slots=True, order=True)
class Record:
    """One record: its full name without the last dot, and its value (an address, or the text without quotes)."""

    name: str
    rdtype: RecordType
    value: str


class DnsError(Exception):
    """A name could not be published, removed or read."""


class DnsUnavailable(DnsError, NoAnswer):
    """The server did not answer, or not with an answer."""


class DnsRefused(DnsError):
    """The server refused; a repeat changes nothing."""


class RecordTaken(DnsError):
    """The name holds records of somebody else."""


class DnsPublisher(Protocol):
    """Publishes into one zone. Every call has a time-out, may be repeated, and raises `DnsError`s."""

    @property
    def zone(self) -> str:
        """The zone, without the last dot."""
        ...

    def publish(self, records: Collection[Record], *, ours: Collection[Record] = ()) -> None:
        """Let the names hold exactly these records, and read them back at the authoritative server.

        `ours` are those that we made before: they may be there, and are replaced. Of a name and type that holds
        anything else the server itself refuses the change (prerequisites), and `RecordTaken` is raised.
        """
        ...

    def remove(self, records: Collection[Record]) -> None:
        """Take exactly these records away, whatever else their names hold; one that is not there counts as done."""
        ...

    def read(self, name: str, rdtype: RecordType) -> frozenset[str]:
        """What the authoritative server holds there; empty where nothing is."""
        ...
