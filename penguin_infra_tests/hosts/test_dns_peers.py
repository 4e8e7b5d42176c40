"""The DNS peers are real servers: they take signed updates of both zones, refuse others, and forget nothing."""

import base64
import secrets
from collections.abc import Iterator
from pathlib import Path

import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.tsig
import dns.update
import psutil
import pytest

from penguin_infra_tests.hosts.dns_peers import REVERSE_ZONE, BindServer, DnsPeer, KnotServer
from penguin_infra_tests.name_servers import FORWARD_ZONE

KEY_NAME = "penguin-fleet"
ADDRESS_RECORD = ("mail1.nodes.test", "A", "10.77.1.2")
POINTER_RECORD = ("2.1.77.10.in-addr.arpa", "PTR", "mail1.nodes.test")


@pytest.fixture(params=[KnotServer, BindServer])
def peer(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DnsPeer]:
    kind: type[DnsPeer] = request.param
    kind.require()
    secret = base64.b64encode(secrets.token_bytes(32)).decode()
    made = kind(tmp_path / "server", key_name=KEY_NAME, secret=secret)
    made.start()
    yield made
    made.kill()


def publish(peer: DnsPeer, *, secret: str | None) -> dns.message.Message:
    """Both records of one node, signed when there is a secret; the last answer."""
    key = dns.tsig.Key(KEY_NAME, secret, dns.tsig.HMAC_SHA256) if secret else None
    for zone, (name, kind, value) in ((FORWARD_ZONE, ADDRESS_RECORD), (REVERSE_ZONE, POINTER_RECORD)):
        update = dns.update.UpdateMessage(zone, keyring=key)
        update.add(dns.name.from_text(name), 60, kind, f"{value}." if kind == "PTR" else value)
        answer = dns.query.tcp(update, peer.address, port=peer.port, timeout=10)
    return answer


def test_a_new_zone_has_published_nothing(peer: DnsPeer) -> None:
    assert peer.zone_records(FORWARD_ZONE) == set()
    assert peer.zone_records(REVERSE_ZONE) == set()


def test_a_signed_update_is_seen_in_both_zones(peer: DnsPeer) -> None:
    assert publish(peer, secret=peer.key.secret).rcode() == dns.rcode.NOERROR

    assert peer.zone_records(FORWARD_ZONE) == {ADDRESS_RECORD}
    assert peer.zone_records(REVERSE_ZONE) == {POINTER_RECORD}


def test_an_unsigned_update_changes_nothing(peer: DnsPeer) -> None:
    assert publish(peer, secret=None).rcode() in {dns.rcode.REFUSED, dns.rcode.NOTAUTH}

    assert peer.zone_records(FORWARD_ZONE) == set()


def test_an_update_under_a_wrong_key_changes_nothing(peer: DnsPeer) -> None:
    with pytest.raises(dns.tsig.PeerBadSignature):
        publish(peer, secret=base64.b64encode(b"of somebody else" * 2).decode())

    assert peer.zone_records(FORWARD_ZONE) == set()


def test_what_was_published_outlives_a_power_cut_and_a_restart(peer: DnsPeer) -> None:
    publish(peer, secret=peer.key.secret)

    peer.kill()
    assert not peer.is_answering()
    peer.start()
    assert peer.zone_records(FORWARD_ZONE) == {ADDRESS_RECORD}

    peer.restart()
    assert peer.zone_records(REVERSE_ZONE) == {POINTER_RECORD}


def test_a_stopped_server_has_left_and_shows_its_key_to_nobody(peer: DnsPeer) -> None:
    # Other tests of the session have servers of the same kind.
    servers = [child for child in psutil.Process().children() if child.name() == peer.binary]
    (process,) = [server for server in servers if str(peer.directory) in " ".join(server.cmdline())]
    assert peer.key.secret not in " ".join(process.cmdline())
    assert peer.key.secret not in repr(peer) + peer.log
    assert peer.directory.stat().st_mode & 0o777 == 0o700

    peer.stop()

    assert not process.is_running()
    assert not peer.is_answering()
