"""The nodes' names at the lab's DNS server: changed under prerequisites (RFC 2136), by whoever has the key."""

import socket
import time
from collections.abc import Callable
from pathlib import Path

import dns.exception
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.tsig
import dns.update
import dns.zone
import pytest

from penguin_infra.lab.dns_zone import FORWARD_ZONE, REVERSE_ZONE
from penguin_infra_tests.dns_process import KEY_NAME, DnsProcess, running_dns, start_dns

Prepare = Callable[[dns.update.UpdateMessage], None]


def send(lab_dns: DnsProcess, update: dns.update.UpdateMessage) -> str:
    """The server's answer to an update, verified where the update was signed."""
    return dns.rcode.to_text(dns.query.tcp(update, "127.0.0.1", port=lab_dns.port, timeout=5).rcode())


def signed(lab_dns: DnsProcess, *prepare: Prepare) -> dns.update.UpdateMessage:
    update = dns.update.UpdateMessage(FORWARD_ZONE, keyring=lab_dns.key)
    for each in prepare:
        each(update)
    return update


def publish(lab_dns: DnsProcess, name: str, *addresses: str) -> None:
    assert send(lab_dns, signed(lab_dns, lambda update: update.replace(name, 300, "A", *addresses))) == "NOERROR"


def ask(lab_dns: DnsProcess, name: str, rdtype: str = "A") -> list[str]:
    query = dns.message.make_query(name, rdtype)
    response, _ = dns.query.udp_with_fallback(query, "127.0.0.1", port=lab_dns.port, timeout=5)
    return sorted(record.to_text() for rrset in response.answer for record in rrset)


def ask_node(lab_dns: DnsProcess, name: str, rdtype: str = "A") -> list[str]:
    return ask(lab_dns, f"{name}.{FORWARD_ZONE}", rdtype)


def test_a_nodes_names_appear_and_go_again(lab_dns: DnsProcess) -> None:
    key = f"v=DKIM1; k=rsa; p={'A' * 392}"
    strings = f'"{key[:255]}" "{key[255:]}"'
    update = signed(
        lab_dns,
        lambda each: each.add("n1", 300, "A", "127.77.0.1"),
        lambda each: each.add("penguin._domainkey.n1", 300, "TXT", strings),
    )
    assert send(lab_dns, update) == "NOERROR"
    assert ask_node(lab_dns, "n1") == ["127.77.0.1"]
    assert ask_node(lab_dns, "penguin._domainkey.n1", "TXT") == [strings]
    assert send(lab_dns, signed(lab_dns, lambda each: each.delete("n1"))) == "NOERROR"
    assert ask_node(lab_dns, "n1") == []
    assert ask_node(lab_dns, "penguin._domainkey.n1", "TXT") == [strings]


# What holds beforehand: `held` has the addresses 127.77.1.1 and 127.77.1.2, `free` has nothing.
@pytest.mark.parametrize(
    ("prerequisite", "answer"),
    [
        (lambda each: each.present("held"), "NOERROR"),
        (lambda each: each.present("free"), "NXDOMAIN"),
        (lambda each: each.absent("free"), "NOERROR"),
        (lambda each: each.absent("held"), "YXDOMAIN"),
        (lambda each: each.present("held", "A"), "NOERROR"),
        (lambda each: each.present("held", "TXT"), "NXRRSET"),
        (lambda each: each.present("free", "A"), "NXRRSET"),
        (lambda each: each.absent("held", "TXT"), "NOERROR"),
        (lambda each: each.absent("free", "A"), "NOERROR"),
        (lambda each: each.absent("held", "A"), "YXRRSET"),
        (lambda each: each.present("held", "A", "127.77.1.2", "127.77.1.1"), "NOERROR"),
        (lambda each: each.present("HELD", "A", "127.77.1.1", "127.77.1.2"), "NOERROR"),
        (lambda each: each.present("held", "A", "127.77.1.1"), "NXRRSET"),
        (lambda each: each.present("held", "A", "127.77.1.1", "127.77.1.2", "127.77.1.3"), "NXRRSET"),
        (lambda each: each.present("free", "A", "127.77.1.1"), "NXRRSET"),
    ],
)
def test_a_change_is_made_only_under_its_prerequisite(lab_dns: DnsProcess, prerequisite: Prepare, answer: str) -> None:
    publish(lab_dns, "held", "127.77.1.1", "127.77.1.2")
    publish(lab_dns, "changed", "127.77.1.8")
    update = signed(lab_dns, prerequisite, lambda each: each.replace("changed", 300, "A", "127.77.1.9"))
    assert send(lab_dns, update) == answer
    assert ask_node(lab_dns, "changed") == ["127.77.1.9" if answer == "NOERROR" else "127.77.1.8"]


