"""What a mail proves of its sender: SPF (RFC 7208) by pyspf, DKIM (RFC 6376) by dkimpy, with DNS as the caller asks it.

What follows from a result is `domain/verification.py`'s. Whatever a mail, a record or a name server says, it becomes a
result in RFC 8601's words; none of the libraries' errors comes through.
"""

import logging
import time
from collections.abc import Callable, Sequence
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses
from ipaddress import IPv4Address, IPv6Address
from typing import Any

import dkim
import spf

from penguin_infra.domain.verification import AuthenticationResult, NoAnswer

# A name and a type to values: texts whole, an MX as `10 mail.example.com`. Raises `NoAnswer` where nobody answers.
Resolve = Callable[[str, str], Sequence[str]]

# RFC 8301 s3.2: verifiers must not believe shorter ones.
_SHORTEST_KEY_BITS = 1024
# RFC 7208 s4.6.4 asks for at least so long a patience; the questions themselves are counted by the library.
_SPF_SECONDS = 20.0
# A node signs once; a mail with a hundred signatures is somebody's joke at our resolvers' cost.
_MOST_SIGNATURES = 5
_LONGEST_DETAIL = 300

# What the libraries raise, beside their own errors, on texts that nobody foresaw.
_MALFORMED = (ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError)

# dkimpy logs what it also raises or returns.
_silence = logging.Logger("dkimpy of penguin_infra", level=logging.CRITICAL + 1)


def check_spf(ip: IPv4Address | IPv6Address, *, helo: str, mail_from: str, resolve: Resolve) -> AuthenticationResult:
    """Whether the envelope sender's domain (without one, the HELO name) lets this address send for it."""
    query = _SpfQuery(i=str(ip), s=mail_from, h=helo)
    query.ask_through(resolve)
    try:
        result, _, explanation = query.check()
    except (spf.PermError, *_MALFORMED) as error:
        result, explanation = "permerror", f"the record cannot be read: {error}"
    if result == "none":
        explanation = "no SPF record"
    return _result(str(result), f"{explanation} ({query.o}, {ip})")


def check_dkim(content: bytes, *, hostname: str, resolve: Resolve) -> AuthenticationResult:
    """Whether the mail is from an author at `hostname` and carries a valid signature of that very domain."""
    try:
        author = _author_domain(content)
        if author != hostname.lower():
            return _result("policy", f"the mail says that it is from {author or 'nobody'}, not from {hostname}")
        message = dkim.DKIM(content, logger=_silence, minkey=_SHORTEST_KEY_BITS)
    except (dkim.DKIMException, *_MALFORMED) as error:
        return _result("permerror", f"the mail cannot be read: {error}")
    count = sum(name.lower() == b"dkim-signature" for name, _ in message.headers)
    results = [_check_signature(message, index, hostname, resolve) for index in range(min(count, _MOST_SIGNATURES))]
    passed = [one for one in results if one.result == "pass"]
    return next(iter(passed or results), AuthenticationResult("none", "the mail carries no signature"))


def _check_signature(message: Any, index: int, hostname: str, resolve: Resolve) -> AuthenticationResult:
    key = _Key(resolve)
    try:
        message.verify_headerprep(index)
        if objection := _objection(message, hostname):
            return _result("policy", objection)
        message.keysize = None
        is_valid = message.verify(index, dnsfunc=key.fetch)
    except (dkim.DKIMException, *_MALFORMED) as error:
        return key.failure or _result(_word_for(error), str(error))
    if key.failure is None and message.keysize is None:
        return _result("permerror", f"the record at {key.name} is no key: {key.record[:80]!r}")
    if key.failure is None and not is_valid:
        return _result("fail", f"the signature does not fit the mail's headers and the key at {key.name}")
    return key.failure or _result("pass", f"signed by {hostname}, key {key.name} of {message.keysize} bits")


def _objection(message: Any, hostname: str) -> str | None:
    """Why a signature counts for nothing here, whether it is valid or not."""
    signer = message.domain.decode("ascii").lower()
    if signer != hostname.lower():
        return f"signed by {signer}, not by {hostname}"
    if b"from" not in message.include_headers:
        return f"the signature of {signer} does not cover the From header"
    return None


class _Key:
    """Looks a signature's key up for the library, and remembers why there was none."""

    def __init__(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self.name = ""
        self.record = ""
        self.failure: AuthenticationResult | None = None

    def fetch(self, name: bytes, timeout: float = 0) -> bytes | None:  # noqa: ARG002 - the library's own signature
        self.name = name.decode("ascii").rstrip(".")
        try:
            records = self._resolve(self.name, "TXT")
        except NoAnswer as error:
            self.failure = _result("temperror", f"the key at {self.name} was not to be had: {error}")
            return None
        if len(records) != 1:
            found = f"{len(records)} TXT records" if records else "no key (TXT)"
            self.failure = _result("permerror", f"there is {found} at {self.name}; there must be one")
            return None
        self.record = records[0]
        # An empty `p` takes a key back (RFC 6376 s3.6.1).
        if any(tag.replace(" ", "") == "p=" for tag in self.record.split(";")):
            self.failure = _result("permerror", f"the key at {self.name} is revoked (p= is empty)")
            return None
        return self.record.encode()


class _SpfQuery(spf.query):  # type: ignore[misc] # pyspf has no types
    """pyspf's question, asked of our own DNS in place of the one that it finds on this machine."""

    def ask_through(self, resolve: Resolve) -> None:
        self._resolve = resolve
        self._deadline = time.monotonic() + _SPF_SECONDS

    def dns(self, name: str, qtype: str, cnames: object = None, ignore_void: bool = False) -> list[Any]:  # noqa: ARG002
        # The library asks the same thing again where a record names it twice.
        known = (str(name).rstrip(".").lower(), qtype)
        if known not in self.cache:
            if time.monotonic() > self._deadline:
                raise spf.TempError(f"the record's questions took more than {_SPF_SECONDS:.0f} s")
            try:
                found = self._resolve(*known)
            except NoAnswer as error:
                raise spf.TempError(str(error)) from None
            self.cache[known] = [_as_pyspf(value, qtype) for value in found]
        values: list[Any] = self.cache[known]
        if not values and not ignore_void:
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError(f"more than {spf.MAX_VOID_LOOKUPS} names of the record do not exist")
        return values


def _as_pyspf(value: str, qtype: str) -> Any:
    if qtype in {"TXT", "SPF"}:
        return [value.encode()]
    if qtype == "MX":
        preference, _, host = value.partition(" ")
        return int(preference), host
    return value


def _author_domain(content: bytes) -> str:
    """The domain of the one author; empty where there is none, or where there are several."""
    headers = BytesHeaderParser(policy=compat32).parsebytes(content).get_all("From", [])
    addresses = getaddresses([str(header) for header in headers])
    return addresses[0][1].rpartition("@")[2].lower() if len(addresses) == 1 else ""


def _word_for(error: Exception) -> str:
    if isinstance(error, dkim.ValidationError):
        return "fail"
    if isinstance(error, dkim.KeyFormatError) and "too small" in str(error):
        return "policy"
    return "permerror"


def _result(result: str, detail: str) -> AuthenticationResult:
    # Pieces of the mail and of others' records are in it; it is stored and shown.
    shown = "".join(character if character.isprintable() else "?" for character in detail[:_LONGEST_DETAIL])
    return AuthenticationResult(result, shown if len(detail) <= _LONGEST_DETAIL else f"{shown}...")
