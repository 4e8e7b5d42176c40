"""What the sink takes is committed and stands as it came; everything else it refuses, and it relays for nobody."""

import smtplib
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from sqlalchemy import Engine

from penguin_infra_tests.sink.sink_process import MAILBOX, SinkProcess, send, verification_mail


def untrusting() -> ssl.SSLContext:
    """TLS as Postfix takes it where it can: whoever it is, in cipher."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


@contextmanager
def storing_nothing(sink: SinkProcess) -> Iterator[None]:
    """Inside the block nothing is stored, whatever is sent."""
    before = sink.count()
    yield
    assert sink.count() == before


def test_an_accepted_mail_is_committed_as_it_came(sink: SinkProcess, correlation_id: str) -> None:
    before = datetime.now(UTC)
    with sink.connect(source="127.0.0.2", helo="node-1.nodes.test") as client:
        send(client, correlation_id, body="a line\n.a line with a dot\n")
        # Before the session ends: it was thanked for, so that it is there.
        (found,) = sink.found(correlation_id)
    mail = found.mail
    assert mail.peer_address == ip_address("127.0.0.2")
    assert (mail.helo, mail.tls_version, mail.mail_from) == ("node-1.nodes.test", None, "probe@node-1.nodes.test")
    assert before - timedelta(seconds=1) <= mail.received_at <= datetime.now(UTC)
    assert found.rcpt_to == MAILBOX
    sent = verification_mail(correlation_id, body="a line\n.a line with a dot\n")
    assert found.content == sent.as_bytes().replace(b"\n", b"\r\n")
    assert "a line" not in repr(found)


def test_tls_is_offered_taken_and_noted(sink: SinkProcess, correlation_id: str) -> None:
    with sink.connect() as client:
        client.ehlo("before.nodes.test")
        assert client.has_extn("starttls")
        client.starttls(context=untrusting())
        client.ehlo("after.nodes.test")
        assert not client.has_extn("auth")
        send(client, correlation_id)
    (found,) = sink.found(correlation_id)
    assert found.mail.tls_version == "TLSv1.3"
    # What was said in clear counts for nothing (RFC 3207 s4.2).
    assert found.mail.helo == "after.nodes.test"


def test_a_sender_that_says_nothing_after_tls_is_asked_who_it_is(sink: SinkProcess) -> None:
    with sink.connect() as client:
        client.ehlo()
        client.starttls(context=untrusting())
        assert client.docmd("MAIL", "FROM:<a@nodes.test>")[0] == 503


def test_the_own_key_is_not_left_on_the_disk(sink: SinkProcess) -> None:
    assert list((sink.home / "sink").iterdir()) == []


@pytest.mark.parametrize("to", ["verify+node-1@sink.test", "Verify@SINK.test"])
def test_tags_and_case_of_the_mailbox_are_the_same_mailbox(sink: SinkProcess, correlation_id: str, to: str) -> None:
    with sink.connect() as client:
        send(client, correlation_id, to=to)
    (found,) = sink.found(correlation_id)
    assert found.rcpt_to == to


@pytest.mark.parametrize(
    "to",
    [
        "postmaster@sink.test",
        "verify@elsewhere.test",
        "verify@sink.test.elsewhere.test",
        "someverify@sink.test",
        "verify%elsewhere.test@sink.test",
        '"verify@elsewhere.test"@sink.test',
        "victim@elsewhere.test",
    ],
)
def test_mail_for_anybody_else_is_refused(sink: SinkProcess, correlation_id: str, to: str) -> None:
    with storing_nothing(sink), sink.connect() as client, pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(client, correlation_id, to=to)
    assert refused.value.recipients[to][0] == 550


def test_a_second_recipient_of_one_mail_is_put_off(sink: SinkProcess, correlation_id: str) -> None:
    with sink.connect() as client:
        refused = client.send_message(
            verification_mail(correlation_id), "a@nodes.test", [MAILBOX, "verify+b@sink.test", "victim@elsewhere.test"]
        )
    assert {address: code for address, (code, _) in refused.items()} == {
        "verify+b@sink.test": 452,
        "victim@elsewhere.test": 550,
    }
    assert len(sink.found(correlation_id)) == 1


@pytest.mark.parametrize("wrong", [None, "short", "x" * 65, "not an id; at all", "id=12345678'--"])
def test_a_mail_without_an_id_is_refused(sink: SinkProcess, wrong: str | None) -> None:
    with storing_nothing(sink), sink.connect() as client, pytest.raises(smtplib.SMTPDataError) as refused:
        send(client, wrong)
    assert (refused.value.smtp_code, refused.value.smtp_error[:5]) == (550, b"5.7.1")


def test_a_mail_with_two_ids_or_one_in_its_body_only_is_refused(sink: SinkProcess, correlation_id: str) -> None:
    header = f"X-Penguin-Correlation: {correlation_id}\r\n"
    with storing_nothing(sink), sink.connect() as client:
        for content in (header + header + "\r\nbody\r\n", "Subject: a\r\n\r\n" + header):
            with pytest.raises(smtplib.SMTPDataError, match="550"):
                client.sendmail("a@nodes.test", [MAILBOX], content)


def test_a_large_mail_is_refused_before_and_after_it_is_sent(sink: SinkProcess, correlation_id: str) -> None:
    body = "forty characters of text, and a newline\n" * 8000
    with sink.connect() as client:
        client.ehlo()
        assert client.esmtp_features["size"] == str(256 * 1024)
        with pytest.raises(smtplib.SMTPSenderRefused) as announced:
            send(client, correlation_id, body=body)
        assert announced.value.smtp_code == 552
        client.esmtp_features.pop("size")
        with pytest.raises(smtplib.SMTPDataError) as sent:
            send(client, correlation_id, body=body)
        assert sent.value.smtp_code == 552
        assert sink.found(correlation_id) == []
        send(client, correlation_id, body=body[: 200 * 1024])
    assert len(sink.found(correlation_id)) == 1


def test_a_line_without_an_end_is_cut_off(sink: SinkProcess) -> None:
    with socket.create_connection((sink.host, sink.port), timeout=30) as connection:
        connection.sendall(b"EHLO a\r\nMAIL FROM:<a@nodes.test>\r\nRCPT TO:<verify@sink.test>\r\nDATA\r\n")
        sent = 0
        with suppress(OSError):
            while sent < 64 * 1024 * 1024:
                sent += connection.send(b"x" * 65536)
    # Beyond what the sink reads, the two machines' buffers hold some megabytes.
    assert sent < 32 * 1024 * 1024


def test_the_empty_sender_and_a_strange_greeting_are_noted_as_they_are(sink: SinkProcess, correlation_id: str) -> None:
    with sink.connect(helo="[192.0.2.7]") as client:
        client.helo()
        client.send_message(verification_mail(correlation_id), "<>", [MAILBOX])
    (found,) = sink.found(correlation_id)
    assert (found.mail.mail_from, found.mail.helo) == ("", "[192.0.2.7]")


def test_what_no_column_can_hold_is_refused(sink: SinkProcess) -> None:
    with sink.connect() as client:
        assert client.docmd("EHLO", "a" * 300)[0] == 501
        assert client.docmd("HELO", "a\x00b")[0] == 501
        assert client.docmd("EHLO", "a")[0] == 250
        assert client.docmd("MAIL", f"FROM:<{'a' * 400}@nodes.test>")[0] == 501


def test_one_peer_cannot_take_all_connections(sink: SinkProcess, correlation_id: str) -> None:
    taken = []
    try:
        for _ in range(40):
            connection = socket.create_connection((sink.host, sink.port), timeout=30)
            taken.append(connection)
            if connection.recv(4) == b"421 ":
                break
        assert len(taken) == 21
        with sink.connect(source="127.0.0.2") as client:
            send(client, correlation_id)
    finally:
        for connection in taken:
            connection.close()
    # Those that went make room.
    with sink.connect() as client:
        send(client, correlation_id)
    assert len(sink.found(correlation_id)) == 2


def test_a_peer_with_an_ipv6_address_is_noted(shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory) -> None:
    if not socket.has_ipv6 or not _has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback")
    with SinkProcess(shared_engine, tmp_path_factory.mktemp("sink"), host="::1") as sink, sink.connect() as client:
        send(client, "correlation-6")
        assert [one.mail.peer_address for one in sink.found("correlation-6")] == [ip_address("::1")]


def test_on_both_families_an_ipv4_peer_keeps_its_address(
    shared_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    if not socket.has_ipv6 or not _has_ipv6_loopback():
        pytest.skip("this machine has no IPv6 loopback")
    with SinkProcess(shared_engine, tmp_path_factory.mktemp("sink"), host="::ffff:127.0.0.1") as sink:
        with sink.connect(host="127.0.0.1") as client:
            send(client, "correlation-4")
        assert [one.mail.peer_address for one in sink.found("correlation-4")] == [ip_address("127.0.0.1")]


def _has_ipv6_loopback() -> bool:
    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
        return True
