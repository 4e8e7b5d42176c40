"""A sweep over real sockets: what it finds, whom it believes, and how it fails."""

import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import dns.rcode
import pytest

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import Blacklist, load_catalogue
from penguin_infra.dnsbl.exchange import IN_FLIGHT
from penguin_infra.dnsbl.questions import Address, fetch_reason
from penguin_infra.dnsbl.resolvers import Resolver, ResolverError
from penguin_infra.dnsbl.route import BREAK_AFTER_QUESTIONS
from penguin_infra.dnsbl.sweep import SweepProgress, SweepResult, SweptObservation, sweep
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Severity, Verdict
from penguin_infra.domain.listing_advance import ListingChange, advance
from penguin_infra.domain.listing_state import ListingState, ListingStatus
from penguin_infra.lab.dns_zones import Fault
from penguin_infra_tests.dns_process import DnsProcess, free_port, running_dns

START = datetime(2026, 11, 24, 12, tzinfo=UTC)
ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"
HOSTKARMA = "hostkarma.junkemailfilter.com"


def lists(*zones: str) -> Sequence[Blacklist]:
    return load_catalogue().select(zones or None)


def askings(addresses: Sequence[Address], *zones: str) -> list[Asking]:
    return [Asking(blacklist, addresses) for blacklist in lists(*zones)]


class Clock:
    """A millisecond passes at every look."""

    def __init__(self, now: datetime = START) -> None:
        self.now = now

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


def look_at(
    lab_dns: DnsProcess, *ips: str, zones: Sequence[str] = (ZEN, SPAMCOP), start: datetime = START
) -> SweepResult:
    return sweep(askings([ip_address(ip) for ip in ips], *zones), [lab_dns.resolver], clock=Clock(start))


def verdicts(result: SweepResult) -> dict[tuple[str, str], Verdict]:
    return {(str(one.address), one.zone): one.observation.verdict for one in result.observations}


def test_a_listed_address_is_found_on_its_list_and_clean_on_the_others(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.2.0.1", ZEN, "127.0.0.3")
    result = look_at(lab_dns, "10.2.0.1", "10.2.0.2")
    assert verdicts(result) == {
        ("10.2.0.1", ZEN): Verdict.LISTED,
        ("10.2.0.1", SPAMCOP): Verdict.CLEAN,
        ("10.2.0.2", ZEN): Verdict.CLEAN,
        ("10.2.0.2", SPAMCOP): Verdict.CLEAN,
    }
    assert all(one.is_list_healthy for one in result.observations)
    (hit,) = (one.observation for one in result.observations if one.observation.codes)
    assert hit.severity is Severity.HIGH
    assert (hit.answer.resolver, hit.answer.ttl_seconds) == (str(lab_dns.resolver), 1)


def test_every_list_of_the_catalogue_passes_its_test_points(lab_dns: DnsProcess) -> None:
    result = look_at(lab_dns, "10.2.0.3", "2001:db8::77", zones=())
    assert result.quarantined == ()
    assert {one.zone for one in result.health} == {one.zone for one in lists()}
    assert all(one.observation.verdict is Verdict.CLEAN for one in result.observations)
    asked_of_ipv6 = {one.zone for one in result.observations if one.address.version == 6}
    assert asked_of_ipv6 == {one.zone for one in lists() if one.ipv6}


def test_an_ipv6_address_is_found_by_its_nibbles(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("2001:db8::9", HOSTKARMA)
    assert verdicts(look_at(lab_dns, "2001:db8::9", zones=[HOSTKARMA])) == {("2001:db8::9", HOSTKARMA): Verdict.LISTED}


def test_each_look_has_a_time_of_its_own(lab_dns: DnsProcess) -> None:
    result = look_at(lab_dns, "10.2.0.4", "10.2.0.5")
    times = [one.observation.answer.observed_at for one in result.observations]
    assert len(set(times)) == len(times) == 4


def test_an_answer_too_big_for_a_datagram_is_read_over_tcp(lab_dns: DnsProcess) -> None:
    for last in range(1, 120):
        lab_dns.list_ip("10.2.0.6", SPAMCOP, f"127.0.7.{last}")
    result = look_at(lab_dns, "10.2.0.6", zones=[SPAMCOP])
    (seen,) = (one.observation for one in result.observations)
    assert seen.verdict is Verdict.UNRECOGNISED
    assert len(seen.answer.addresses) == 119


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (Fault.SERVFAIL, "SERVFAIL"),
        (Fault.REFUSED, "REFUSED"),
        (Fault.WILDCARD, "wildcarded"),
        (Fault.OPEN_RESOLVER, "public resolver"),
    ],
)
def test_a_list_that_fails_is_quarantined_with_its_reason_and_asked_no_more(
    lab_dns: DnsProcess, fault: Fault, reason: str
) -> None:
    lab_dns.list_ip("10.2.1.1", SPAMCOP)
    with lab_dns.broken(SPAMCOP, fault):
        result = look_at(lab_dns, "10.2.1.1", "10.2.1.2")
    (quarantined,) = result.quarantined
    assert quarantined.zone == SPAMCOP
    assert reason in str(quarantined.fault)
    for one in result.observations:
        if one.zone == SPAMCOP:
            assert one.observation.verdict is Verdict.ERROR
            assert not one.is_list_healthy
            assert reason in str(one.observation.reason)
        else:
            assert one.observation.verdict is Verdict.CLEAN
            assert one.is_list_healthy


