"""Whose mailbox a delivery went to, by the relay's name, else by the reply's host or the recipient's domain.

Not here: what became of the delivery (`log_lines.py`).
"""

import re

# Suffixes of the hosts in each provider's MX records.
_RELAYS = (
    ("gmail", (b".google.com", b".googlemail.com", b".gmail.com")),
    ("microsoft", (b".outlook.com", b".protection.outlook.com", b".hotmail.com", b".mx.microsoft")),
    ("yahoo", (b".yahoodns.net", b".yahoo.com", b".aol.com")),
    ("apple", (b".icloud.com", b".apple.com", b".me.com")),
)

_DOMAINS = {
    b"gmail.com": "gmail", b"googlemail.com": "gmail",
    b"outlook.com": "microsoft", b"hotmail.com": "microsoft", b"live.com": "microsoft", b"msn.com": "microsoft",
    b"yahoo.com": "yahoo", b"ymail.com": "yahoo", b"aol.com": "yahoo",
    b"icloud.com": "apple", b"me.com": "apple", b"mac.com": "apple",
}  # fmt: skip

# What Postfix writes when no relay was reached: "(connect to HOST[ADDRESS]:25: ...", "(host HOST[ADDRESS] said: ...".
_HOST_IN_REPLY = re.compile(rb"(?:connect to|host) ([A-Za-z0-9._-]{1,255})\[")


def mailbox_provider(relay: bytes, reply: bytes, recipient: bytes) -> str:
    """One of the wire's mailbox providers; a delivery that reached no relay still counts for its provider."""
    if relay == b"none":
        host = _HOST_IN_REPLY.search(reply)
        if host is None:
            return _DOMAINS.get(recipient.rpartition(b"@")[2].lower(), "other")
        name = host.group(1)
    else:
        name = relay.partition(b"[")[0]
    dotted = b"." + name.lower().rstrip(b".")
    for provider, suffixes in _RELAYS:
        if dotted.endswith(suffixes):
            return provider
    return "other"
