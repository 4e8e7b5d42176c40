"""One line of the mail log as a fact: a delivery's result, or the end of a message. No I/O, no state but a cache.

Every delivery agent of Postfix writes the same shape. Lines of other programs are None; lines without a time, or
deliveries of a shape unknown here, raise `UnreadLine`. Nothing else is ever raised, whatever the bytes are.
"""

import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from penguin_infra.agent.providers import mailbox_provider

# rsyslog cuts at 8 KiB by default, Postfix itself earlier: what is longer is no line of theirs.
LONGEST_LINE = 16 * 1024

DELIVERY_AGENTS = frozenset({b"smtp", b"lmtp", b"local", b"virtual", b"pipe", b"error"})

# Clocks of one host's programs agree; what lies further ahead is no time.
FURTHEST_AHEAD_SECONDS = 86_400


class UnreadLine(ValueError):
    """A line that should tell something and cannot be read."""


@dataclass(frozen=True)
class Delivery:
    """One recipient's result. `recipient` stays in this process: only salted hashes of it are kept."""

    at: int
    queue_id: bytes
    recipient: bytes
    mailbox_provider: str
    result: str
    is_outgoing: bool


@dataclass(frozen=True)
class MessageEnded:
    """The queue manager is done with a message; `is_expired`: given up for every recipient still waiting."""

    at: int
    queue_id: bytes
    is_expired: bool


_CLASSIC = re.compile(rb"([A-Z][a-z]{2}) ([ \d]\d) (\d\d):(\d\d):(\d\d) ")
_ISO = re.compile(rb"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,]\d{1,9})?(Z|[+-]\d\d:?\d\d)? ")
_PROGRAM = re.compile(rb"\S+ (postfix[^\s/\[]{0,60}(?:/[^\s/\[]{1,60}){0,3}/([a-z]+))\[\d{1,10}\]: ")
_QUEUE_ID = re.compile(rb"([0-9A-Za-z]{5,30}): ")
_MONTHS = {name: number for number, name in enumerate(b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), 1)}

_ENHANCED = re.compile(rb"([245])\.(\d{1,3})\.(\d{1,3})")
_REPLY_CODE = re.compile(rb"(?:said: |refused to talk to me: |\()(\d{3})[ -](?:([245])\.(\d{1,3})\.(\d{1,3}))?")

_PLAIN_RESULTS = {
    b"sent": "sent", b"deferred": "deferred", b"SOFTBOUNCE": "deferred",
    b"expired": "expired", b"force-expired": "expired",
}  # fmt: skip

# 5.0.0 is what Postfix writes when the other side gave no enhanced code: RFC 5321 names 550, 551 and 553 for the
# mailbox; 554, the whole transaction, is what senders that are not wanted get.
_BOUNCES_BY_CODE = {b"550": "hard_bounce", b"551": "hard_bounce", b"553": "hard_bounce", b"554": "policy_rejection"}


class LineReader:
    """Reads lines; remembers the last time stamp, since many lines share one."""

    def __init__(self) -> None:
        self._stamp = b""
        self._stamped_at = 0

    def read(self, line: bytes, now: float) -> Delivery | MessageEnded | None:
        """What the line tells, None when it tells nothing; `now` gives classic stamps their year."""
        if not line.strip():
            return None
        if len(line) > LONGEST_LINE:
            raise UnreadLine("too long")
        stamp = _CLASSIC.match(line) or _ISO.match(line)
        if stamp is None:
            raise UnreadLine("no time")
        program = _PROGRAM.match(line, stamp.end())
        queued = _QUEUE_ID.match(line, program.end()) if program else None
        if program is None or queued is None:
            return None
        name, queue_id, rest = program.group(2), queued.group(1), line[queued.end() :]
        if name in DELIVERY_AGENTS and rest.startswith(b"to=<"):
            return _delivery(rest, self._at(stamp, now), queue_id, is_outgoing=name == b"smtp")
        if name == b"qmgr":
            is_expired = b", status=expired" in rest or b", status=force-expired" in rest
            if is_expired or rest.strip() == b"removed":
                return MessageEnded(self._at(stamp, now), queue_id, is_expired)
        return None

    def _at(self, stamp: re.Match[bytes], now: float) -> int:
        if stamp.group() != self._stamp:
            at = _classic_time(stamp, now) if stamp.re is _CLASSIC else _iso_time(stamp)
            if at > now + FURTHEST_AHEAD_SECONDS:
                raise UnreadLine("a time in the future")
            self._stamp, self._stamped_at = stamp.group(), at
        return self._stamped_at


