"""The adapter for a zone that takes dynamic updates (RFC 2136): what is read, asked for, and seen to be done.

The exchange of a message, and what a refusal means, stand in `primary_server.py`.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TypeVar

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.update
import stamina
from dns.rdtypes.ANY.CNAME import CNAME

from penguin_infra.dns_records.primary_server import NotAsExpected, PrimaryServer
from penguin_infra.dns_records.publisher import DnsRefused, DnsUnavailable, Record, RecordTaken, RecordType
from penguin_infra.dns_records.record_data import make_rdata, value_of

logger = logging.getLogger(__name__)

_LONGEST_WAIT_SECONDS = 8.0
_LOOK_EVERY_SECONDS = 0.1

T = TypeVar("T")

_Place = tuple[dns.name.Name, RecordType]
_Wanted = Mapping[_Place, frozenset[str]]


@dataclass(frozen=True, slots=True)
class _Held:
    """What is at a name and type; `alias` is the target where the name is a CNAME instead."""

    rdatas: tuple[dns.rdata.Rdata, ...] = ()
    alias: str | None = None

    @property
    def values(self) -> frozenset[str]:
        return frozenset(map(value_of, self.rdatas))

    def is_within(self, values: frozenset[str]) -> bool:
        return self.alias is None and self.values <= values


class DynamicUpdatePublisher:
    """A `DnsPublisher` by dynamic updates to the zone's primary server.

    Unsigned without a key. Raises `DnsSettingError` (a ValueError) where a setting cannot be used. An exchange waits
    `timeout_seconds` at most; what a repeat may mend is tried `attempts` times, with growing waits between.
    """

    def __init__(
        self,
        *,
        zone: str,
        server: str,
        key_name: str | None,
        key_secret: str | None,
        key_algorithm: str,
        timeout_seconds: float = 5.0,
        attempts: int = 3,
        ttl_seconds: int = 300,
        first_wait_seconds: float = 0.5,
    ) -> None:
        self._server = PrimaryServer(
            zone=zone,
            server=server,
            key_name=key_name,
            key_secret=key_secret,
            key_algorithm=key_algorithm,
            timeout_seconds=timeout_seconds,
        )
        self._timeout_seconds = timeout_seconds
        self._attempts = attempts
        self._ttl_seconds = ttl_seconds
        self._first_wait_seconds = first_wait_seconds

    def __repr__(self) -> str:
        return f"DynamicUpdatePublisher(zone={self.zone!r}, server={str(self._server)!r})"

    @property
    def zone(self) -> str:
        """The zone, without the last dot."""
        return self._server.zone.to_text(omit_final_dot=True)

    def publish(self, records: Collection[Record], *, ours: Collection[Record] = ()) -> None:
        """Let the names hold exactly these records, all in one change; what `ours` has at other names stays."""
        wanted, former = self._by_place(records), self._by_place(ours)
        self._repeat(lambda: self._publish(wanted, former))

    def remove(self, records: Collection[Record]) -> None:
        """Take exactly these records away, all in one change."""
        unwanted = self._by_place(records)
        self._repeat(lambda: self._remove(unwanted))

    def read(self, name: str, rdtype: RecordType) -> frozenset[str]:
        """What the primary server holds there itself; an alias is not followed."""
        place = self._parse_name(name), rdtype
        return self._repeat(lambda: self._look(place)).values

    def _publish(self, wanted: _Wanted, former: _Wanted) -> None:
        changes = self._differences(wanted)
        if not changes:
            return
        update = dns.update.UpdateMessage(self._server.zone)
        for place, held in changes.items():
            # What is not ours is not replaced: the server is told that nothing may be there, and has the last word.
            is_ours = held.is_within(former.get(place, frozenset()))
            self._replace(update, place, held.rdatas if is_ours else (), wanted[place])
        try:
            self._server.update(update)
        except NotAsExpected as refusal:
            self._explain(refusal, self._differences(wanted), former)
        else:
            logger.info("published at %s: %s", self._server, _listed(wanted))
            self._await("does not show", lambda: not self._differences(wanted))

    def _differences(self, wanted: _Wanted) -> Mapping[_Place, _Held]:
        """Where it is not as wanted, and what is there instead."""
        found = {place: self._look(place) for place in wanted}
        return {place: held for place, held in found.items() if held.values != wanted[place]}

    def _replace(
        self,
        update: dns.update.UpdateMessage,
        place: _Place,
        former: Collection[dns.rdata.Rdata],
        wanted: Collection[str],
    ) -> None:
        """Have the server see that just these are there (none: that nothing is), and change them in the same step."""
        name, rdtype = place
        # An address beside an alias would be dropped without a word (RFC 2136 s3.4.2.2).
        update.absent(name, dns.rdatatype.CNAME)
        if former:
            update.present(name, *former)
            update.delete(name, *former)
        else:
            update.absent(name, rdtype)
        update.add(name, self._ttl_seconds, *(make_rdata(rdtype, value) for value in sorted(wanted)))

    def _explain(self, refusal: NotAsExpected, found: Mapping[_Place, _Held], former: _Wanted) -> None:
        """Whose records the server found; by the second look they may be just what was wanted."""
        taken = [
            f"{name.to_text(omit_final_dot=True)} "
            + (f"is an alias of {held.alias}" if held.alias else f"{rdtype} holds {_quoted(held.values)}")
            for (name, rdtype), held in found.items()
            if not held.is_within(former.get((name, rdtype), frozenset()))
        ]
        if taken:
            raise RecordTaken(
                f"{refusal}: {'; '.join(taken)}, which is not ours. Nothing was changed: remove that there, or give "
                "the node another label"
            )
        if found:
            raise DnsUnavailable(f"{refusal}: {_listed(found)} changed while we looked. Who else writes there?")

    def _remove(self, unwanted: _Wanted) -> None:
        update = dns.update.UpdateMessage(self._server.zone)
        for place, values in unwanted.items():
            doomed = [rdata for rdata in self._look(place).rdatas if value_of(rdata) in values]
            if doomed:
                update.delete(place[0], *doomed)
        if not update.update:
            return
        self._server.update(update)
        logger.info("removed at %s: %s", self._server, _listed(unwanted))
        self._await(
            "is still there",
            lambda: all(self._look(place).values.isdisjoint(values) for place, values in unwanted.items()),
        )

    def _look(self, place: _Place) -> _Held:
        name, rdtype = place
        answer = self._server.ask(name, dns.rdatatype.from_text(rdtype))
        rdatas: tuple[dns.rdata.Rdata, ...] = ()
        for rrset in answer.answer:
            if rrset.name != name:
                continue
            if isinstance(rrset[0], CNAME):
                return _Held(alias=rrset[0].target.to_text(omit_final_dot=True))
            if dns.rdatatype.to_text(rrset.rdtype) == rdtype:
                rdatas += tuple(rrset)
        return _Held(rdatas)

    def _await(self, failure: str, is_done: Callable[[], bool]) -> None:
        """The server said that it is done; it may still take a moment until its answers say so."""
        deadline = time.monotonic() + self._timeout_seconds
        while not is_done():
            if time.monotonic() > deadline:
                raise DnsUnavailable(
                    f"{self._server} accepted a change of the zone {self.zone}, but after {self._timeout_seconds:g} s "
                    f"it {failure}. Is PENGUIN_DNS_SERVER the primary itself?"
                )
            time.sleep(_LOOK_EVERY_SECONDS)

    def _repeat(self, act: Callable[[], T]) -> T:
        for attempt in stamina.retry_context(
            on=DnsUnavailable,
            attempts=self._attempts,
            timeout=None,  # attempts and waits are bounded
            wait_initial=self._first_wait_seconds,
            wait_max=_LONGEST_WAIT_SECONDS,
            wait_jitter=self._first_wait_seconds,
        ):
            with attempt:
                return act()
        raise AssertionError("the last attempt returns or raises")

    def _by_place(self, records: Collection[Record]) -> _Wanted:
        found: dict[_Place, set[str]] = defaultdict(set)
        for record in records:
            make_rdata(record.rdtype, record.value)
            found[self._parse_name(record.name), record.rdtype].add(record.value)
        return {place: frozenset(values) for place, values in found.items()}

    def _parse_name(self, text: str) -> dns.name.Name:
        try:
            name = dns.name.from_text(text)
        except (dns.exception.DNSException, UnicodeError) as error:
            raise DnsRefused(f"{text!r} is no name ({error}): nothing was sent") from None
        if not name.is_subdomain(self._server.zone):
            raise DnsRefused(f"{text} is not within PENGUIN_DNS_ZONE ({self.zone}): nothing was sent")
        return name


def _listed(places: Collection[_Place]) -> str:
    return ", ".join(sorted(f"{name.to_text(omit_final_dot=True)} {rdtype}" for name, rdtype in places))


def _quoted(values: Collection[str]) -> str:
    return ", ".join(map(repr, sorted(values)))
