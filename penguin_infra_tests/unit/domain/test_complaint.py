"""How feedback reports are read: as providers write them, as they break them, and as no provider would."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.complaint import FeedbackReport, NotFeedback, read_feedback
from penguin_infra_tests.feedback import RECIPIENT, feedback_report
from penguin_infra_tests.fleets import NOW


def test_a_report_says_whose_mail_it_is_about_and_since_when() -> None:
    report = read_feedback(feedback_report(incidents="3"))
    assert report.feedback_type == "abuse"
    assert report.source_ip == IPv4Address("127.77.0.1")
    assert report.arrived_at == NOW
    assert report.incidents == 3
    assert report.mailbox_provider == "yahoo"
    assert len(report.digest) == 32


def test_nothing_of_a_report_names_its_recipient() -> None:
    kept = str(asdict(read_feedback(feedback_report())))
    assert RECIPIENT not in kept
    assert "grandmother" not in kept


def test_the_same_report_by_another_way_is_the_same() -> None:
    first = feedback_report()
    again = feedback_report(received="from three.example by four.example")
    assert first != again
    digests = {read_feedback(raw).digest for raw in (first, again, first.replace(b"\n", b"\r\n"), first + b"\n\n")}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "other",
    [
        feedback_report(message_id="<report-2@arf.mail.yahoo.com>"),
        feedback_report(source_ip="127.77.0.2"),
        feedback_report(arrived_at=NOW + timedelta(seconds=1)),
        feedback_report().replace(b"8787KJKJ", b"9898KJKJ"),
    ],
)
def test_another_report_is_another(other: bytes) -> None:
    assert read_feedback(feedback_report()).digest != read_feedback(other).digest


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("192.0.2.1", IPv4Address("192.0.2.1")),
        ("[192.0.2.1]", IPv4Address("192.0.2.1")),
        ("::ffff:192.0.2.1", IPv4Address("192.0.2.1")),
        ("IPv6:2001:db8::1", IPv6Address("2001:db8::1")),
        ("192.0.2.999", None),
        ("mail.example.net", None),
        ("", None),
        (None, None),
    ],
)
def test_the_source_is_an_address_or_none(said: str | None, read: object) -> None:
    assert read_feedback(feedback_report(source_ip=said)).source_ip == read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Tue, 24 Nov 2026 07:00:00 -0500", NOW),
        ("Tue, 24 Nov 2026 12:00:00 -0000", NOW),
        ("24 Nov 2026 12:00:00 GMT", NOW),
        ("Thu, 08 Mar 2005 14:00:00 EDT", datetime(2005, 3, 8, 18, tzinfo=UTC)),
        ("yesterday", None),
        ("Tue, 99 Nov 2026 12:00:00 +0000", None),
        ("Fri, 31 Dec 9999 23:00:00 -2359", None),
        ("", None),
        (None, None),
    ],
)
def test_the_arrival_is_a_moment_in_utc_or_none(said: str | None, read: datetime | None) -> None:
    assert read_feedback(feedback_report(arrived_at=said)).arrived_at == read


def test_the_drafts_name_of_the_arrival_is_understood() -> None:
    raw = feedback_report().replace(b"Arrival-Date:", b"Received-Date:")
    assert read_feedback(raw).arrived_at == NOW


@pytest.mark.parametrize(
    ("said", "read"),
    [(None, 1), ("1", 1), ("12", 12), ("0", 1), ("-5", 1), ("many", 1), ("9" * 5000, 1), ("1000000000", 1000)],
)
def test_incidents_are_at_least_one_and_no_more_than_is_believed(said: str | None, read: int) -> None:
    assert read_feedback(feedback_report(incidents=said)).incidents == read


@pytest.mark.parametrize(
    ("sender", "provider"),
    [
        ("feedback@arf.mail.yahoo.com", "yahoo"),
        ("AOL <scomp@aol.net>", "yahoo"),
        ("staff@hotmail.com", "microsoft"),
        ("fbl@fbl.apple.com", "apple"),
        ("feedback@notyahoo.com", "other"),
        ("feedback@yahoo.com.evil.example", "other"),
        ("=?utf-8?q?Beschwerde=C3=BC?= <fbl@web.example>", "other"),
        ("", "other"),
    ],
)
def test_the_provider_is_known_by_who_reports(sender: str, provider: str) -> None:
    assert read_feedback(feedback_report(sender=sender)).mailbox_provider == provider


def test_a_feedback_type_of_any_case_and_length_fits_its_column() -> None:
    assert read_feedback(feedback_report(feedback_type="Abuse")).feedback_type == "abuse"
    assert len(read_feedback(feedback_report(feedback_type="x" * 500)).feedback_type) == 50


@pytest.mark.parametrize("charset", ["iso-8859-1", "x-no-such-charset", "utf-7", '"'])
def test_foreign_charsets_are_no_matter(charset: str) -> None:
    raw = feedback_report().replace(b'charset="US-ASCII"', f"charset={charset}".encode())
    raw = raw.replace(b"This is an email", "Dies ist über".encode("iso-8859-1"))
    raw = raw.replace(b"Subject: FW:", b"Subject: \xff\xfe\xe4")
    assert read_feedback(raw.replace(b"From: feedback@", b"From: \xe4 feedback@")).source_ip is not None


@pytest.mark.parametrize(
    ("raw", "what"),
    [
        (b"", "text/plain"),
        (b"Subject: hello\n\nhow are you?\n", "text/plain"),
        (b"\x00\xff\xfe", "text/plain"),
        (feedback_report(feedback_type=None), "Feedback-Type"),
        (feedback_report(feedback_type=" "), "Feedback-Type"),
        (feedback_report().replace(b"message/feedback-report", b"text/plain"), "no part message/feedback-report"),
        (feedback_report().partition(b"--part1_13d")[0], "no part message/feedback-report"),
        (feedback_report().replace(b"multipart/report", b"multipart/mixed"), "multipart/mixed"),
    ],
)
def test_what_is_no_report_is_refused_with_what_it_lacks(raw: bytes, what: str) -> None:
    with pytest.raises(NotFeedback, match=what):
        read_feedback(raw)


def test_a_report_inside_the_mail_complained_about_is_not_taken_for_the_report() -> None:
    forged = feedback_report(source_ip="192.0.2.66")
    raw = feedback_report().replace(b"Content-Type: message/feedback-report", b"Content-Type: text/plain")
    with pytest.raises(NotFeedback):
        read_feedback(raw.replace(b"From: <somespammer@example.net>", forged.replace(b"part1_13d", b"inner")))


def test_a_mail_nested_without_end_is_refused() -> None:
    nested = b"Content-Type: message/rfc822\n\n" * 3000
    with pytest.raises(NotFeedback):
        read_feedback(nested)


@given(st.binary(max_size=300), st.integers(0, 1500), st.integers(0, 300))
def test_a_damaged_report_is_read_or_refused_and_nothing_else(damage: bytes, at: int, length: int) -> None:
    raw = feedback_report()
    try:
        report = read_feedback(raw[:at] + damage + raw[at + length :])
    except NotFeedback:
        return
    assert isinstance(report, FeedbackReport)
    report.feedback_type.encode()
    assert "\0" not in report.feedback_type
