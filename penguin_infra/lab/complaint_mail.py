"""What a lab's recipients say of a node: a complaint as a mailbox provider sends it (RFC 5965)."""

import time
from datetime import datetime
from email.message import EmailMessage


def feedback_report(source_ip: str, arrived_at: datetime) -> bytes:
    """A complaint as a mailbox provider sends it (RFC 5965), about a mail from that address at that time."""
    report = EmailMessage()
    report["From"] = "feedback@mailbox-provider.example"
    report["To"] = "abuse@penguinmails.example"
    report["Subject"] = f"complaint {arrived_at.timestamp():.6f}"
    report["Message-ID"] = f"<{time.time_ns()}@mailbox-provider.example>"
    report.set_content("This is an email abuse report.")
    report.add_attachment(
        (
            "Feedback-Type: abuse\r\nUser-Agent: Lab/1.0\r\nVersion: 1\r\n"
            f"Source-IP: {source_ip}\r\nArrival-Date: {arrived_at:%a, %d %b %Y %H:%M:%S +0000}\r\n"
        ).encode(),
        maintype="message",
        subtype="feedback-report",
        cte="7bit",
    )
    report.replace_header("Content-Type", 'multipart/report; report-type="feedback-report"')
    return report.as_bytes()
