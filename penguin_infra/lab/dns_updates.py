"""What a dynamic update asks for first, and what it changes (RFC 2136 s3.2 and s3.4), within a zone's transaction.

Who may ask is `dns_responder.py`'s; where records are kept, `dns_zone.py`'s.
"""

from collections import defaultdict
from collections.abc import Iterable

import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdataset
import dns.rdatatype
import dns.rrset
import dns.transaction
import dns.update

# Without them a zone is none.
_APEX_TYPES = frozenset({dns.rdatatype.SOA, dns.rdatatype.NS})


class UpdateRefused(Exception):
    """The update is not carried out; `rcode` tells its sender why."""

    def __init__(self, rcode: dns.rcode.Rcode) -> None:
        super().__init__(dns.rcode.to_text(rcode))
        self.rcode = rcode


def apply_update(
    transaction: dns.transaction.Transaction, origin: dns.name.Name, update: dns.update.UpdateMessage
) -> None:
    """Check what the update asks for first, then change what it says. Errors: `UpdateRefused`."""
    if not all(each.name.is_subdomain(origin) for each in (*update.prerequisite, *update.update)):
        raise UpdateRefused(dns.rcode.NOTZONE)
    _check_prerequisites(transaction, update.prerequisite)
    _require_real_types(update.update)
    for change in update.update:
        _change(transaction, origin, change)


def _check_prerequisites(transaction: dns.transaction.Transaction, prerequisites: Iterable[dns.rrset.RRset]) -> None:
    """The five forms of s2.4; each may stand there several times."""
    expected: dict[tuple[dns.name.Name, dns.rdatatype.RdataType], set[dns.rdata.Rdata]] = defaultdict(set)
    for one in prerequisites:
        if one.rdclass != dns.rdataclass.IN or one.ttl:
            raise UpdateRefused(dns.rcode.FORMERR)
        if one.deleting is None:
            expected[one.name, one.rdtype] |= set(one)
        elif one.rdtype == dns.rdatatype.ANY:
            _require_name(transaction, one.name, is_wanted=one.deleting == dns.rdataclass.ANY)
        else:
            _require_records(transaction, one.name, one.rdtype, is_wanted=one.deleting == dns.rdataclass.ANY)
    for (name, rdtype), values in expected.items():
        if set(transaction.get(name, rdtype) or ()) != values:
            raise UpdateRefused(dns.rcode.NXRRSET)


def _require_name(transaction: dns.transaction.Transaction, name: dns.name.Name, *, is_wanted: bool) -> None:
    if transaction.name_exists(name) != is_wanted:
        raise UpdateRefused(dns.rcode.NXDOMAIN if is_wanted else dns.rcode.YXDOMAIN)


def _require_records(
    transaction: dns.transaction.Transaction, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, *, is_wanted: bool
) -> None:
    if (transaction.get(name, rdtype) is not None) != is_wanted:
        raise UpdateRefused(dns.rcode.NXRRSET if is_wanted else dns.rcode.YXRRSET)


def _require_real_types(changes: Iterable[dns.rrset.RRset]) -> None:
    if any(dns.rdatatype.is_metatype(change.rdtype) for change in changes if change.deleting is None):
        raise UpdateRefused(dns.rcode.FORMERR)


def _change(transaction: dns.transaction.Transaction, origin: dns.name.Name, change: dns.rrset.RRset) -> None:
    if change.name == origin and change.rdtype in {*_APEX_TYPES, dns.rdatatype.ANY}:
        return
    records = dns.rdataset.from_rdata_list(0, list(change)) if len(change) else None
    if change.deleting is None and records is not None:
        transaction.add(change.name, records)
    elif change.rdtype == dns.rdatatype.ANY:
        transaction.delete(change.name)
    elif records is None:
        transaction.delete(change.name, change.rdtype)
    else:
        transaction.delete(change.name, records)
