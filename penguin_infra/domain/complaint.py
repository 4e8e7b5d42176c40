"""A complaint as a mailbox provider reports it: ARF (RFC 5965), read without ever looking at who complained.

Whose node it was is the store's to say. Nothing of a report leaves here that names a recipient.
"""

import email
import email.message
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parseaddr, parsedate_to_datetime
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address, ip_address

# A report is a stranger's word: more incidents than this in one are not believed.
MOST_INCIDENTS = 1000

# Who sends feedback reports, by the domain that they come from.
_PROVIDERS = {
    "gmail": ("gmail.com", "google.com", "googlemail.com"),
    "microsoft": ("hotmail.com", "outlook.com", "live.com", "msn.com", "microsoft.com"),
    "yahoo": ("yahoo.com", "yahooinc.com", "yahoo.net", "aol.com", "aol.net", "verizonmedia.com"),
    "apple": ("apple.com", "icloud.com", "me.com", "mac.com"),
}


class NotFeedback(Exception):
    """The mail is no feedback report; the message says what it lacks."""


@dataclass(frozen=True, slots=True)
class FeedbackReport:
    """What is kept of a report. `source_ip` and `arrived_at` say where the mail complained about came from, and when.

    `digest` tells reports apart: the same one by another way, or with other line ends, has the same.
    """

    feedback_type: str
    source_ip: IPv4Address | IPv6Address | None
    arrived_at: datetime | None
    incidents: int
    mailbox_provider: str
    digest: bytes


def read_feedback(raw: bytes) -> FeedbackReport:
    """Read a mail as a feedback report; raises `NotFeedback`. Fields that make no sense are as good as missing."""
    try:
        # The old policy on purpose: the new one's header parser raises on what spammers and providers write.
        report = email.message_from_bytes(raw, policy=email.policy.compat32)
    except RecursionError:
        raise NotFeedback("the mail's parts are nested too deep") from None
    if report.get_content_type() != "multipart/report":
        raise NotFeedback(f"the mail is {report.get_content_type()}, not multipart/report")
    fields = _fields_of(report)
    feedback_type = str(fields.get("Feedback-Type", "")).strip().lower()
    if not feedback_type:
        raise NotFeedback("the report's fields do not say a Feedback-Type")
    return FeedbackReport(
        # Postgres holds no NUL, and the column 50 characters.
        feedback_type=feedback_type.replace("\0", "")[:50],
        source_ip=_address(str(fields.get("Source-IP", ""))),
        # The drafts before RFC 5965 called it Received-Date, and some providers still do.
        arrived_at=_moment(str(fields.get("Arrival-Date") or fields.get("Received-Date") or "")),
        incidents=_incidents(str(fields.get("Incidents", "1"))),
        mailbox_provider=_provider(report, fields),
        digest=_digest(report, raw),
    )


def _fields_of(report: email.message.Message) -> email.message.Message:
    # Its own parts only: the mail complained about, which it carries, may hold reports of its own making.
    parts = report.get_payload()
    for part in parts if isinstance(parts, list) else []:
        if not isinstance(part, email.message.Message) or part.get_content_type() != "message/feedback-report":
            continue
        inner = part.get_payload()
        if isinstance(inner, list) and inner and isinstance(inner[0], email.message.Message):
            return inner[0]
    raise NotFeedback("the report has no part message/feedback-report")


def _address(said: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(said.strip().strip("[]").removeprefix("IPv6:"))
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _moment(said: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(said)
        # "-0000" is UTC from a host that keeps its zone to itself (RFC 5322 s3.3).
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def _incidents(said: str) -> int:
    try:
        return min(max(1, int(said.strip())), MOST_INCIDENTS)
    except ValueError:
        return 1


def _provider(report: email.message.Message, fields: email.message.Message) -> str:
    sender = parseaddr(str(report.get("From", "")))[1].rpartition("@")[2]
    reporter = str(fields.get("Reporting-MTA", "")).rpartition(";")[2]
    for said in (sender, reporter):
        domain = said.strip().lower()
        for provider, domains in _PROVIDERS.items():
            if any(domain == known or domain.endswith(f".{known}") for known in domains):
                return provider
    return "other"


def _digest(report: email.message.Message, raw: bytes) -> bytes:
    # The way a report took (Received and its like) is no part of it; its own id, its date and its body are.
    identity = "\n".join(str(report.get(name, "")).strip() for name in ("Message-ID", "Date", "From"))
    body = raw.replace(b"\r\n", b"\n").partition(b"\n\n")[2].strip()
    return sha256(identity.encode("utf-8", "surrogateescape") + b"\n\n" + body).digest()
