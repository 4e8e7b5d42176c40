"""Which address the simulated Hostwind gives to a new instance: one of its own loopback range, or of those it was told.

An address is kept as a number: below 2**24 its place in the range, from there on the address itself.
"""

import sqlite3
from collections.abc import Sequence
from ipaddress import IPv4Address
from typing import Protocol

_LOWEST_ADDRESS = IPv4Address("127.77.0.0")
_HOSTS_A_BLOCK = 254  # .0 and .255 are left out: some tools take them for a network and a broadcast
_ADDRESS_COUNT = 256 * _HOSTS_A_BLOCK
_FIRST_ITSELF = 2**24

_FREE_SINCE = """
SELECT address_number, MAX(deleted_at) AS freed_at FROM instances WHERE address_number IS NOT NULL
GROUP BY address_number HAVING COUNT(*) = COUNT(deleted_at) ORDER BY freed_at
"""


class NoAddressLeft(Exception):
    """Every address is held by a live instance."""


class AddressPool(Protocol):
    """Where addresses come from. An address's reputation outlives its holder: a never used one comes first.

    `is_waited_for`: when none is free an instance is created without one, and stays so; else it is refused.
    """

    is_waited_for: bool

    def pick(self, database: sqlite3.Connection) -> int:
        """The number of the address that comes next. Errors: `NoAddressLeft`."""
        ...


class LoopbackRange:
    """The lab's own addresses, 127.77.0.1 and on."""

    is_waited_for = False

    def pick(self, database: sqlite3.Connection) -> int:
        """The next in the range, and when all were used the one that has been free for longest."""
        never_used: int = database.execute(
            "SELECT COALESCE(MAX(address_number) + 1, 0) FROM instances WHERE address_number < ?", (_FIRST_ITSELF,)
        ).fetchone()[0]
        if never_used < _ADDRESS_COUNT:
            return never_used
        free = [number for number in _free_numbers(database) if number < _FIRST_ITSELF]
        if not free:
            raise NoAddressLeft
        return free[0]


class GivenAddresses:
    """Addresses that somebody named: real hosts, for instance."""

    is_waited_for = True

    def __init__(self, addresses: Sequence[IPv4Address]) -> None:
        self._numbers = [int(address) for address in addresses]

    def pick(self, database: sqlite3.Connection) -> int:
        """The first that was never used, then the one that has been free for longest."""
        used = {row["address_number"] for row in database.execute("SELECT address_number FROM instances")}
        candidates = [
            *(number for number in self._numbers if number not in used),
            *(number for number in _free_numbers(database) if number in self._numbers),
        ]
        if not candidates:
            raise NoAddressLeft
        return candidates[0]


def _free_numbers(database: sqlite3.Connection) -> list[int]:
    """Those that were used and are free again, the longest free first."""
    return [row["address_number"] for row in database.execute(_FREE_SINCE)]


def address_of(number: int) -> IPv4Address:
    """The address that a number stands for."""
    if number >= _FIRST_ITSELF:
        return IPv4Address(number)
    block, host = divmod(number, _HOSTS_A_BLOCK)
    return _LOWEST_ADDRESS + block * 256 + host + 1
