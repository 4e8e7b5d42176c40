"""One list by one address family in one sweep: whom it is asked about, who sees it healthy, and when it is spared.

How questions travel is `exchange.py`'s, what is done with a route `sweep.py`'s.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Network

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.exchange import Pace, Query
from penguin_infra.dnsbl.list_health import is_quota_error, test_points
from penguin_infra.dnsbl.questions import Address
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.domain.list_health import Fault, ListFault, ListHealth
from penguin_infra.domain.listing import Observation, Verdict

# A list that fails more than every second question says nothing useful and is spared the rest of the sweep ...
BREAK_ABOVE_ERROR_SHARE = 0.5
# ... but one lost packet of three questions is no pattern yet.
BREAK_AFTER_QUESTIONS = 20

# Addresses that one answer is about; the first is the one that is asked about.
Group = Sequence[Address]


@dataclass(slots=True, eq=False)
class Ration:
    """What one list lets itself be asked in this sweep: its terms know neither families nor resolvers."""

    pace: Pace | None = None
    is_used_up: bool = False
    asked: int = 0


@dataclass(slots=True, eq=False)
class Route:
    """One list by one address family. `hits`: the groups that it listed."""

    blacklist: Blacklist
    ip_version: int
    groups: list[Group]
    ration: Ration
    health: dict[Resolver, ListHealth] = field(default_factory=dict)
    found: list[tuple[Group, Observation]] = field(default_factory=list)
    hits: list[Group] = field(default_factory=list)
    asked: int = 0
    failed: int = 0
    is_broken: bool = False

    @property
    def healthy(self) -> list[Resolver]:
        """The resolvers through which it is believed, in their order."""
        return [resolver for resolver, health in self.health.items() if health.is_healthy]

    def is_over(self) -> bool:
        """Whether it is spared the rest of the sweep."""
        return self.is_broken or self.ration.is_used_up

    @property
    def fault(self) -> Fault | None:
        """Why the list is not believed, whatever its test points said."""
        if self.ration.is_used_up:
            return Fault(ListFault.QUOTA, "answered that it was asked too much: spared the rest of this sweep")
        if self.is_broken:
            words = f"{self.failed} of {self.asked} questions failed: spared the rest of this sweep"
            return Fault(ListFault.MOSTLY_ERRORS, words)
        return None

    @property
    def test_groups(self) -> list[Group]:
        """Its test points, each by itself."""
        listed, unlisted = test_points(self.blacklist, self.ip_version)
        return [(point,) for point in (*listed, *unlisted)]

    @property
    def unasked(self) -> list[Group]:
        """The groups that nothing is known of."""
        if len(self.found) >= len(self.groups):
            return []
        known = {group[0] for group, _ in self.found}
        return [group for group in self.groups if group[0] not in known]

    def note(self, group: Group, seen: Observation) -> None:
        """Keep what a look at a group showed, and how the list does by that."""
        self.found.append((group, seen))
        self.asked += 1
        if seen.verdict is Verdict.ERROR:
            self.failed += 1
            self.ration.is_used_up |= is_quota_error(self.blacklist, seen)
            # Once is enough: what comes late does not mend a list.
            self.is_broken |= self.asked >= BREAK_AFTER_QUESTIONS and self.failed > self.asked * BREAK_ABOVE_ERROR_SHARE

    def queries(self, groups: Iterable[Group]) -> Iterator[Query]:
        """The questions about these groups. Errors: `ValueError`, at once, where its name with its key is none."""
        tail = wire.question(wire.zone_labels(self.blacklist.query_zone))
        return (Query(group, wire.reversed_labels(group[0]) + tail) for group in groups)


def routes_of(askings: Sequence[Asking]) -> Iterator[Route]:
    """A route for each list and each family of its addresses; IPv6 only where the list holds it."""
    rations: dict[str, Ration] = {}
    for asking in askings:
        per_second = asking.blacklist.max_questions_per_second
        ration = rations.setdefault(asking.blacklist.zone, Ration(Pace(per_second) if per_second else None))
        for version in (4, 6):
            addresses = [address for address in asking.addresses if address.version == version]
            if addresses and (version == 4 or asking.blacklist.ipv6):
                yield Route(asking.blacklist, version, _groups(asking.blacklist, addresses), ration)


def _groups(blacklist: Blacklist, addresses: Iterable[Address]) -> list[Group]:
    groups: dict[object, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        is_single = isinstance(address, IPv4Address) or blacklist.ipv6_prefix == 128
        key = address if is_single else IPv6Network((address, blacklist.ipv6_prefix), strict=False)
        groups.setdefault(key, []).append(address)
    return list(groups.values())
