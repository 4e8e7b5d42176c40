"""Questions and replies as bytes: what is sent, what counts as an answer, and what an answer says."""

from ipaddress import IPv4Address, ip_address

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.questions import reverse_name

ID = b"\x12\x67"
NAME = "7.2.0.192.bl.test"
ASKED = wire.question(wire.reversed_labels(ip_address("192.0.2.7")) + wire.zone_labels("bl.test"))


def rrset(name: str, ttl: str, rdclass: str, rdtype: str, value: str) -> dns.rrset.RRset:
    return dns.rrset.from_text(name, int(ttl), rdclass, rdtype, value)


def reply(*records: str, rcode: dns.rcode.Rcode = dns.rcode.NOERROR, flags: int = 0) -> bytes:
    response = dns.message.make_response(dns.message.from_wire(wire.query(ID, ASKED)))
    response.set_rcode(rcode)
    response.flags |= flags
    response.answer += [rrset(*record.split(" ", 4)) for record in records]
    return response.to_wire()


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::1", "::ffff:7f00:2"])
@pytest.mark.parametrize("rdtype", [wire.A, wire.TXT])
def test_a_question_is_what_dnspython_would_send(address: str, rdtype: int) -> None:
    labels = wire.reversed_labels(ip_address(address)) + wire.zone_labels("bl.test")
    name = reverse_name(ip_address(address), "bl.test")
    expected = dns.message.make_query(name, dns.rdatatype.RdataType(rdtype), id=4711)
    assert wire.query(ID, wire.question(labels, rdtype)) == expected.to_wire()


def test_a_wrong_zone_is_refused_without_repeating_what_may_hold_a_key() -> None:
    with pytest.raises(ValueError, match="no DNS name") as refused:
        wire.zone_labels(f"secret{'x' * 70}.bl.test")
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_only_a_reply_with_this_very_question_answers_it() -> None:
    good = reply(rcode=dns.rcode.NXDOMAIN)
    assert wire.answers(good, ASKED)
    assert wire.answers(good[:12] + good[12:].upper(), ASKED)
    other = wire.question(wire.reversed_labels(ip_address("192.0.2.8")) + wire.zone_labels("bl.test"))
    assert not wire.answers(good, other)
    assert not wire.answers(wire.query(ID, ASKED), ASKED)
    assert not wire.answers(good[:20], ASKED)
    # An update or a notification is no answer to a query.
    assert not wire.answers(good[:2] + bytes([good[2] | 0x28]) + good[3:], ASKED)
    # Nor is one that says that it holds no question, or two.
    for count in (0, 2):
        assert not wire.answers(good[:4] + bytes([0, count]) + good[6:], ASKED)


def test_what_replies_say() -> None:
    assert wire.read_reply(reply(rcode=dns.rcode.NXDOMAIN), ASKED) == wire.NXDOMAIN
    assert wire.read_reply(reply(), ASKED) == wire.NODATA
    assert wire.read_reply(reply(flags=dns.flags.TC), ASKED) == wire.TRUNCATED
    listed = wire.read_reply(reply(f"{NAME}. 60 IN A 127.0.0.2", f"{NAME}. 30 IN A 127.0.0.4"), ASKED)
    assert list(map(str, listed.addresses)) == ["127.0.0.2", "127.0.0.4"]
    assert listed.ttl_seconds == 30
    led_on = wire.read_reply(reply(f"{NAME}. 60 IN CNAME other.test.", "other.test. 20 IN A 127.0.0.3"), ASKED)
    assert (led_on.addresses, led_on.ttl_seconds) == ((IPv4Address("127.0.0.3"),), 20)
    assert wire.read_reply(reply(f"{NAME}. 60 IN CNAME other.test.", rcode=dns.rcode.NXDOMAIN), ASKED).is_nxdomain


def test_listings_that_look_alike_are_told_apart_by_the_name_that_was_asked() -> None:
    """What was read once is not believed of another name unless its records say that they are about that name."""
    other = wire.question(wire.reversed_labels(ip_address("192.0.2.8")) + wire.zone_labels("bl.test"))
    listing = reply(f"{NAME}. 60 IN A 127.0.0.2")
    for _ in range(2):
        assert wire.read_reply(listing, ASKED).addresses == (IPv4Address("127.0.0.2"),)
        assert wire.read_reply(listing.replace(ASKED, other), other).addresses == (IPv4Address("127.0.0.2"),)
    # The same with its owner's name written out: of the other name it says nothing.
    spelt_out = listing.replace(ASKED + b"\xc0\x0c", ASKED + ASKED[:-4])
    for _ in range(2):
        assert wire.read_reply(spelt_out, ASKED).addresses == (IPv4Address("127.0.0.2"),)
        assert not wire.read_reply(spelt_out.replace(ASKED + ASKED[:-4], other + ASKED[:-4]), other).addresses


def test_codes_and_times_to_live_are_each_listings_own() -> None:
    for code in ("127.0.0.2", "127.0.0.3", "91.195.240.117"):
        for ttl in (60, 59):
            said = wire.read_reply(reply(f"{NAME}. {ttl} IN A {code}"), ASKED)
            assert (said.addresses, said.ttl_seconds) == ((IPv4Address(code),), ttl)


@pytest.mark.parametrize(
    ("rcode", "may_pass"),
    [(dns.rcode.SERVFAIL, True), (dns.rcode.REFUSED, False), (dns.rcode.NOTIMP, False), (dns.rcode.FORMERR, False)],
)
def test_a_failure_is_worth_another_try_and_a_refusal_is_not(rcode: dns.rcode.Rcode, may_pass: bool) -> None:
    said = wire.read_reply(reply(rcode=rcode), ASKED)
    assert said.may_pass is may_pass
    assert dns.rcode.to_text(rcode) in str(said.error)


@given(st.binary(max_size=300), st.integers(0, 0xFFFF))
@example(b"", 1)
@example(b"\xc0\x00", 5)
def test_garbage_behind_an_honest_header_raises_nothing_and_lists_nothing(garbage: bytes, count: int) -> None:
    datagram = bytearray(reply()[: 12 + len(ASKED)] + garbage)
    datagram[6:8] = count.to_bytes(2, "big")
    said = wire.read_reply(bytes(datagram), ASKED)
    assert not said.addresses
    assert not said.is_nxdomain


@given(st.binary(min_size=12, max_size=600))
def test_no_datagram_whatever_raises(datagram: bytes) -> None:
    wire.answers(datagram, ASKED)
    wire.read_reply(datagram, ASKED)
