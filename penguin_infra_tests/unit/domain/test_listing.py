"""What one answer means: the whole table, an answer a row."""

from datetime import UTC, datetime
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.listing import Answer, ListCodes, ListedCode, Severity, Verdict, classify

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
SBL = ListedCode(IPv4Address("127.0.0.2"), "SBL", Severity.CRITICAL)
PBL = ListedCode(IPv4Address("127.0.0.10"), "PBL", Severity.POLICY)
ZEN = ListCodes({SBL.code: SBL, PBL.code: PBL}, errors={IPv4Address("127.0.0.99"): "this list's own error"})
HOSTKARMA = ListCodes(
    {SBL.code: SBL}, not_listed={IPv4Address("127.0.0.1"): "white", IPv4Address("127.0.0.3"): "yellow"}
)


def answer(*addresses: str, is_nxdomain: bool = False, error: str | None = None) -> Answer:
    return Answer(NOW, "127.0.0.1:53", tuple(map(IPv4Address, addresses)), 60, is_nxdomain=is_nxdomain, error=error)


def test_a_name_that_does_not_exist_is_clean() -> None:
    assert classify(answer(is_nxdomain=True), ZEN).verdict is Verdict.CLEAN


def test_a_known_code_is_a_listing_of_its_severity() -> None:
    observation = classify(answer("127.0.0.10"), ZEN)
    assert (observation.verdict, observation.codes) == (Verdict.LISTED, (PBL,))
    assert observation.severity is Severity.POLICY


def test_every_address_of_an_answer_is_classified_and_the_gravest_counts() -> None:
    observation = classify(answer("127.0.0.10", "127.0.0.2", "127.0.0.77"), ZEN)
    assert set(observation.codes) == {SBL, PBL}
    assert observation.severity is Severity.CRITICAL
    assert observation.unrecognised == (IPv4Address("127.0.0.77"),)


def test_an_unknown_code_is_unrecognised_and_named() -> None:
    observation = classify(answer("127.0.0.77"), ZEN)
    assert observation.verdict is Verdict.UNRECOGNISED
    assert observation.severity is None
    assert "127.0.0.77" in str(observation.reason)


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        ((), "NODATA"),
        (("127.0.0.1",), "RFC 5782"),
        (("127.0.1.255",), "list of domains"),
        (("127.0.2.255",), "list of domains"),
        (("127.255.255.252",), "misspelt"),
        (("127.255.255.254",), "public resolver"),
        (("127.255.255.255",), "quota"),
        (("127.255.255.7",), "127.255.255.7"),
        (("91.195.240.117",), "outside 127/8"),
        (("127.0.0.99",), "this list's own error"),
    ],
)
def test_an_answer_that_is_no_listing_is_an_error_with_its_reason(addresses: tuple[str, ...], reason: str) -> None:
    observation = classify(answer(*addresses), ZEN)
    assert observation.verdict is Verdict.ERROR
    assert reason in str(observation.reason)


@pytest.mark.parametrize("error", ["127.255.255.254", "127.0.0.1", "91.195.240.117", "127.0.0.99"])
def test_a_real_code_does_not_count_beside_an_error_code(error: str) -> None:
    observation = classify(answer("127.0.0.2", error), ZEN)
    assert (observation.verdict, observation.codes) == (Verdict.ERROR, ())


def test_a_failed_question_is_an_error_with_the_failure_as_reason() -> None:
    observation = classify(answer("127.0.0.2", error="no answer within 6 s"), ZEN)
    assert (observation.verdict, observation.reason) == (Verdict.ERROR, "no answer within 6 s")


def test_addresses_under_a_denied_name_are_an_error() -> None:
    assert classify(answer("127.0.0.2", is_nxdomain=True), ZEN).verdict is Verdict.ERROR


def test_a_code_that_the_list_calls_not_listed_is_clean_even_where_others_call_it_an_error() -> None:
    observation = classify(answer("127.0.0.1", "127.0.0.3"), HOSTKARMA)
    assert (observation.verdict, observation.reason) == (Verdict.CLEAN, "white, yellow")


def test_a_listed_code_counts_beside_a_not_listed_one() -> None:
    observation = classify(answer("127.0.0.3", "127.0.0.2"), HOSTKARMA)
    assert (observation.verdict, observation.codes) == (Verdict.LISTED, (SBL,))


def test_an_unknown_code_beside_a_not_listed_one_is_unrecognised() -> None:
    assert classify(answer("127.0.0.3", "127.0.0.77"), HOSTKARMA).verdict is Verdict.UNRECOGNISED


def test_severities_order_from_informational_to_critical() -> None:
    by_gravity = sorted(Severity, key=lambda severity: severity.gravity)
    assert by_gravity == ["informational", "policy", "low", "medium", "high", "critical"]


@given(st.lists(st.ip_addresses(v=4), max_size=4), st.booleans(), st.none() | st.just("timeout"))
def test_only_documented_codes_ever_make_a_listing(
    addresses: list[IPv4Address], is_nxdomain: bool, error: str | None
) -> None:
    given_answer = Answer(NOW, "r", tuple(addresses), 60, is_nxdomain=is_nxdomain, error=error)
    observation = classify(given_answer, ZEN)
    assert (observation.verdict is Verdict.LISTED) <= bool(set(addresses) & ZEN.listed.keys())
    assert (observation.verdict is Verdict.CLEAN) <= (is_nxdomain and not addresses and error is None)
    assert (observation.reason is None) <= (observation.verdict in (Verdict.CLEAN, Verdict.LISTED))
