"""What a mail proves of its sender: SPF (RFC 7208) by pyspf, DKIM (RFC 6376) by dkimpy, with DNS as the caller asks it.

What follows from a result is `domain/verification.py`'s. No error of a library comes through: it becomes a result.
"""

from collections.abc import Callable, Sequence
from email.parser import BytesHeaderParser
from email.utils import parseaddr
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dkim
import spf

from penguin_infra.dns_records.publisher import DnsUnavailable
from penguin_infra.domain.verification import AuthenticationResult

Resolve = Callable[[str, str], Sequence[str]]

# RFC 8301 s3.2: verifiers must not believe shorter ones.
_SHORTEST_KEY_BITS = 1024


def check_spf(ip: IPv4Address | IPv6Address, *, helo: str, mail_from: str, resolve: Resolve) -> AuthenticationResult:
    """Whether the envelope sender's domain lets this address send for it. `resolve`: name and type to values."""
    query = _Query(i=str(ip), s=mail_from, h=helo, timeout=20, querytime=20)
    query.resolve = resolve
    result, _code, explanation = query.check()
    return AuthenticationResult(str(result), str(explanation))


def check_dkim(content: bytes, *, hostname: str, resolve: Resolve) -> AuthenticationResult:
    """Whether the mail carries a valid signature of that domain, and comes from an author there."""

    def texts(name: bytes, timeout: float = 5) -> bytes | None:  # noqa: ARG001 - dkimpy's own signature
        found = resolve(name.decode("ascii").rstrip("."), "TXT")
        return found[0].encode() if found else None

    headers = BytesHeaderParser().parsebytes(content)
    author = parseaddr(str(headers.get("From", "")))[1].rpartition("@")[2].lower()
    if author != hostname.lower():
        return AuthenticationResult("fail", f"the mail says that it is from {author or 'nobody'}, not {hostname}")
    if "DKIM-Signature" not in headers:
        return AuthenticationResult("none", "the mail carries no signature")
    message = dkim.DKIM(content, minkey=_SHORTEST_KEY_BITS)
    try:
        is_valid = message.verify(dnsfunc=texts)
    except DnsUnavailable as error:
        return AuthenticationResult("temperror", str(error))
    except dkim.DKIMException as error:
        return AuthenticationResult("permerror", str(error))
    signer = (message.domain or b"").decode("ascii", "replace").lower()
    if not is_valid:
        return AuthenticationResult("fail", f"the signature of {signer} does not fit the mail or its key")
    if signer != hostname.lower():
        return AuthenticationResult("fail", f"signed by {signer}, not {hostname}")
    selector = (message.selector or b"").decode("ascii", "replace")
    return AuthenticationResult("pass", f"signed by {signer} with {selector}, {message.keysize} bits")


class _Query(spf.query):  # type: ignore[misc] # pyspf has no types
    """pyspf's question, asked of our own DNS."""

    resolve: Resolve

    def dns(self, name: str, qtype: str, cnames: Any = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        try:
            found = self.resolve(str(name).rstrip(".").lower(), qtype)
        except DnsUnavailable as error:
            raise spf.TempError(str(error)) from None
        return [_as_pyspf(value, qtype) for value in found]


def _as_pyspf(value: str, qtype: str) -> Any:
    if qtype in {"TXT", "SPF"}:
        return [value.encode()]
    if qtype == "MX":
        preference, _, host = value.partition(" ")
        return int(preference), host
    return value
