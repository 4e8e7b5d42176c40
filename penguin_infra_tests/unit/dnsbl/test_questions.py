"""Names that are asked, and resolvers as people write them."""

from ipaddress import ip_address

import pytest

from penguin_infra.dnsbl.questions import reverse_name
from penguin_infra.dnsbl.resolvers import Resolver, ResolverError, choose_resolvers


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("192.0.2.7", "7.2.0.192.bl.test"),
        ("::ffff:7f00:2", "2.0.0.0.0.0.f.7.f.f.f.f.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.bl.test"),
        ("2001:db8::1", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.bl.test"),
    ],
)
def test_an_address_is_asked_about_in_reverse(address: str, name: str) -> None:
    assert reverse_name(ip_address(address), "bl.test") == name


def test_resolvers_are_address_and_port_and_each_is_asked_once() -> None:
    chosen = choose_resolvers(["127.0.0.1:5353", " 127.0.0.1:5353", "192.0.2.1", "[::1]:5300"])
    assert chosen == (Resolver("127.0.0.1", 5353), Resolver("192.0.2.1", 53), Resolver("::1", 5300))
    assert [str(one) for one in chosen] == ["127.0.0.1:5353", "192.0.2.1:53", "[::1]:5300"]


@pytest.mark.parametrize(
    "text",
    ["resolver.example:53", "127.0.0.1:0", "127.0.0.1:66000", "127.0.0.1:dns", "", ":53", "udp://127.0.0.1", "::1"],
)
def test_a_wrong_resolver_is_told_its_setting(text: str) -> None:
    with pytest.raises(ResolverError, match="PENGUIN_RESOLVERS"):
        choose_resolvers([text])
