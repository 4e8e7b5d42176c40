"""The lab's DNS server as any resolver would see it."""

import socket
from pathlib import Path

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.update
import pytest

from penguin_infra.lab.dns_changes import read_zone
from penguin_infra.lab.dns_server import serve_dns
from penguin_infra.lab.dns_zone import LabDnsError
from penguin_infra.lab.dns_zones import Fault
from penguin_infra_tests.dns_process import TTL_SECONDS, DnsProcess, running_dns, start_dns

ZEN = "zen.spamhaus.org"
SPAMCOP = "bl.spamcop.net"
V6_TEST_POINT = "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0"
V6_NEGATIVE_POINT = V6_TEST_POINT.replace("2", "1", 1)


def ask(lab_dns: DnsProcess, name: str, rdtype: str = "A", payload: int = 1232) -> dns.message.Message:
    query = dns.message.make_query(name, rdtype, use_edns=payload > 0, payload=payload)
    return dns.query.udp(query, "127.0.0.1", port=lab_dns.port, timeout=5)


def found(response: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for rrset in response.answer for record in rrset)


@pytest.mark.parametrize("point", ["2.0.0.127", V6_TEST_POINT])
def test_a_test_point_is_listed_with_the_codes_of_its_zone(lab_dns: DnsProcess, point: str) -> None:
    response = ask(lab_dns, f"{point}.{ZEN}")
    assert found(response) == ["127.0.0.10", "127.0.0.2", "127.0.0.4"]
    assert response.flags & dns.flags.AA
    assert response.answer[0].ttl == TTL_SECONDS
    assert "test point" in found(ask(lab_dns, f"{point}.{ZEN}", "TXT"))[0]


@pytest.mark.parametrize("name", ["1.0.0.127", V6_NEGATIVE_POINT, "1.2.0.192"])
def test_an_address_that_is_not_listed_does_not_exist(lab_dns: DnsProcess, name: str) -> None:
    response = ask(lab_dns, f"{name}.{ZEN}")
    assert response.rcode() == dns.rcode.NXDOMAIN
    assert response.authority[0].rdtype == dns.rdatatype.SOA


def test_a_zone_without_ipv6_does_not_list_the_ipv6_test_point(lab_dns: DnsProcess) -> None:
    assert ask(lab_dns, f"{V6_TEST_POINT}.psbl.surriel.com").rcode() == dns.rcode.NXDOMAIN


@pytest.mark.parametrize(("name", "rdtype"), [("2.0.0.127", "AAAA"), ("0.0.127", "A")])
def test_a_name_without_such_records_exists_all_the_same(lab_dns: DnsProcess, name: str, rdtype: str) -> None:
    response = ask(lab_dns, f"{name}.{ZEN}", rdtype)
    assert (response.rcode(), response.answer) == (dns.rcode.NOERROR, [])
    assert response.authority[0].rdtype == dns.rdatatype.SOA


def test_names_are_found_whatever_their_case(lab_dns: DnsProcess) -> None:
    assert found(ask(lab_dns, "2.0.0.127.BL.SpamCop.NET")) == ["127.0.0.2"]


def test_names_outside_its_zones_are_refused(lab_dns: DnsProcess) -> None:
    assert ask(lab_dns, "example.org").rcode() == dns.rcode.REFUSED