def test_of_several_prerequisites_one_that_fails_stops_the_whole_change(lab_dns: DnsProcess) -> None:
    publish(lab_dns, "several", "127.77.1.20")
    update = signed(
        lab_dns,
        lambda each: each.absent("several-new"),
        lambda each: each.present("several", "A", "127.77.1.21"),
        lambda each: each.add("several-new", 300, "A", "127.77.1.22"),
        lambda each: each.delete("several"),
    )
    assert send(lab_dns, update) == "NXRRSET"
    assert (ask_node(lab_dns, "several"), ask_node(lab_dns, "several-new")) == (["127.77.1.20"], [])


def test_a_name_whose_last_record_went_is_in_use_no_more(lab_dns: DnsProcess) -> None:
    publish(lab_dns, "emptied", "127.77.1.30")
    assert send(lab_dns, signed(lab_dns, lambda each: each.delete("emptied", "A", "127.77.1.30"))) == "NOERROR"
    assert send(lab_dns, signed(lab_dns, lambda each: each.absent("emptied"))) == "NOERROR"


@pytest.mark.parametrize("part", ["prerequisite", "change"])
def test_a_name_of_another_zone_is_no_matter_of_this_one(lab_dns: DnsProcess, part: str) -> None:
    foreign = dns.name.from_text("n1.example.org.")
    update = dns.update.UpdateMessage(FORWARD_ZONE, keyring=lab_dns.key)
    if part == "prerequisite":
        update.absent(foreign)
    else:
        update.add(foreign, 300, "A", "127.77.1.1")
    assert send(lab_dns, update) == "NOTZONE"


def test_a_prerequisite_that_rfc_2136_does_not_know_is_a_format_error(lab_dns: DnsProcess) -> None:
    update = signed(lab_dns, lambda each: each.present("held", "A", "127.77.1.1"))
    update.prerequisite[0].ttl = 60
    assert send(lab_dns, update) == "FORMERR"


def test_the_apex_keeps_what_makes_it_a_zone(lab_dns: DnsProcess) -> None:
    apex = dns.name.from_text(FORWARD_ZONE)
    assert (
        send(lab_dns, signed(lab_dns, lambda each: each.delete(apex), lambda each: each.delete(apex, "NS")))
        == "NOERROR"
    )
    assert ask(lab_dns, FORWARD_ZONE, "NS")
    assert ask(lab_dns, FORWARD_ZONE, "SOA")


def test_without_the_key_nobody_changes_the_nodes_names(lab_dns: DnsProcess) -> None:
    publish(lab_dns, "kept", "127.77.1.40")
    update = dns.update.UpdateMessage(FORWARD_ZONE)
    update.delete("kept")
    assert send(lab_dns, update) == "NOTAUTH"
    assert ask_node(lab_dns, "kept") == ["127.77.1.40"]


@pytest.mark.parametrize(
    ("key", "refusal", "error"),
    [
        (dns.tsig.Key(KEY_NAME, "d3Jvbmc="), dns.tsig.PeerBadSignature, dns.rcode.BADSIG),
        (dns.tsig.Key("stranger", "d3Jvbmc="), dns.tsig.PeerBadKey, dns.rcode.BADKEY),
        (dns.tsig.Key(KEY_NAME, "d3Jvbmc=", "hmac-sha512"), dns.tsig.PeerBadKey, dns.rcode.BADKEY),
    ],
)
def test_a_wrong_signature_is_refused_by_its_name(
    lab_dns: DnsProcess, key: dns.tsig.Key, refusal: type[Exception], error: dns.rcode.Rcode
) -> None:
    publish(lab_dns, "kept", "127.77.1.40")
    update = dns.update.UpdateMessage(FORWARD_ZONE, keyring=key)
    update.delete("kept")
    with pytest.raises(refusal):
        send(lab_dns, update)
    raw = dns.message.from_wire(_reply(lab_dns, update.to_wire()), keyring=False)
    assert (raw.rcode(), raw.tsig_error, raw.mac) == (dns.rcode.NOTAUTH, error, b"")
    assert ask_node(lab_dns, "kept") == ["127.77.1.40"]


