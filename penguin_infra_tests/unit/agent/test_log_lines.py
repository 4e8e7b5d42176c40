"""Lines of the mail log, as Postfix and others write them, and as nobody does."""

import contextlib
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.agent.log_lines import LONGEST_LINE, Delivery, LineReader, MessageEnded, UnreadLine

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC).timestamp()


def read(line: str) -> Delivery | MessageEnded | None:
    return LineReader().read(line.encode(), NOW)


def line(
    *,
    agent: str = "smtp",
    relay: str = "mx.example.org[192.0.2.1]:25",
    dsn: str | None = "2.0.0",
    status: str = "sent",
    reply: str = "250 OK",
    to: str = "a@example.org",
) -> str:
    codes = "" if dsn is None else f" dsn={dsn},"
    return (
        f"2026-11-24T11:59:58.123456+00:00 node postfix/{agent}[1]: 4FABC12345: to=<{to}>, relay={relay},"
        f" delay=1, delays=0/0/1/0,{codes} status={status} ({reply})"
    )


def result(text: str) -> str:
    fact = read(text)
    assert isinstance(fact, Delivery)
    return fact.result


@pytest.mark.parametrize("agent", ["smtp", "lmtp", "local", "virtual", "pipe", "error"])
def test_every_delivery_agents_line_is_read(agent: str) -> None:
    fact = read(line(agent=agent))
    assert isinstance(fact, Delivery)
    assert (fact.result, fact.is_outgoing) == ("sent", agent == "smtp")
    assert fact.at == int(NOW) - 2


@pytest.mark.parametrize("name", ["postfix-out/smtp", "postfix/relay/smtp"])
def test_other_instances_and_services_are_read(name: str) -> None:
    assert result(line().replace("postfix/smtp", name)) == "sent"


@pytest.mark.parametrize(
    ("status", "dsn", "reply", "expected"),
    [
        ("sent", "2.0.0", "250 OK", "sent"),
        ("deferred", "4.7.0", "host x[1.2.3.4] said: 421 4.7.0 slow down", "deferred"),
        ("deferred", "4.4.1", "delivery temporarily suspended: connect to x[1.2.3.4]:25: timed out", "deferred"),
        ("SOFTBOUNCE", "5.1.1", "host x[1.2.3.4] said: 550 5.1.1 no", "deferred"),
        ("expired", "4.4.1", "timed out", "expired"),
        ("bounced", "5.1.1", "host x[1.2.3.4] said: 550 5.1.1 no such user", "hard_bounce"),
        ("bounced", "5.1.10", "host x[1.2.3.4] said: 556 5.1.10 null MX", "hard_bounce"),
        ("bounced", "5.2.1", "host x[1.2.3.4] said: 550 5.2.1 disabled", "hard_bounce"),
        ("bounced", "5.2.2", "host x[1.2.3.4] said: 552 5.2.2 full", "soft_bounce"),
        ("bounced", "5.4.4", "Host or domain name not found", "soft_bounce"),
        ("bounced", "5.7.1", "host x[1.2.3.4] said: 550 5.7.1 blocked", "policy_rejection"),
        ("bounced", "5.7.26", "host x[1.2.3.4] said: 550-5.7.26 not authenticated", "policy_rejection"),
        ("bounced", "5.0.0", "host x[1.2.3.4] said: 550 no such user (in reply to RCPT TO)", "hard_bounce"),
        ("bounced", "5.0.0", "host x[1.2.3.4] said: 552 too big", "soft_bounce"),
        ("bounced", "5.0.0", "host x[1.2.3.4] said: 554 go away", "policy_rejection"),
        ("bounced", "5.0.0", "host x[1.2.3.4] said: 554 5.7.1 go away", "policy_rejection"),
        ("bounced", None, "host x[1.2.3.4] said: 550 no such user", "hard_bounce"),
        ("bounced", None, "mail for x loops back to myself", "soft_bounce"),
    ],
)
def test_a_result_is_told_by_its_enhanced_code_or_else_the_smtp_code(
    status: str, dsn: str | None, reply: str, expected: str
) -> None:
    assert result(line(status=status, dsn=dsn, reply=reply)) == expected


@pytest.mark.parametrize(
    ("relay", "reply", "to", "provider"),
    [
        ("gmail-smtp-in.l.google.com[142.250.1.27]:25", "", "a@firm.example", "gmail"),
        ("aspmx.l.google.com[142.250.1.27]:25", "", "a@firm.example", "gmail"),
        ("alt1.aspmx.googlemail.com[142.250.1.27]:25", "", "a@firm.example", "gmail"),
        ("firm.mail.protection.outlook.com[52.1.1.1]:25", "", "a@firm.example", "microsoft"),
        ("mx1.hotmail.com[52.1.1.1]:25", "", "a@hotmail.com", "microsoft"),
        ("mta5.am0.yahoodns.net[67.1.1.1]:25", "", "a@yahoo.com", "yahoo"),
        ("mx01.mail.icloud.com[17.1.1.1]:25", "", "a@me.com", "apple"),
        ("MX01.MAIL.ICLOUD.COM.[17.1.1.1]:25", "", "a@me.com", "apple"),
        ("mx.notgoogle.com[192.0.2.1]:25", "", "a@gmail.com", "other"),
        ("google.com.evil.example[192.0.2.1]:25", "", "a@gmail.com", "other"),
        ("none", "connect to mta5.am0.yahoodns.net[67.1.1.1]:25: timed out", "a@x.example", "yahoo"),
        ("none", "delivery temporarily suspended: lost connection", "a@GMAIL.com", "gmail"),
        ("none", "delivery temporarily suspended: lost connection", "a@x.example", "other"),
    ],
)
def test_the_mailbox_provider_is_the_relays(relay: str, reply: str, to: str, provider: str) -> None:
    fact = read(line(relay=relay, reply=reply, to=to))
    assert isinstance(fact, Delivery)
    assert fact.mailbox_provider == provider


