"""SPF: real records in a real zone, judged as receivers do, and nobody's record keeps us busy for long."""

import time
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.dns_records.lookup import NameLookup
from penguin_infra.domain.verification import AuthenticationResult
from penguin_infra.verification import message
from penguin_infra.verification.message import check_spf
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.verification.conftest import World

OURS, THEIRS = IPv4Address("10.5.0.1"), IPv4Address("10.6.0.1")
RESULTS = {"pass", "fail", "softfail", "neutral", "none", "temperror", "permerror"}


def check(world: World, ip: IPv4Address | IPv6Address = OURS, *, sender: str | None = None) -> AuthenticationResult:
    mail_from = f"verify@{world.host}" if sender is None else sender
    return check_spf(ip, helo=world.host, mail_from=mail_from, resolve=world.lookup.values)


@pytest.mark.parametrize(
    ("record", "ours", "theirs"),
    [
        ("v=spf1 a -all", "pass", "fail"),
        ("v=spf1 ip4:10.5.0.0/24 ~all", "pass", "softfail"),
        ("v=spf1 mx ?all", "pass", "neutral"),
        ("v=spf1 include:included.{host} -all", "pass", "fail"),
        ("v=spf1 redirect=included.{host}", "pass", "fail"),
        ("v=spf1 exists:%{{i}}.exists.{host} -all", "pass", "fail"),
        ("v=spf1 -all", "fail", "fail"),
        ("v=spf1 +all", "pass", "pass"),
        ("v=spf1 a moo -all", "permerror", "permerror"),
        ("v=spf1 ip4:10.5.0.999 -all", "permerror", "permerror"),
        ("v=spf1 include:{host} -all", "permerror", "permerror"),
    ],
)
def test_a_record_is_judged_as_receivers_do(world: World, record: str, ours: str, theirs: str) -> None:
    world.hold(world.host, "A", str(OURS))
    world.hold(f"alias.{world.host}", "CNAME", f"{world.host}.")
    world.hold(world.host, "MX", f"10 alias.{world.host}.")
    world.hold(f"included.{world.host}", "TXT", "v=spf1 ip4:10.5.0.1 -all")
    world.hold(f"{OURS}.exists.{world.host}", "A", "127.0.0.2")
    world.hold(world.host, "TXT", record.format(host=world.host), "some other text")
    for ip, expected in ((OURS, ours), (THEIRS, theirs)):
        result = check(world, ip)
        assert result.result == expected, result.detail
        assert str(ip) in result.detail


def test_a_domain_without_a_record_has_no_result(world: World) -> None:
    assert check(world).result == "none"
    world.hold(world.host, "TXT", "not an SPF record")
    result = check(world)
    assert result.result == "none"
    assert f"no SPF record ({world.host}" in result.detail


def test_two_records_are_an_error(world: World) -> None:
    world.hold(world.host, "TXT", "v=spf1 a -all", "v=spf1 +all")
    assert check(world).result == "permerror"


def test_the_empty_sender_is_judged_by_the_name_in_the_greeting(world: World) -> None:
    world.hold(world.host, "A", str(OURS))
    world.hold(world.host, "TXT", "v=spf1 a -all")
    assert check(world, OURS, sender="").result == "pass"
    assert check(world, THEIRS, sender="").result == "fail"


def test_an_address_of_the_other_family_is_judged(world: World) -> None:
    world.hold(world.host, "TXT", "v=spf1 ip6:2001:db8::/64 -all")
    assert check(world, IPv6Address("2001:db8::1")).result == "pass"
    assert check(world, IPv6Address("2001:db8:1::1")).result == "fail"


def test_a_record_in_pieces_is_read_whole(world: World) -> None:
    many = " ".join(f"ip4:10.7.{number}.1" for number in range(40))
    assert len(many) > 255
    world.hold(world.host, "TXT", f"v=spf1 {many} ip4:10.5.0.1 -all")
    assert check(world).result == "pass"
    assert check(world, THEIRS).result == "fail"


def test_names_that_do_not_exist_are_not_looked_up_without_end(world: World) -> None:
    world.hold(world.host, "TXT", "v=spf1 " + " ".join(f"a:nix{n}.{world.host}" for n in range(5)) + " -all")
    assert check(world).result == "permerror"


def test_nobody_who_answers_is_no_verdict(world: World) -> None:
    away = NameLookup([("127.0.0.1", free_port())], timeout_seconds=0.3)
    result = check_spf(OURS, helo=world.host, mail_from=f"a@{world.host}", resolve=away.values)
    assert result.result == "temperror"


def test_a_slow_record_is_given_up(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(message, "_SPF_SECONDS", 0.3)
    asked = []

    def slow(name: str, rdtype: str) -> tuple[str, ...]:
        asked.append(name)
        time.sleep(0.1)
        return (f"v=spf1 include:{len(asked)}.{world.host} -all",)

    assert check_spf(OURS, helo="a", mail_from=f"a@{world.host}", resolve=slow).result == "temperror"
    assert len(asked) < 8


def test_a_malformed_answer_is_an_error_of_the_record() -> None:
    answers = {"TXT": ("v=spf1 mx -all",), "MX": ("no preference",)}
    result = check_spf(OURS, helo="a", mail_from="a@a.test", resolve=lambda _name, rdtype: answers[rdtype])
    assert result.result == "permerror"


def test_the_same_question_is_asked_once() -> None:
    asked = []

    def resolve(name: str, rdtype: str) -> tuple[str, ...]:
        asked.append((name, rdtype))
        return ("v=spf1 a:x.test a:x.test a:X.test. -all",) if rdtype == "TXT" else ("10.6.0.1",)

    assert check_spf(OURS, helo="a", mail_from="a@a.test", resolve=resolve).result == "fail"
    assert asked == [("a.test", "TXT"), ("x.test", "A")]


@settings(deadline=None, max_examples=300)
@given(
    record=st.one_of(
        st.text(max_size=80),
        st.lists(
            st.tuples(
                st.sampled_from(["a", "mx", "ptr", "ip4", "ip6", "exists", "include", "redirect", "exp", "all", "moo"]),
                st.sampled_from([":", "=", "/", "//", ""]),
                st.text(alphabet="%{}sldiov.-/:=+0123456789abc é", max_size=15),
            ).map("".join),
            max_size=6,
        ).map(lambda terms: "v=spf1 " + " ".join(terms)),
    ),
    sender=st.text(max_size=30),
    helo=st.text(max_size=30),
)
def test_whatever_a_record_and_a_sender_say_is_a_result(record: str, sender: str, helo: str) -> None:
    def resolve(_name: str, rdtype: str) -> tuple[str, ...]:
        return {"TXT": (record,), "A": ("10.6.0.1",), "MX": ("10 mx.test",), "PTR": ("ptr.test",)}.get(rdtype, ())

    result = check_spf(OURS, helo=helo, mail_from=sender, resolve=resolve)
    assert result.result in RESULTS
    assert result.detail.isprintable()
