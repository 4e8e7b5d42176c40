"""A node's names in DNS: which records make mail from it believable, and which ones have outlived their purpose."""

from collections.abc import Iterable
from ipaddress import IPv4Address
from typing import NamedTuple

PTR = "PTR"


class NamedRecord(NamedTuple):
    """A record by name, type (`A`, `TXT`, `PTR`) and value; names without the last dot."""

    name: str
    rdtype: str
    value: str


def forward_records(hostname: str, ip_address: IPv4Address) -> tuple[NamedRecord, ...]:
    """The address of the name that the node says HELO with, and the SPF record for it (RFC 7208 s2.3)."""
    return (
        NamedRecord(hostname, "A", str(ip_address)),
        NamedRecord(hostname, "TXT", f"v=spf1 ip4:{ip_address} -all"),
    )


def reverse_record(hostname: str, ip_address: IPv4Address) -> NamedRecord:
    """The address's name, which the provider publishes."""
    return NamedRecord(ip_address.reverse_pointer, PTR, hostname)


def dkim_record(hostname: str, selector: str, public_key: str) -> NamedRecord:
    """The key that the node signs with (RFC 6376 s3.6.1); `public_key` in base64."""
    return NamedRecord(f"{selector}._domainkey.{hostname}", "TXT", f"v=DKIM1; k=rsa; p={public_key}")


def find_stray(
    records: Iterable[NamedRecord], *, hostname: str | None, ip_address: IPv4Address | None
) -> list[NamedRecord]:
    """Those of a node's records that its present name and address do not ask for; `None`: it has neither any more."""
    if hostname is None or ip_address is None:
        return list(records)
    wanted = {*forward_records(hostname, ip_address), reverse_record(hostname, ip_address)}
    keys = f"._domainkey.{hostname}"
    return [record for record in records if record not in wanted and not record.name.endswith(keys)]