def test_an_original_recipient_and_a_reused_connection_change_nothing() -> None:
    text = (
        line().replace(", relay=", ", orig_to=<alias@example.org>, relay=").replace(", delay=", ", conn_use=3, delay=")
    )
    fact = read(text)
    assert isinstance(fact, Delivery)
    assert (fact.recipient, fact.mailbox_provider, fact.result) == (b"a@example.org", "other", "sent")


def test_the_queue_manager_ends_messages() -> None:
    prefix = "2026-11-24T11:59:58Z node postfix/qmgr[1]: 4FABC12345: "
    assert read(prefix + "removed") == MessageEnded(int(NOW) - 2, b"4FABC12345", is_expired=False)
    expired = read(prefix + "from=<b@example.org>, status=expired, returned to sender")
    assert expired == MessageEnded(int(NOW) - 2, b"4FABC12345", is_expired=True)
    assert read(prefix + "from=<b@example.org>, size=512, nrcpt=1 (queue active)") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "Nov 24 11:00:00 node sshd[1]: Accepted publickey for root, status=sent",
        "Nov 24 11:00:00 node dovecot: lmtp(1): to=<a@example.org>, relay=x, status=sent",
        "Nov 24 11:00:00 node last message repeated 2 times",
        "Nov 24 11:00:00 node postfix/smtpd[1]: connect from x[192.0.2.1]",
        "Nov 24 11:00:00 node postfix/cleanup[1]: 4FABC12345: message-id=<a@b>",
        "Nov 24 11:00:00 node postfix/smtp[1]: 4FABC12345: host x[1.2.3.4] said: 421 later",
        "Nov 24 11:00:00 node postfix/smtp[1]: connect to x[192.0.2.1]:25: Connection timed out",
        line(status="deliverable"),
    ],
)
def test_lines_that_tell_nothing_are_ignored(text: str) -> None:
    assert read(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "\x00\x01\x02",
        "x" * (LONGEST_LINE + 1),
        "a line without a time",
        line().replace("relay=", "really="),
        line(status="teleported"),
        line().replace("2026-11-24", "2026-02-31"),
        line().replace("2026-11-24", "2031-11-24"),
        line().replace("2026-11-24T11:59:58.123456+00:00", "Feb 30 11:00:00"),
        line().replace("2026-11-24T11:59:58.123456+00:00", "Foo 10 11:00:00"),
    ],
)
def test_lines_that_cannot_be_read_are_told_apart(text: str) -> None:
    with pytest.raises(UnreadLine):
        read(text)


def test_a_classic_stamp_is_local_time_of_the_latest_year_that_is_not_ahead() -> None:
    new_year = datetime(2027, 1, 1, 0, 10).astimezone()
    fact = LineReader().read(
        line().replace("2026-11-24T11:59:58.123456+00:00", "Dec 31 23:59:58").encode(), new_year.timestamp()
    )
    assert isinstance(fact, Delivery)
    assert fact.at == int((new_year - timedelta(minutes=10, seconds=2)).timestamp())


def test_a_leap_day_is_read() -> None:
    now = datetime(2028, 3, 1, 12, 0).astimezone()
    text = line().replace("2026-11-24T11:59:58.123456+00:00", "Feb 29 12:00:00").encode()
    fact = LineReader().read(text, now.timestamp())
    assert isinstance(fact, Delivery)
    assert fact.at == int((now - timedelta(days=1)).timestamp())


@pytest.mark.parametrize("stamp", ["2026-11-24T13:59:58+02:00", "2026-11-24T11:59:58Z", "2026-11-24T06:29:58.1-0530"])
def test_iso_stamps_carry_their_zone(stamp: str) -> None:
    fact = read(line().replace("2026-11-24T11:59:58.123456+00:00", stamp))
    assert isinstance(fact, Delivery)
    assert fact.at == int(NOW) - 2


PIECES = st.sampled_from(
    [
        b"Nov 24 11:00:00 ", b"Feb 29 99:99:99 ", b"2026-11-24T11:00:00+99:99 ", b"9999-12-31T23:59:59Z ",
        b"0001-01-01T00:00:00+14:00 ", b"node ", b"postfix/smtp[1]: ", b"postfix/qmgr[1]: ", b"4FABC12345: ", b"to=<",
        b">, orig_to=<", b">, relay=", b"none", b"[", b", dsn=", b"5.999.999", b", status=", b"bounced", b"expired",
        b" (", b"said: 550 5.1.1 x", b"removed", b"\x00", b"\xff",
    ]
)  # fmt: skip


@given(
    st.one_of(st.binary(max_size=300), st.lists(st.one_of(PIECES, st.binary(max_size=8)), max_size=15).map(b"".join))
)
@settings(deadline=None, max_examples=600)
def test_no_bytes_raise_anything_but_unread(content: bytes) -> None:
    try:
        fact = LineReader().read(content, NOW)
    except UnreadLine:
        return
    assert fact is None or fact.at <= NOW + 86_400


def test_a_hostile_line_costs_no_more_than_its_length() -> None:
    prefix = b"Nov 24 11:00:00 node postfix/smtp[1]: 4FABC12345: to=<"
    for piece in (b">, orig_to=<", b", relay=", b"connect to ", b"(550 ", b"a" * 50):
        content = (prefix + piece * LONGEST_LINE)[:LONGEST_LINE]
        began = time.process_time()
        with contextlib.suppress(UnreadLine):
            LineReader().read(content, NOW)
        # Quadratic reading takes minutes here; the bound only has to tell the two apart.
        assert time.process_time() - began < 1