def classify(status: bytes, enhanced: bytes, reply: bytes) -> str | None:
    """The result's class by status, enhanced code, or else the SMTP code in the reply; None: no delivery's result."""
    if status != b"bounced":
        return _PLAIN_RESULTS.get(status)
    codes = _ENHANCED.fullmatch(enhanced)
    said = _REPLY_CODE.search(reply)
    subject, detail = (int(codes.group(2)), int(codes.group(3))) if codes else (0, 0)
    if subject == 0 and said and said.group(3):
        subject, detail = int(said.group(3)), int(said.group(4))
    if subject == 0 and said:
        return _BOUNCES_BY_CODE.get(said.group(1), "soft_bounce")
    if subject == 1 or (subject, detail) == (2, 1):
        return "hard_bounce"
    return "policy_rejection" if subject == 7 else "soft_bounce"


def _delivery(rest: bytes, at: int, queue_id: bytes, *, is_outgoing: bool) -> Delivery | None:
    # By `find`, not by one expression: an address may hold anything, and no line may cost more than its length.
    relay_at = rest.find(b">, relay=")
    status_at = rest.find(b", status=", relay_at)
    if relay_at < 0 or status_at < 0:
        raise UnreadLine("a delivery without relay or status")
    recipient = rest[4:relay_at].split(b">, orig_to=<", 1)[0]
    relay = rest[relay_at + 9 : status_at].split(b",", 1)[0]
    dsn_at = rest.find(b", dsn=", relay_at, status_at)
    enhanced = rest[dsn_at + 6 : status_at] if dsn_at >= 0 else b""
    status, _, reply = rest[status_at + 9 :].partition(b" ")
    result = classify(status.strip(), enhanced, reply)
    if result is None:
        if status.strip() in {b"deliverable", b"undeliverable"}:
            return None
        raise UnreadLine("a status that is not known")
    return Delivery(at, queue_id, recipient, mailbox_provider(relay, reply, recipient), result, is_outgoing)


def _classic_time(stamp: re.Match[bytes], now: float) -> int:
    month = _MONTHS.get(stamp.group(1))
    if month is None:
        raise UnreadLine("no month")
    day, hour, minute, second = (int(stamp.group(index)) for index in range(2, 6))
    this_year = datetime.fromtimestamp(now).astimezone().year
    # The latest year in which the stamp is not in the future; a 29 February may lie some years back.
    for year in range(this_year + 1, this_year - 8, -1):
        try:
            # Without a zone, as the program wrote it: the host's own.
            at = int(datetime(year, month, day, hour, minute, min(second, 59)).timestamp())  # noqa: DTZ001
        except (ValueError, OverflowError, OSError):
            continue
        if at <= now + FURTHEST_AHEAD_SECONDS:
            return at
    raise UnreadLine("no such day")


def _iso_time(stamp: re.Match[bytes]) -> int:
    year, month, day, hour, minute, second = (int(stamp.group(index)) for index in range(1, 7))
    zone = stamp.group(7)
    try:
        at = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=_zone(zone) if zone else None)
        return int(at.timestamp())
    except (ValueError, OverflowError, OSError):
        raise UnreadLine("no such time") from None


def _zone(text: bytes) -> timezone:
    if text == b"Z":
        return timezone.utc
    digits = text[1:].replace(b":", b"")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text.startswith(b"-") else offset)
