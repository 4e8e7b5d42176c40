"""What people read of a listing and of a list that is unwell: the cause, the way off, the place in the runbook."""

from pathlib import Path
from uuid import UUID

import pytest

from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.list_remedies import REMEDIES
from penguin_infra.domain.listing import Severity
from penguin_infra.domain.listing_alerts import (
    LISTS_RUNBOOK,
    RUNBOOK,
    IllList,
    ListedAddress,
    list_quarantined,
    listed,
    resolver_blocked,
)
from penguin_infra_tests.fleets import NOW

ZEN = "zen.spamhaus.org"
ROOT = Path(__file__).parents[3]


def listing(*, reason: str | None = None, delist_url: str | None = None, family: str | None = None) -> ListedAddress:
    return ListedAddress(
        UUID(int=1), "node-001", "192.0.2.7", ZEN, Severity.CRITICAL, ("127.0.0.2",), NOW, reason, delist_url, family
    )


def anchors() -> set[str]:
    lines = (ROOT / RUNBOOK).read_text(encoding="utf-8").splitlines()
    return {line.lstrip("#").strip().lower().replace(" ", "-") for line in lines if line.startswith("#")}


def test_a_listing_is_told_with_the_lists_words_the_way_off_and_the_runbooks_place() -> None:
    (alert,) = listed([listing(reason="SBL123", delist_url="https://off.test/192.0.2.7", family="spamhaus")])
    assert alert.summary == (
        '192.0.2.7 (node-001) is listed by zen.spamhaus.org: critical, 127.0.0.2 ("SBL123"). '
        "Ask to be taken off at https://off.test/192.0.2.7; docs/runbooks/blacklists.md#spamhaus"
    )
    assert alert.evidence["delist_url"] == "https://off.test/192.0.2.7"
    assert "Ask to be taken off: https://off.test/192.0.2.7" in str(alert.evidence["steps"])


def test_a_listing_without_a_page_says_which_command_shows_the_way_off() -> None:
    (alert,) = listed([listing()])
    assert "`penguin-infra check-ip 192.0.2.7` shows how to get off; docs/runbooks/blacklists.md" in alert.summary


@pytest.mark.parametrize("family", sorted({one.family for one in load_catalogue().lists}))
def test_every_familys_place_is_in_the_runbook(family: str) -> None:
    assert family in anchors()


def test_the_place_for_lists_that_fail_is_in_the_runbook() -> None:
    assert LISTS_RUNBOOK.partition("#")[2] in anchors()


@pytest.mark.parametrize("fault", list(ListFault))
def test_every_fault_has_its_meaning_and_its_remedy(fault: ListFault) -> None:
    assert REMEDIES[fault].meaning
    assert REMEDIES[fault].remedy


def ill(zone: str, fault: ListFault, resolver: str = "127.0.0.1:53") -> IllList:
    return IllList(zone, resolver, fault, "as its test points showed", NOW)


def test_an_ill_list_is_told_with_the_faults_kind_meaning_and_remedy() -> None:
    (alert,) = list_quarantined([ill(ZEN, ListFault.WILDCARDED)])
    assert alert.summary.startswith(f"{ZEN} fails its test points and is not believed (wildcarded): as its test points")
    assert alert.evidence["fault"] == "wildcarded"
    assert REMEDIES[ListFault.WILDCARDED].remedy in alert.summary


def test_a_resolver_that_is_refused_is_told_once_and_its_lists_not_at_all() -> None:
    found = [ill(ZEN, ListFault.PUBLIC_RESOLVER), ill("psbl.surriel.com", ListFault.PUBLIC_RESOLVER)]
    (alert,) = resolver_blocked(found)
    assert (alert.subject, alert.evidence["lists"]) == ("127.0.0.1:53", ["psbl.surriel.com", ZEN])
    assert list_quarantined(found) == []


def test_a_list_that_one_resolver_is_refused_by_and_another_finds_emptied_is_told_of_both() -> None:
    found = [ill(ZEN, ListFault.PUBLIC_RESOLVER), ill(ZEN, ListFault.EMPTIED, "127.0.0.2:53")]
    assert [alert.subject for alert in resolver_blocked(found)] == ["127.0.0.1:53"]
    assert [alert.evidence["fault"] for alert in list_quarantined(found)] == ["emptied"]