def test_a_signature_of_another_time_is_refused_and_told_the_servers(
    lab_dns: DnsProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    update = signed(lab_dns, lambda each: each.delete("kept"))
    with monkeypatch.context() as past:
        past.setattr(time, "time", lambda: now - 3600)
        wire = update.to_wire()
    raw = dns.message.from_wire(_reply(lab_dns, wire), keyring=False)
    assert (raw.rcode(), raw.tsig_error) == (dns.rcode.NOTAUTH, dns.rcode.BADTIME)
    assert raw.tsig is not None
    assert abs(int.from_bytes(raw.tsig[0].other) - now) < 60
    assert raw.mac


def test_a_signed_question_gets_a_signed_answer(lab_dns: DnsProcess) -> None:
    publish(lab_dns, "asked", "127.77.1.50")
    for ask_by in (dns.query.udp, dns.query.tcp):
        query = dns.message.make_query(f"asked.{FORWARD_ZONE}", "A")
        query.use_tsig(lab_dns.key)
        assert ask_by(query, "127.0.0.1", port=lab_dns.port, timeout=5).had_tsig


def test_the_nodes_names_are_transferred_to_whoever_has_the_key(lab_dns: DnsProcess) -> None:
    update = signed(lab_dns)
    # Enough for several messages: each of them is signed.
    for number in range(1200):
        update.add(f"many-{number}", 300, "A", f"127.77.{10 + number // 250}.{number % 250 + 1}")
    assert send(lab_dns, update) == "NOERROR"
    found = dns.zone.Zone(FORWARD_ZONE)
    query = dns.message.make_query(FORWARD_ZONE, "AXFR")
    query.use_tsig(lab_dns.key)
    dns.query.inbound_xfr("127.0.0.1", found, query, port=lab_dns.port, timeout=10, lifetime=10)
    assert sum(str(name).startswith("many-") for name in found) == 1200


def test_the_nodes_names_are_not_transferred_without_the_key(lab_dns: DnsProcess) -> None:
    with pytest.raises(dns.exception.DNSException, match="NOTAUTH"):
        dns.query.inbound_xfr("127.0.0.1", dns.zone.Zone(FORWARD_ZONE), port=lab_dns.port, timeout=5, lifetime=5)


def test_reverse_names_are_changed_without_a_key(lab_dns: DnsProcess) -> None:
    update = dns.update.UpdateMessage(REVERSE_ZONE)
    update.add("7.1.77", 300, "PTR", "n7.nodes.lab.test.")
    assert send(lab_dns, update) == "NOERROR"
    assert ask(lab_dns, "7.1.77.127.in-addr.arpa", "PTR") == ["n7.nodes.lab.test."]


def test_names_survive_a_killed_server(tmp_path: Path) -> None:
    first = start_dns(tmp_path)
    publish(first, "kept", "127.77.1.60")
    first.kill()
    with running_dns(tmp_path) as second:
        assert ask_node(second, "kept") == ["127.77.1.60"]


def test_a_change_that_cannot_be_kept_is_not_shown(tmp_path: Path) -> None:
    with running_dns(tmp_path) as server:
        publish(server, "kept", "127.77.1.70")
        # A folder where the new file would be: as good as a full disk.
        (tmp_path / f"{FORWARD_ZONE}.new").mkdir()
        update = signed(server, lambda each: each.replace("kept", 300, "A", "127.77.1.71"))
        assert send(server, update) == "SERVFAIL"
        assert ask_node(server, "kept") == ["127.77.1.70"]


def _reply(lab_dns: DnsProcess, wire: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", lab_dns.port), timeout=5) as stream, stream.makefile("rb") as answers:
        stream.sendall(len(wire).to_bytes(2) + wire)
        return answers.read(int.from_bytes(answers.read(2)))