def test_a_silent_list_is_quarantined_after_two_tries(lab_dns: DnsProcess) -> None:
    with lab_dns.broken(SPAMCOP, Fault.TIMEOUT):
        result = look_at(lab_dns, "10.2.1.3", zones=[SPAMCOP])
    assert "in time" in str(result.quarantined[0].fault)


def test_an_emptied_list_is_quarantined(lab_dns: DnsProcess) -> None:
    zone = "all.spamrats.com"
    lab_dns.delist_ip("127.0.0.2", zone)
    try:
        result = look_at(lab_dns, "10.2.1.4", zones=[zone])
    finally:
        lab_dns.list_ip("127.0.0.2", zone, "127.0.0.36")
    assert "emptied" in str(result.quarantined[0].fault)


def test_a_list_that_lists_loopback_is_quarantined_unless_it_is_exempt(lab_dns: DnsProcess) -> None:
    for zone in (SPAMCOP, HOSTKARMA):
        lab_dns.list_ip("127.0.0.1", zone)
    try:
        result = look_at(lab_dns, "10.2.1.5", zones=[SPAMCOP, HOSTKARMA])
    finally:
        for zone in (SPAMCOP, HOSTKARMA):
            lab_dns.delist_ip("127.0.0.1", zone)
    assert [one.zone for one in result.quarantined] == [SPAMCOP]


