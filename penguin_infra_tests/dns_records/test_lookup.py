"""What resolvers say, each time afresh: that a name does not exist is an answer, that nobody answers is not."""

from ipaddress import IPv4Address, IPv6Address

import pytest

from penguin_infra.dns_records.lookup import NameLookup
from penguin_infra.dns_records.publisher import DnsUnavailable
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.name_servers import FORWARD_ZONE, REVERSE_ZONE, NameServer


@pytest.fixture
def lookup(server: NameServer) -> NameLookup:
    return NameLookup([(server.address, server.port)], timeout_seconds=3)


def test_an_address_leads_to_its_names_and_a_name_to_its_addresses(
    server: NameServer, lookup: NameLookup, name: str
) -> None:
    server.add(REVERSE_ZONE, "7.3.2.10.in-addr.arpa", "PTR", f"{name.upper()}.", "other.example.com.")
    server.add(FORWARD_ZONE, name, "A", "10.2.3.7", "10.2.3.8")
    server.add(FORWARD_ZONE, f"alias.{name}", "CNAME", f"{name}.")
    assert lookup.reverse_names(IPv4Address("10.2.3.7")) == {name, "other.example.com"}
    assert lookup.addresses(name) == {"10.2.3.7", "10.2.3.8"}
    assert lookup.addresses(f"alias.{name}") == {"10.2.3.7", "10.2.3.8"}


def test_nothing_there_is_an_answer_and_is_not_remembered(server: NameServer, lookup: NameLookup, name: str) -> None:
    address = IPv4Address("10.200.0.1")
    assert lookup.reverse_names(address) == frozenset()
    assert lookup.addresses(name) == frozenset()
    server.add(FORWARD_ZONE, name, "TXT", '"only a text"')
    assert lookup.addresses(name) == frozenset()
    server.add(FORWARD_ZONE, name, "A", "10.200.0.1")
    server.add(REVERSE_ZONE, "1.0.200.10.in-addr.arpa", "PTR", f"{name}.")
    assert lookup.reverse_names(address) == {name}
    assert lookup.addresses(name) == {"10.200.0.1"}
    server.delete(FORWARD_ZONE, name)
    server.delete(REVERSE_ZONE, "1.0.200.10.in-addr.arpa")
    assert lookup.addresses(name) == frozenset()


def test_values_of_every_type_are_plain_texts(server: NameServer, lookup: NameLookup, name: str) -> None:
    server.add(FORWARD_ZONE, name, "TXT", f'"{"a" * 200}" "{"b" * 200}"')
    server.add(FORWARD_ZONE, name, "MX", "10 mail.example.com.")
    assert lookup.values(name, "TXT") == ("a" * 200 + "b" * 200,)
    assert lookup.values(name, "MX") == ("10 mail.example.com",)
    assert lookup.values(name, "AAAA") == ()
    assert lookup.values("a..b", "A") == ()
    assert lookup.values(f"{'x' * 70}.{FORWARD_ZONE}", "A") == ()


def test_nobody_there_is_no_answer() -> None:
    lookup = NameLookup([("127.0.0.1", free_port())], timeout_seconds=0.5)
    with pytest.raises(DnsUnavailable, match=r"looking up a\.nodes\.test A"):
        lookup.addresses("a.nodes.test")
    with pytest.raises(DnsUnavailable, match=r"ip6\.arpa PTR"):
        lookup.reverse_names(IPv6Address("2001:db8::1"))


def test_a_refusal_is_no_answer(lookup: NameLookup) -> None:
    with pytest.raises(DnsUnavailable):
        lookup.addresses("a.elsewhere.test")


def test_the_second_resolver_is_asked_when_the_first_is_away(server: NameServer, name: str) -> None:
    server.add(FORWARD_ZONE, name, "A", "10.2.3.7")
    lookup = NameLookup([("127.0.0.1", free_port()), (server.address, server.port)], timeout_seconds=10)
    assert lookup.addresses(name) == {"10.2.3.7"}
