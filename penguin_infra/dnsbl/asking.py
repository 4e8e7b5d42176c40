"""What a sweep is to ask: one list and the addresses, the most urgent first."""

from collections.abc import Sequence
from dataclasses import dataclass

from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.questions import Address


@dataclass(frozen=True, slots=True)
class Asking:
    """One list and the addresses that it is to be asked about, in this order."""

    blacklist: Blacklist
    addresses: Sequence[Address]