def test_a_list_that_dies_during_the_sweep_is_not_believed(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.2.1.6", SPAMCOP)

    def wildcard_it(progress: SweepProgress) -> None:
        if progress.done == progress.total:
            lab_dns.break_list(SPAMCOP, Fault.WILDCARD)

    try:
        asked = askings([IPv4Address("10.2.1.6")], SPAMCOP)
        result = sweep(asked, [lab_dns.resolver], clock=Clock(), on_progress=wildcard_it)
    finally:
        lab_dns.break_list(SPAMCOP, Fault.NONE)
    (seen,) = result.observations
    assert (seen.observation.verdict, seen.is_list_healthy) == (Verdict.LISTED, False)
    assert seen.verdict is Verdict.ERROR


def test_a_list_that_fails_most_questions_is_spared_the_rest_of_the_sweep(lab_dns: DnsProcess) -> None:
    size = 4 * BREAK_AFTER_QUESTIONS + 64
    fleet = [f"10.2.2.{number}" for number in range(size)]
    for ip in fleet:
        lab_dns.list_ip(ip, SPAMCOP, "127.255.255.252")
    result = look_at(lab_dns, *fleet)
    unasked = [one for one in result.observations if "not asked" in str(one.observation.reason)]
    assert len(unasked) > BREAK_AFTER_QUESTIONS
    assert {one.zone for one in unasked} == {SPAMCOP}
    assert "questions failed" in str(result.quarantined[0].fault)
    assert not any(one.is_list_healthy for one in result.observations if one.zone == SPAMCOP)
    assert all(one.is_list_healthy for one in result.observations if one.zone == ZEN)


def test_a_list_whose_quota_is_used_up_is_left_alone_at_once(lab_dns: DnsProcess) -> None:
    fleet = [f"10.2.4.{number}" for number in range(250)]
    for ip in fleet:
        lab_dns.list_ip(ip, SPAMCOP, "127.255.255.255")
    result = look_at(lab_dns, *fleet, zones=[SPAMCOP])
    assert result.quota_hit == {SPAMCOP}
    assert [one.fault.kind for one in result.quarantined if one.fault] == [ListFault.QUOTA]
    assert result.asked[SPAMCOP] <= 3 + IN_FLIGHT
    assert len(result.observations) == 250
    assert {one.verdict for one in result.observations} == {Verdict.ERROR}


def test_a_list_whose_quota_is_used_up_is_not_even_asked_about_its_test_points(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.2.4.251", SPAMCOP)
    lab_dns.list_ip("10.2.4.252", SPAMCOP, "127.255.255.255")
    result = look_at(lab_dns, "10.2.4.251", "10.2.4.252", zones=[SPAMCOP])
    assert result.quota_hit == {SPAMCOP}
    # Three at the test points, two addresses: the hit has nothing asked again.
    assert result.asked == {SPAMCOP: 5}
    assert {one.verdict for one in result.observations} == {Verdict.ERROR}


def test_every_question_that_was_sent_is_counted(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.2.0.13", ZEN)
    result = look_at(lab_dns, "10.2.0.13", "10.2.0.14", zones=[ZEN, SPAMCOP])
    # Three at the test points, two addresses; the one with the hit has its test points asked again.
    assert result.asked == {ZEN: 8, SPAMCOP: 5}


def test_a_quarantine_ends_after_two_sweeps_that_pass(lab_dns: DnsProcess) -> None:
    with lab_dns.broken(SPAMCOP, Fault.WILDCARD):
        result = look_at(lab_dns, "10.2.0.15", zones=[SPAMCOP])
    beliefs = []
    for _ in range(2):
        health = {(one.zone, one.resolver, one.ip_version): one for one in result.health}
        asked = askings([IPv4Address("10.2.0.15")], SPAMCOP)
        result = sweep(asked, [lab_dns.resolver], clock=Clock(), health=health)
        beliefs.append(result.observations[0].is_list_healthy)
    assert beliefs == [False, True]


def test_each_look_is_told_as_it_comes(lab_dns: DnsProcess) -> None:
    told: list[SweptObservation] = []
    asked = askings([IPv4Address("10.2.0.16")], ZEN, SPAMCOP)
    result = sweep(asked, [lab_dns.resolver], clock=Clock(), on_observation=told.append)
    assert sorted(told, key=lambda one: one.zone) == sorted(result.observations, key=lambda one: one.zone)


def test_what_a_callback_raises_ends_the_sweep_at_once(lab_dns: DnsProcess) -> None:
    def interrupt(_: SweptObservation) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(askings([IPv4Address("10.2.0.17")], ZEN), [lab_dns.resolver], clock=Clock(), on_observation=interrupt)


def test_progress_counts_every_question_once(lab_dns: DnsProcess) -> None:
    seen: list[SweepProgress] = []
    addresses = [IPv4Address(f"10.2.3.{number}") for number in range(150)]
    sweep(askings(addresses, ZEN, SPAMCOP), [lab_dns.resolver], clock=Clock(), on_progress=seen.append)
    assert [(one.done, one.total) for one in seen] == [(100, 300), (200, 300), (300, 300)]
    assert seen[-1].seconds_left == 0
    assert all(one.per_second > 0 for one in seen)


def test_a_closed_port_is_an_error_with_the_reason_and_no_exception() -> None:
    closed = Resolver("127.0.0.1", free_port())
    result = sweep(askings([IPv4Address("10.2.0.7")]), [closed], clock=Clock())
    assert {one.observation.verdict for one in result.observations} == {Verdict.ERROR}
    assert all("cannot be reached" in str(one.observation.reason) for one in result.observations)
    assert len(result.quarantined) == len(lists())


def test_answers_to_other_questions_are_not_taken_for_the_answer() -> None:
    """A forger with another id must look like silence, not like a clean answer."""
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(10)
        forger = Resolver("127.0.0.1", server.getsockname()[1])
        with ThreadPoolExecutor(1) as pool:
            forging = pool.submit(answer_with, server, [(0xFF, dns.rcode.NXDOMAIN)] * 2)
            result = sweep(askings([IPv4Address("10.2.0.8")], ZEN), [forger], clock=Clock())
            forging.result()
    assert "in time" in str(result.quarantined[0].fault)


def answer_with(server: socket.socket, replies: Sequence[tuple[int, int]]) -> None:
    """Answer a question a reply: a mask that spoils its id, and a response code."""
    for mask, rcode in replies:
        wire, peer = server.recvfrom(512)
        server.sendto(bytes([wire[0] ^ mask, wire[1], 0x80, rcode]) + wire[4:], peer)


def test_a_sweep_without_a_resolver_names_the_setting() -> None:
    with pytest.raises(ResolverError, match="PENGUIN_RESOLVERS"):
        sweep(askings([IPv4Address("10.2.0.9")]), [], clock=Clock())


def states_after(state: ListingState, looks: Sequence[SweptObservation]) -> tuple[ListingState, list[ListingChange]]:
    changes = []
    for one in looks:
        step = advance(state, one.observation, is_list_healthy=one.is_list_healthy)
        state = step.state
        changes.append(step.change)
    return state, changes


def test_two_sweeps_past_the_ttl_confirm_a_listing_and_its_reason_can_be_read(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.2.0.10", ZEN, reason="SBL123: snowshoe")
    first = look_at(lab_dns, "10.2.0.10", zones=[ZEN])
    state, changes = states_after(ListingState(since=START), first.observations)
    assert changes == [ListingChange.SUSPECTED]
    second = look_at(lab_dns, "10.2.0.10", zones=[ZEN], start=START + timedelta(seconds=60))
    state, changes = states_after(state, second.observations)
    assert (changes, state.severity) == ([ListingChange.CONFIRMED], Severity.CRITICAL)
    assert fetch_reason(IPv4Address("10.2.0.10"), lists(ZEN)[0], lab_dns.resolver) == "SBL123: snowshoe"


def test_a_second_resolver_confirms_within_one_sweep(lab_dns: DnsProcess, tmp_path: Path) -> None:
    lab_dns.list_ip("10.2.0.11", ZEN)
    with running_dns(tmp_path) as other:
        other.list_ip("10.2.0.11", ZEN)
        resolvers = [lab_dns.resolver, other.resolver]
        result = sweep(askings([IPv4Address("10.2.0.11")], ZEN), resolvers, clock=Clock())
    state, changes = states_after(ListingState(since=START), result.observations)
    assert changes == [ListingChange.SUSPECTED, ListingChange.CONFIRMED]
    assert state.status is ListingStatus.LISTED


def test_a_list_that_fails_through_one_resolver_is_asked_through_the_other(lab_dns: DnsProcess) -> None:
    closed = Resolver("127.0.0.1", free_port())
    result = sweep(askings([IPv4Address("10.2.0.12")], ZEN), [closed, lab_dns.resolver], clock=Clock())
    (seen,) = result.observations
    assert (seen.observation.verdict, seen.is_list_healthy) == (Verdict.CLEAN, True)
    assert [one.resolver for one in result.quarantined] == [str(closed)]


def test_a_reason_that_cannot_be_had_is_none(lab_dns: DnsProcess) -> None:
    address = IPv6Address("2001:db8::abcd")
    assert fetch_reason(address, lists(ZEN)[0], lab_dns.resolver) is None
    assert fetch_reason(address, lists(ZEN)[0], Resolver("127.0.0.1", free_port())) is None