def test_a_listing_appears_with_its_reason_and_goes_again(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.1", SPAMCOP, reason='He said "spam"')
    assert found(ask(lab_dns, f"1.0.1.10.{SPAMCOP}")) == ["127.0.0.2"]
    assert found(ask(lab_dns, f"1.0.1.10.{SPAMCOP}", "TXT")) == [r'"He said \"spam\""']
    lab_dns.delist_ip("10.1.0.1", SPAMCOP)
    assert ask(lab_dns, f"1.0.1.10.{SPAMCOP}").rcode() == dns.rcode.NXDOMAIN
    assert ask(lab_dns, f"0.1.10.{SPAMCOP}").rcode() == dns.rcode.NXDOMAIN


def test_codes_of_one_address_add_up(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.2", ZEN, "127.0.0.2")
    lab_dns.list_ip("10.1.0.2", ZEN, "127.0.0.10")
    assert found(ask(lab_dns, f"2.0.1.10.{ZEN}")) == ["127.0.0.10", "127.0.0.2"]


def test_a_single_record_can_be_removed(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.3", ZEN, "127.0.0.2")
    lab_dns.list_ip("10.1.0.3", ZEN, "127.0.0.10")
    update = dns.update.UpdateMessage(ZEN)
    update.delete("3.0.1.10", "A", "127.0.0.2")
    assert dns.query.udp(update, "127.0.0.1", port=lab_dns.port, timeout=5).rcode() == dns.rcode.NOERROR
    assert found(ask(lab_dns, f"3.0.1.10.{ZEN}")) == ["127.0.0.10"]


def test_an_answer_too_big_for_a_datagram_comes_over_tcp(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.4", SPAMCOP, reason="x" * 2000)
    name = f"4.0.1.10.{SPAMCOP}"
    for payload in (0, 1232):
        assert ask(lab_dns, name, "TXT", payload).flags & dns.flags.TC
    query = dns.message.make_query(name, "TXT")
    response, is_tcp = dns.query.udp_with_fallback(query, "127.0.0.1", port=lab_dns.port, timeout=5)
    assert is_tcp
    assert found(response)[0].count("x") == 2000


def test_a_zone_transfer_shows_what_is_listed_and_how_the_zone_fails(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.5", "psbl.surriel.com", reason="trap")
    lab_dns.list_ip("2001:db8::5", "hostkarma.junkemailfilter.com")
    with lab_dns.broken("psbl.surriel.com", Fault.TIMEOUT):
        listings, fault = read_zone(lab_dns.port, "psbl.surriel.com")
    assert [(str(one.address), one.codes, one.reason) for one in listings] == [("10.1.0.5", ("127.0.0.2",), "trap")]
    assert fault is Fault.TIMEOUT
    listings, fault = read_zone(lab_dns.port, "hostkarma.junkemailfilter.com")
    assert [str(one.address) for one in listings] == ["2001:db8::5"]
    assert fault is Fault.NONE


def test_a_transfer_of_many_listings_takes_several_messages(lab_dns: DnsProcess) -> None:
    zone = "dnsbl-1.uceprotect.net"
    update = dns.update.UpdateMessage(zone)
    for number in range(1200):
        update.add(f"{number % 250}.{number // 250}.9.10", 0, "A", "127.0.0.2")
    assert dns.query.tcp(update, "127.0.0.1", port=lab_dns.port, timeout=30).rcode() == dns.rcode.NOERROR
    assert len(read_zone(lab_dns.port, zone)[0]) == 1200


@pytest.mark.parametrize(
    ("zone", "name", "rcode"),
    [("example.org", "x.example.org.", dns.rcode.NOTAUTH), (ZEN, "x.example.org.", dns.rcode.NOTZONE)],
)
def test_a_change_outside_its_zones_is_refused(
    lab_dns: DnsProcess, zone: str, name: str, rcode: dns.rcode.Rcode
) -> None:
    update = dns.update.UpdateMessage(zone)
    update.add(dns.name.from_text(name), 0, "A", "127.0.0.2")
    assert dns.query.tcp(update, "127.0.0.1", port=lab_dns.port, timeout=5).rcode() == rcode


@pytest.mark.parametrize(("fault", "rcode"), [(Fault.SERVFAIL, dns.rcode.SERVFAIL), (Fault.REFUSED, dns.rcode.REFUSED)])
def test_a_list_can_be_made_to_fail_and_mended(lab_dns: DnsProcess, fault: Fault, rcode: dns.rcode.Rcode) -> None:
    with lab_dns.broken(SPAMCOP, fault):
        assert ask(lab_dns, f"2.0.0.127.{SPAMCOP}").rcode() == rcode
        assert ask(lab_dns, f"2.0.0.127.{ZEN}").rcode() == dns.rcode.NOERROR
    assert found(ask(lab_dns, f"2.0.0.127.{SPAMCOP}")) == ["127.0.0.2"]


def test_a_list_can_be_made_silent(lab_dns: DnsProcess) -> None:
    query = dns.message.make_query(f"2.0.0.127.{SPAMCOP}", "A")
    with lab_dns.broken(SPAMCOP, Fault.TIMEOUT), pytest.raises(dns.exception.Timeout):
        dns.query.udp(query, "127.0.0.1", port=lab_dns.port, timeout=0.5)


def test_an_emptied_list_has_no_names_at_all_and_gets_them_back(lab_dns: DnsProcess) -> None:
    lab_dns.list_ip("10.1.0.6", SPAMCOP)
    with lab_dns.broken(SPAMCOP, Fault.EMPTY):
        for name in (f"6.0.1.10.{SPAMCOP}", f"2.0.0.127.{SPAMCOP}", f"0.0.127.{SPAMCOP}"):
            assert ask(lab_dns, name).rcode() == dns.rcode.NXDOMAIN
        assert ask(lab_dns, SPAMCOP, "SOA").rcode() == dns.rcode.NOERROR
    assert found(ask(lab_dns, f"6.0.1.10.{SPAMCOP}")) == ["127.0.0.2"]


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Fault.WILDCARD, "127.0.0.2"),
        (Fault.OPEN_RESOLVER, "127.255.255.254"),
        (Fault.ERROR_CODE, "127.255.255.255"),
    ],
)
def test_a_list_can_be_made_to_answer_for_every_name(lab_dns: DnsProcess, fault: Fault, code: str) -> None:
    with lab_dns.broken(SPAMCOP, fault):
        assert found(ask(lab_dns, f"9.9.9.9.{SPAMCOP}")) == [code]
        assert found(ask(lab_dns, f"1.0.0.127.{SPAMCOP}")) == [code]


@pytest.mark.parametrize(
    "wire",
    [b"", b"\x00", b"\x12\x34" + bytes(9), b"\x12\x34\x01\x00\x00\x01" + bytes(6), b"\xff" * 600],
)
def test_a_malformed_packet_harms_nobody(lab_dns: DnsProcess, wire: bytes) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.sendto(wire, ("127.0.0.1", lab_dns.port))
    with socket.create_connection(("127.0.0.1", lab_dns.port)) as stream:
        stream.sendall(len(wire).to_bytes(2) + wire)
    assert found(ask(lab_dns, f"2.0.0.127.{SPAMCOP}")) == ["127.0.0.2"]


def test_a_query_with_a_broken_question_is_a_format_error(lab_dns: DnsProcess) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sender:
        sender.settimeout(5)
        sender.sendto(b"\x12\x34\x01\x00\x00\x01" + bytes(6), ("127.0.0.1", lab_dns.port))
        reply = sender.recv(512)
    assert (reply[:2], reply[3] & 0xF) == (b"\x12\x34", dns.rcode.FORMERR)


def test_listings_and_faults_survive_a_killed_server(tmp_path: Path) -> None:
    first = start_dns(tmp_path)
    first.list_ip("10.1.0.9", ZEN, "127.0.0.3", reason="kept")
    first.break_list(SPAMCOP, Fault.REFUSED)
    first.kill()
    with running_dns(tmp_path) as second:
        assert found(ask(second, f"9.0.1.10.{ZEN}")) == ["127.0.0.3"]
        assert found(ask(second, f"9.0.1.10.{ZEN}", "TXT")) == ['"kept"']
        assert ask(second, f"2.0.0.127.{SPAMCOP}").rcode() == dns.rcode.REFUSED


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.7"])
def test_it_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(LabDnsError, match="loopback"):
        serve_dns(host=host, port=1, directory=tmp_path, zones={})


def test_a_port_in_use_is_named(lab_dns: DnsProcess, tmp_path: Path) -> None:
    with pytest.raises(LabDnsError, match=str(lab_dns.port)):
        serve_dns(port=lab_dns.port, directory=tmp_path, zones={})


def test_a_spoilt_zone_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bl.test.zone").write_text("this is no zone file\n")
    with pytest.raises(LabDnsError, match=r"bl\.test\.zone"):
        serve_dns(port=1, directory=tmp_path, zones={"bl.test": ["127.0.0.2"]})
