"""A paid list's key: it goes out in the name that is asked, and nothing that comes back brings it into any text."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import IPv4Address

import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from pydantic import SecretStr

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.dnsbl.questions import fetch_reason
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.sweep import sweep

KEY = "k3yThatIsPaidFor"
ADDRESS = IPv4Address("10.9.0.1")
(KEYED,) = load_catalogue().select(["combined.mail.abusix.zone"], keys={"abusix": SecretStr(KEY)})


def tell_the_key(query: dns.message.Message) -> dns.message.Message:
    """A server that repeats the key wherever it can, in letters of its own."""
    response = dns.message.make_response(query)
    (question,) = query.question
    if question.rdtype == dns.rdatatype.TXT:
        words = f'"seen at {KEY}" "see https://list.test/?key={KEY.upper()}"'
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "TXT", words))
    else:
        # It contradicts itself: a name that leads to itself.
        response.answer.append(dns.rrset.from_text(question.name, 60, "IN", "CNAME", question.name.to_text()))
    return response


@contextmanager
def telling() -> Iterator[tuple[Resolver, list[str]]]:
    """The server, and the names that it was asked."""
    names: list[str] = []
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)
        is_over = threading.Event()

        def serve() -> None:
            while not is_over.is_set():
                try:
                    octets, peer = server.recvfrom(512)
                except TimeoutError:
                    continue
                query = dns.message.from_wire(octets)
                names.append(query.question[0].name.to_text())
                server.sendto(tell_the_key(query).to_wire(), peer)

        serving = threading.Thread(target=serve)
        serving.start()
        try:
            yield Resolver("127.0.0.1", server.getsockname()[1]), names
        finally:
            is_over.set()
            serving.join(10)


def test_a_list_is_asked_with_its_key_and_named_without() -> None:
    with telling() as (resolver, names):
        found = sweep([Asking(KEYED, [ADDRESS])], [resolver], clock=lambda: datetime(2026, 11, 24, tzinfo=UTC))
    assert names
    assert all(KEY in name for name in names)
    assert set(found.asked) == {KEYED.zone}
    assert found.quarantined
    assert KEY.lower() not in repr(found).lower()


def test_the_words_of_a_list_are_read_without_the_key() -> None:
    with telling() as (resolver, names):
        words = fetch_reason(ADDRESS, KEYED, resolver)
    assert any(KEY in name for name in names)
    assert words == "seen at ***see https://list.test/?key=***"


@pytest.mark.parametrize("key", ["x" * 64, "a..b"])
def test_words_cannot_be_asked_for_by_a_key_that_makes_no_name(key: str) -> None:
    (wrong,) = load_catalogue().select(["combined.mail.abusix.zone"], keys={"abusix": SecretStr(key)})
    assert fetch_reason(ADDRESS, wrong, Resolver("127.0.0.1", 9)) is None
