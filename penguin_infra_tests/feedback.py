"""Feedback reports for tests, written by hand as providers write them (RFC 5965's own example is the model)."""

from datetime import datetime
from email.utils import format_datetime

from penguin_infra_tests.fleets import NOW

RECIPIENT = "grandmother@example.net"


def feedback_report(
    *,
    source_ip: str | None = "127.77.0.1",
    arrived_at: datetime | str | None = NOW,
    feedback_type: str | None = "abuse",
    incidents: str | None = None,
    sender: str = "feedback@arf.mail.yahoo.com",
    message_id: str = "<report-1@arf.mail.yahoo.com>",
    received: str = "from one.example by two.example",
) -> bytes:
    """A report with these fields, None: without; every form of it names the recipient in several places."""
    fields = {
        "Feedback-Type": feedback_type,
        "User-Agent": "SomeGenerator/1.0",
        "Version": "1",
        "Original-Mail-From": "<bounce@sender.example>",
        "Original-Rcpt-To": f"<{RECIPIENT}>",
        "Arrival-Date": format_datetime(arrived_at) if isinstance(arrived_at, datetime) else arrived_at,
        "Source-IP": source_ip,
        "Incidents": incidents,
    }
    said = "\n".join(f"{name}: {value}" for name, value in fields.items() if value is not None)
    return f"""Received: {received}
From: {sender}
Date: Tue, 24 Nov 2026 12:00:00 +0000
Subject: FW: Earn money
To: <{RECIPIENT}>
Message-ID: {message_id}
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="part1_13d"

--part1_13d
Content-Type: text/plain; charset="US-ASCII"

This is an email abuse report for a message to {RECIPIENT}.

--part1_13d
Content-Type: message/feedback-report

{said}

--part1_13d
Content-Type: message/rfc822
Content-Disposition: inline

From: <somespammer@example.net>
To: <{RECIPIENT}>
Subject: Earn money
Message-ID: 8787KJKJ3K4J3K4J3K4J3.mail@example.net

Spam Spam Spam
--part1_13d--
""".encode()
