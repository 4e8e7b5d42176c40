"""A paid list over real sockets: its key travels in the question's name, and appears nowhere else."""

import logging
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from pydantic import SecretStr

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import Blacklist, load_catalogue
from penguin_infra.dnsbl.questions import fetch_reason
from penguin_infra.dnsbl.sweep import SweepResult, SweptObservation, sweep
from penguin_infra.domain.listing import Verdict
from penguin_infra_tests.blacklist_servers import Ailment, BlacklistServer

ZEN = "zen.spamhaus.org"
KEY = "hush4711"
AT_THE_SERVICE = f"{KEY}.zen.dq.spamhaus.net"
LISTED = IPv4Address("10.5.0.1")
CLEAN = IPv4Address("10.5.0.2")


@pytest.fixture
def paid() -> Blacklist:
    (blacklist,) = load_catalogue().select([ZEN], keys={"spamhaus": SecretStr(KEY)})
    return blacklist


@pytest.fixture
def service(tmp_path: Path, paid: Blacklist) -> BlacklistServer:
    BlacklistServer.require()
    return BlacklistServer(tmp_path / "rbldnsd", [replace(paid, zone=AT_THE_SERVICE)])


def look(service: BlacklistServer, paid: Blacklist, seen: list[SweptObservation]) -> SweepResult:
    return sweep(
        [Asking(paid, [LISTED, CLEAN])], [service.resolver], clock=lambda: datetime.now(UTC), on_observation=seen.append
    )


def test_a_paid_list_is_asked_by_its_key_and_known_by_its_zone(service: BlacklistServer, paid: Blacklist) -> None:
    with service:
        service.list_networks(AT_THE_SERVICE, [LISTED], "127.0.0.2")
        result = look(service, paid, [])
    assert {(one.address, one.zone): one.verdict for one in result.observations} == {
        (LISTED, ZEN): Verdict.LISTED,
        (CLEAN, ZEN): Verdict.CLEAN,
    }
    assert {one.zone for one in result.health} == set(result.asked) == {ZEN}


@pytest.mark.parametrize("ailment", [None, *Ailment])
def test_its_key_is_in_no_result_no_reason_and_no_log(
    service: BlacklistServer, paid: Blacklist, ailment: Ailment | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    seen: list[SweptObservation] = []
    with service:
        service.list_networks(AT_THE_SERVICE, [LISTED], "127.0.0.2", reason=f"see $.{AT_THE_SERVICE} or ask {KEY}")
        told = fetch_reason(LISTED, paid, service.resolver)
        if ailment:
            service.break_list(AT_THE_SERVICE, ailment)
        result = look(service, paid, seen)
    assert told is not None
    assert "***" in told
    assert seen
    for shown in (told, repr(result), str(result), repr(seen), repr(paid), caplog.text):
        assert KEY not in shown
