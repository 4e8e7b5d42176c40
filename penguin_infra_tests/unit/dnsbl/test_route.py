"""When a list is spared the rest of a sweep, and what its key may spoil."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address

import pytest
from pydantic import SecretStr

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.blacklist import Blacklist
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.route import BREAK_AFTER_QUESTIONS, Route, routes_of
from penguin_infra.dnsbl.sweep import sweep
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Answer, Observation, classify

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
(ZEN,) = load_catalogue().select(["zen.spamhaus.org"])
NETWORKS = replace(ZEN, ipv6_prefix=64)
Address = IPv4Address | IPv6Address


def route(blacklist: Blacklist, addresses: Sequence[Address]) -> Route:
    (found,) = routes_of([Asking(blacklist, addresses)])
    return found


def seen(blacklist: Blacklist, *addresses: str, error: str | None = None, is_nxdomain: bool = False) -> Observation:
    answer = Answer(NOW, "r", tuple(map(IPv4Address, addresses)), error=error, is_nxdomain=is_nxdomain)
    return classify(answer, blacklist.list_codes)


def test_a_list_that_fails_more_than_every_second_question_is_spared_the_rest() -> None:
    fleet = [IPv4Address("10.0.0.0") + number for number in range(100)]
    tried = route(ZEN, fleet)
    for number, group in enumerate(tried.groups[:BREAK_AFTER_QUESTIONS]):
        assert not tried.is_over()
        is_bad = number >= BREAK_AFTER_QUESTIONS // 2 - 1
        tried.note(group, seen(ZEN, error="silence" if is_bad else None, is_nxdomain=not is_bad))
    assert tried.is_over()
    assert tried.fault is not None
    assert tried.fault.kind is ListFault.MOSTLY_ERRORS
    # What comes late does not mend it.
    for group in tried.groups[BREAK_AFTER_QUESTIONS:60]:
        tried.note(group, seen(ZEN, is_nxdomain=True))
    assert tried.is_over()
    assert len(tried.unasked) == 40


def test_every_second_question_that_fails_is_borne() -> None:
    tried = route(ZEN, [IPv4Address("10.0.0.0") + number for number in range(100)])
    for number, group in enumerate(tried.groups):
        is_bad = number % 2 == 1
        tried.note(group, seen(ZEN, error="silence" if is_bad else None, is_nxdomain=not is_bad))
    assert not tried.is_over()


def test_one_lost_answer_about_a_network_is_one_failure_however_many_addresses_it_holds() -> None:
    fleet = [IPv6Address("2001:db8:1::") + number for number in range(50)]
    tried = route(NETWORKS, fleet)
    (network,) = tried.groups
    assert network == fleet
    tried.note(network, seen(NETWORKS, error="silence"))
    assert not tried.is_over()


@pytest.mark.parametrize(
    ("codes", "errors", "is_used_up"),
    [
        (["127.255.255.255"], {}, True),
        (["127.255.255.254"], {}, False),
        (["127.0.0.2", "127.255.255.255"], {}, True),
        (["127.0.0.250"], {"127.0.0.250": "your daily Quota is used up"}, True),
        (["127.0.0.250"], {"127.0.0.250": "asked from a blocked network"}, False),
    ],
)
def test_a_quota_is_known_by_the_usual_code_and_by_the_words_of_the_lists_own(
    codes: list[str], errors: dict[str, str], is_used_up: bool
) -> None:
    blacklist = replace(ZEN, errors={IPv4Address(code): words for code, words in errors.items()})
    tried = route(blacklist, [IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")])
    tried.note(tried.groups[0], seen(blacklist, *codes))
    assert tried.is_over() is is_used_up


def test_a_used_up_quota_stops_both_families_of_a_list_and_no_other_list() -> None:
    mixed: list[Address] = [IPv4Address("10.0.0.1"), IPv6Address("2001:db8::7")]
    (other,) = load_catalogue().select(["bl.spamcop.net"])
    four, six, stranger = routes_of([Asking(ZEN, mixed), Asking(other, mixed[:1])])
    four.note(four.groups[0], seen(ZEN, "127.255.255.255"))
    assert six.is_over()
    assert six.fault is not None
    assert six.fault.kind is ListFault.QUOTA
    assert not stranger.is_over()


def test_a_list_with_a_pace_has_one_for_both_families() -> None:
    slow = replace(ZEN, max_questions_per_second=5)
    four, six = routes_of([Asking(slow, [IPv4Address("10.0.0.1"), IPv6Address("2001:db8::7")])])
    assert four.ration.pace is not None
    assert four.ration.pace is six.ration.pace


@pytest.mark.parametrize("key", ["x" * 64, "a..b", "y" * 60 + "." + "z" * 60 + "." + "w" * 60])
def test_a_key_that_makes_no_name_fails_its_list_alone_and_is_not_told(key: str) -> None:
    keyed = replace(ZEN, key=SecretStr(key), keyed_zone="{key}." + "zen.dq.spamhaus.net")
    found = sweep([Asking(keyed, [IPv4Address("10.0.0.1")])], [Resolver("127.0.0.1", 9)], clock=lambda: NOW)
    (quarantined,) = found.quarantined
    assert quarantined.fault is not None
    assert "PENGUIN_BLACKLIST_KEYS" in quarantined.fault.reason
    assert key not in repr(found)
    assert found.asked == {ZEN.zone: 0}
    assert [str(one.observation.reason)[:9] for one in found.observations] == ["not asked"]
