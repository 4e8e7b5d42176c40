"""A list that is broken in the lab, in each way that a list can be: nobody is paused, it is told once, and it heals."""

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine, text

from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing_alerts import LIST_QUARANTINED, LIST_RESTING
from penguin_infra.lab.dns_zones import Fault
from penguin_infra_tests.dns_process import DnsProcess, running_dns
from penguin_infra_tests.fleets import address
from penguin_infra_tests.scenarios.blacklist_watch import Watch
from penguin_infra_tests.scenarios.unwell_lists import assert_nothing_happens_but

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"


@pytest.fixture(scope="module")
def lab_dns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DnsProcess]:
    with running_dns(tmp_path_factory.mktemp("dns")) as process:
        yield process


@pytest.mark.parametrize(
    ("mode", "fault", "rule"),
    [
        ("wildcard", ListFault.WILDCARDED, LIST_QUARANTINED),
        ("empty", ListFault.EMPTIED, LIST_QUARANTINED),
        ("timeout", ListFault.SILENT, LIST_QUARANTINED),
        # It answers that it was asked too much, and so is left alone for a while, too.
        ("error-code", ListFault.QUOTA, LIST_RESTING),
    ],
)
def test_a_list_that_is_broken_in_the_lab_pauses_nobody_is_told_once_and_heals(
    engine: Engine, lab_dns: DnsProcess, mode: str, fault: ListFault, rule: str
) -> None:
    watch = Watch(engine, [lab_dns.resolver], [ZEN, SPAMCOP])
    lab_dns.list_ip(str(address(1)), ZEN)
    lab_dns.list_ip(str(address(2)), SPAMCOP)
    watch.sweep()
    before = watch.picture()
    assert (len(before.listings), len(before.pauses)) == (2, 1)
    broken = lab_dns.broken(SPAMCOP, Fault(mode))
    words = assert_nothing_happens_but((rule, SPAMCOP), watch, before, broken, sweeps=2, minutes=30)
    assert SPAMCOP in words
    assert faults_in_history(engine, SPAMCOP) == [fault, None]


def faults_in_history(engine: Engine, zone: str) -> list[str | None]:
    """What went wrong with a list, the oldest first; None where it was well again."""
    query = text("SELECT fault FROM fleet.blacklist_health_changes WHERE zone = :zone ORDER BY id")
    with engine.connect() as connection:
        return list(connection.scalars(query, {"zone": zone}))
