"""What a mail and the looks from outside are worth: each fault is found by its own check, with a remedy."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.verification import (
    AuthenticationResult,
    Check,
    Finding,
    OutsideView,
    ReceivedMail,
    judge_absence,
    judge_mail,
    judge_outside,
    judge_queue,
    judge_reverse_name,
)

IP, OTHER_IP = IPv4Address("192.0.2.1"), IPv4Address("192.0.2.2")
HOST = "node-1.nodes.test"
GOOD_MAIL = ReceivedMail(
    correlation_id="correlation-1",
    received_at=datetime(2026, 11, 24, 12, 30, 5, tzinfo=UTC),
    peer_address=IP,
    helo=HOST,
    tls_version="TLSv1.3",
    mail_from=f"verify@{HOST}",
)
PASS = AuthenticationResult("pass", "well")
CLOSED = OutsideView(relays=False, relay_detail="every way was refused", open_ports=frozenset({22, 25}))


def judge(mail: ReceivedMail = GOOD_MAIL, **changes: Any) -> tuple[Finding, ...]:
    usual: dict[str, Any] = {"ip_address": IP, "hostname": HOST, "is_tls_offered": True, "spf": PASS, "dkim": PASS}
    return judge_mail(mail, **usual | changes)


def faults(findings: Sequence[Finding]) -> set[Check]:
    return {finding.check for finding in findings if not finding.is_ok}


def test_a_mail_as_it_should_be_has_no_fault() -> None:
    findings = judge()
    assert faults(findings) == set()
    assert [finding.check for finding in findings] == [
        Check.ARRIVED,
        Check.SOURCE_ADDRESS,
        Check.HELO,
        Check.TLS,
        Check.SPF,
        Check.DKIM,
    ]
    assert findings[0].detail == "received at 12:30:05 UTC"


@pytest.mark.parametrize("helo", [HOST.upper(), f"{HOST}."])
def test_a_name_is_the_same_in_capitals_and_with_its_last_dot(helo: str) -> None:
    assert faults(judge(replace(GOOD_MAIL, helo=helo))) == set()


@pytest.mark.parametrize(
    ("mail", "changes", "check"),
    [
        (replace(GOOD_MAIL, peer_address=OTHER_IP), {}, Check.SOURCE_ADDRESS),
        (replace(GOOD_MAIL, peer_address=IPv6Address("2001:db8::1")), {}, Check.SOURCE_ADDRESS),
        (replace(GOOD_MAIL, helo="localhost"), {}, Check.HELO),
        (replace(GOOD_MAIL, helo=f"{HOST}.evil.test"), {}, Check.HELO),
        (replace(GOOD_MAIL, tls_version=None), {}, Check.TLS),
        *((GOOD_MAIL, {"spf": AuthenticationResult(word, "why")}, Check.SPF) for word in ("fail", "none", "temperror")),
        *((GOOD_MAIL, {"dkim": AuthenticationResult(word, "why")}, Check.DKIM) for word in ("fail", "policy", "none")),
    ],
)
def test_each_fault_of_a_mail_is_found_by_its_own_check(
    mail: ReceivedMail, changes: dict[str, Any], check: Check
) -> None:
    assert faults(judge(mail, **changes)) == {check}


def test_a_mail_in_clear_is_no_fault_where_no_tls_was_offered() -> None:
    findings = judge(replace(GOOD_MAIL, tls_version=None), is_tls_offered=False)
    assert faults(findings) == set()
    assert {finding.check: finding.detail for finding in findings}[Check.TLS] == "in clear"


@pytest.mark.parametrize(("queued", "words"), [(0, "nothing waits"), (3, "3 mails wait")])
def test_a_mail_that_did_not_come_is_a_fault_that_tells_of_the_queue(queued: int, words: str) -> None:
    finding = judge_absence(120.0, queued)
    assert (finding.check, finding.is_ok) == (Check.ARRIVED, False)
    assert "within 120 s" in finding.detail
    assert words in finding.detail


@pytest.mark.parametrize(
    ("names", "addresses", "is_ok"),
    [
        ([HOST], ["192.0.2.1"], True),
        ([HOST.upper()], ["192.0.2.1"], True),
        ([], ["192.0.2.1"], False),
        ([HOST], [], False),
        (["generic.provider.test"], ["192.0.2.1"], False),
        ([HOST, "generic.provider.test"], ["192.0.2.1"], False),
        ([HOST], ["192.0.2.2"], False),
        ([HOST], ["192.0.2.1", "192.0.2.2"], False),
    ],
)
def test_a_reverse_name_is_well_only_when_it_leads_back_and_forth(
    names: list[str], addresses: list[str], is_ok: bool
) -> None:
    finding = judge_reverse_name(names, addresses, ip=IP, host=HOST)
    assert (finding.check, finding.is_ok) == (Check.REVERSE_NAME, is_ok)
    assert str(IP) in finding.detail


@pytest.mark.parametrize(("queued", "is_ok"), [(0, True), (1, False)])
def test_a_queue_is_well_when_it_is_empty(queued: int, is_ok: bool) -> None:
    finding = judge_queue(queued, is_held=False)
    assert (finding.check, finding.is_ok) == (Check.QUEUE_EMPTY, is_ok)


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        (CLOSED, set()),
        (replace(CLOSED, open_ports=frozenset({25})), set()),
        (replace(CLOSED, open_ports=frozenset()), set()),
        (replace(CLOSED, open_ports=None, why_not="the policy says not to"), set()),
        (replace(CLOSED, relays=True), {Check.NO_OPEN_RELAY}),
        (replace(CLOSED, open_ports=frozenset({22, 25, 6379})), {Check.OPEN_PORTS}),
        (replace(CLOSED, relays=True, open_ports=frozenset({80})), {Check.NO_OPEN_RELAY, Check.OPEN_PORTS}),
    ],
)
def test_a_stranger_may_find_two_doors_and_no_relay(view: OutsideView, expected: set[Check]) -> None:
    assert faults(judge_outside(view)) == expected


def test_ports_are_told_in_order_and_what_was_not_looked_at_says_why() -> None:
    _, ports = judge_outside(replace(CLOSED, open_ports=frozenset({6379, 25, 22, 80})))
    assert ports.detail == "open: 22, 25, 80, 6379"
    assert ports.remedy is not None
    assert ports.remedy.startswith("close 80, 6379:")
    _, unseen = judge_outside(replace(CLOSED, open_ports=None, why_not="the policy says not to"))
    assert unseen.detail == "not looked at: the policy says not to"


ADDRESSES = st.sampled_from([IP, OTHER_IP, IPv6Address("2001:db8::1")])
RESULTS = st.builds(AuthenticationResult, st.sampled_from(["pass", "fail", "none", "temperror"]), st.text(max_size=20))
MAILS = st.builds(
    ReceivedMail,
    correlation_id=st.just("correlation-1"),
    received_at=st.just(GOOD_MAIL.received_at),
    peer_address=ADDRESSES,
    helo=st.sampled_from([HOST, "localhost", ""]),
    tls_version=st.sampled_from(["TLSv1.2", None]),
    mail_from=st.text(max_size=20),
)
VIEWS = st.builds(
    OutsideView,
    relays=st.booleans(),
    relay_detail=st.text(min_size=1, max_size=20),
    open_ports=st.none() | st.frozensets(st.integers(1, 65535), max_size=4),
    why_not=st.text(max_size=20),
)
JUDGEMENTS: st.SearchStrategy[Callable[[], Sequence[Finding]]] = st.one_of(
    st.builds(lambda *all_: lambda: judge(all_[0], spf=all_[1], dkim=all_[2]), MAILS, RESULTS, RESULTS),
    st.builds(lambda view: lambda: judge_outside(view), VIEWS),
    st.builds(
        lambda queued: lambda: [judge_queue(queued, is_held=False), judge_absence(60.0, queued)], st.integers(0, 9)
    ),
    st.builds(
        lambda names, addresses: lambda: [judge_reverse_name(names, addresses, ip=IP, host=HOST)],
        st.lists(st.sampled_from([HOST, "other.test"]), max_size=2),
        st.lists(st.sampled_from([str(IP), str(OTHER_IP)]), max_size=2),
    ),
)


@given(JUDGEMENTS)
def test_whatever_is_not_well_says_how_to_mend_it_and_nothing_else_does(
    judgement: Callable[[], Sequence[Finding]],
) -> None:
    for finding in judgement():
        assert finding.detail
        assert finding.is_ok == (finding.remedy is None)
        # As the column that keeps it.
        assert len(finding.check) <= 40


def test_every_check_is_made_by_one_judgement() -> None:
    findings = [
        *judge(),
        judge_reverse_name([HOST], [str(IP)], ip=IP, host=HOST),
        judge_queue(0, is_held=False),
        *judge_outside(CLOSED),
    ]
    assert sorted(finding.check for finding in findings) == sorted(Check)


def test_what_a_held_node_keeps_is_no_fault() -> None:
    finding = judge_queue(3, is_held=True)
    assert (finding.is_ok, finding.detail) == (True, "3 mails wait: the node is held")
    assert judge_queue(0, is_held=True).detail == "empty"
