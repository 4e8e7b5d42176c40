"""Whether a new node's mail is what receivers ask for: findings from what the sink and the looks from outside saw.

Pure. How it was seen is `verification/`'s and the sink's; each finding that is not well says how to mend it.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address


class Check(StrEnum):
    """What is looked at, in the order in which a person would."""

    ARRIVED = "arrived"
    SOURCE_ADDRESS = "source_address"
    HELO = "helo"
    REVERSE_NAME = "reverse_name"
    TLS = "tls"
    SPF = "spf"
    DKIM = "dkim"
    QUEUE_EMPTY = "queue_empty"
    NO_OPEN_RELAY = "no_open_relay"
    OPEN_PORTS = "open_ports"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check's outcome. `remedy` says what to do where it is not well."""

    check: Check
    is_ok: bool
    detail: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A verification mail as the sink received it. `tls_version` None: it came in clear."""

    correlation_id: str
    received_at: datetime
    peer_address: IPv4Address | IPv6Address
    helo: str
    tls_version: str | None
    mail_from: str


class NoAnswer(Exception):
    """A question on which a result depends found nobody who answers it: nothing is known, for the time being."""


@dataclass(frozen=True, slots=True)
class AuthenticationResult:
    """What a library says of SPF or DKIM: `result` in RFC 8601's words (`pass`, `fail`, `temperror`, ...)."""

    result: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutsideView:
    """A node as a stranger sees it. `open_ports` None: not looked at (`why_not` says why)."""

    relays: bool
    relay_detail: str
    open_ports: frozenset[int] | None
    why_not: str = ""


ALLOWED_PORTS = frozenset({22, 25})


def judge_mail(
    mail: ReceivedMail,
    *,
    ip_address: IPv4Address,
    hostname: str,
    is_tls_offered: bool,
    spf: AuthenticationResult,
    dkim: AuthenticationResult,
) -> tuple[Finding, ...]:
    """What the received mail shows."""
    return (
        Finding(Check.ARRIVED, True, f"received at {mail.received_at:%H:%M:%S} UTC"),
        _finding(
            Check.SOURCE_ADDRESS,
            mail.peer_address == ip_address,
            f"came from {mail.peer_address}",
            f"mail must leave by {ip_address}: see `smtp_bind_address` on the node, and any NAT before it",
        ),
        _finding(
            Check.HELO,
            mail.helo.rstrip(".").lower() == hostname.lower(),
            f"said HELO {mail.helo}",
            f"Postfix's `myhostname` and `smtp_helo_name` must be {hostname}",
        ),
        _finding(
            Check.TLS,
            mail.tls_version is not None or not is_tls_offered,
            mail.tls_version or "in clear",
            "set `smtp_tls_security_level = may`: the sink offers STARTTLS and the node did not take it",
        ),
        _finding(
            Check.SPF,
            spf.result == "pass",
            f"{spf.result}: {spf.detail}",
            f"{hostname} must hold one SPF record (TXT) that lets {ip_address} send, such as `v=spf1 a -all`",
        ),
        _finding(
            Check.DKIM,
            dkim.result == "pass",
            f"{dkim.result}: {dkim.detail}",
            f"OpenDKIM on the node must sign as {hostname} with the key in the TXT record below _domainkey.{hostname}; "
            "its words are in the node's mail log",
        ),
    )


def judge_absence(waited_seconds: float, queued: int) -> Finding:
    """The mail did not come."""
    where = f"{queued} mails wait in the node's queue" if queued else "nothing waits in the node's queue"
    return Finding(
        Check.ARRIVED,
        False,
        f"nothing arrived within {waited_seconds:.0f} s; {where}",
        "see whether the sink is up and reachable on port 25 from the node (providers block it), and the node's "
        "/var/log/mail.log",
    )


def judge_reverse_name(names: Collection[str], addresses: Collection[str], *, ip: IPv4Address, host: str) -> Finding:
    """Forward-confirmed reverse DNS: the address's only name is the host's, and that name's only address is this."""
    is_ok = {name.lower() for name in names} == {host.lower()} and set(addresses) == {str(ip)}
    detail = f"{ip} → {', '.join(sorted(names)) or 'no name'}; {host} → {', '.join(sorted(addresses)) or 'no address'}"
    return _finding(
        Check.REVERSE_NAME, is_ok, detail, "set the reverse name at the provider, and the A record, to match"
    )


def judge_queue(queued: int, *, is_held: bool) -> Finding:
    """Whether anything stayed behind; what a held node keeps is kept on purpose."""
    if queued and is_held:
        return Finding(Check.QUEUE_EMPTY, True, f"{queued} mails wait: the node is held")
    return _finding(
        Check.QUEUE_EMPTY,
        queued == 0,
        "empty" if not queued else f"{queued} mails wait",
        "`postqueue -j` on the node says why they wait",
    )


def judge_outside(view: OutsideView) -> tuple[Finding, ...]:
    """What a stranger sees."""
    relay = _finding(
        Check.NO_OPEN_RELAY,
        not view.relays,
        view.relay_detail,
        "the node takes mail for foreign domains from strangers: see `smtpd_relay_restrictions`",
    )
    if view.open_ports is None:
        return relay, Finding(Check.OPEN_PORTS, True, f"not looked at: {view.why_not}")
    listed = ", ".join(map(str, sorted(view.open_ports))) or "none"
    surplus = ", ".join(map(str, sorted(view.open_ports - ALLOWED_PORTS)))
    return relay, _finding(
        Check.OPEN_PORTS,
        not surplus,
        f"open: {listed}",
        f"close {surplus}: `ufw status` on the node shows what is let in",
    )


def _finding(check: Check, is_ok: bool, detail: str, remedy: str) -> Finding:
    return Finding(check, is_ok, detail, None if is_ok else remedy)
