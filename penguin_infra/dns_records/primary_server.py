"""One message to a zone's primary server and its answer, and what each failure means in words an operator can act on.

Signed by TSIG where a key is given, over TCP. What is asked and changed is `dynamic_update.py`'s; nothing is repeated.
"""

import binascii
from base64 import b64decode
from ipaddress import ip_address
from urllib.parse import urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import dns.tsig
import dns.update

from penguin_infra.dns_records.publisher import DnsError, DnsRefused, DnsUnavailable

DNS_PORT = 53
_ALGORITHMS = frozenset({"hmac-sha256", "hmac-sha384", "hmac-sha512"})
_KEY = "PENGUIN_DNS_KEY_NAME and PENGUIN_DNS_KEY_SECRET"

_PREREQUISITE_FAILED = frozenset({dns.rcode.YXDOMAIN, dns.rcode.YXRRSET, dns.rcode.NXRRSET})


class DnsSettingError(ValueError):
    """A setting cannot be used as given; the message names it, and never shows a secret."""


class NotAsExpected(DnsError):
    """The server found a prerequisite unmet, and changed nothing."""


class PrimaryServer:
    """The server that holds the zone; `server` is `address:port`. Raises `DnsSettingError` for unusable settings."""

    def __init__(
        self,
        *,
        zone: str,
        server: str,
        key_name: str | None,
        key_secret: str | None,
        key_algorithm: str,
        timeout_seconds: float,
    ) -> None:
        self.zone = _parse_zone(zone)
        self._zone_text = self.zone.to_text(omit_final_dot=True)
        self._address, self._port = _parse_server(server)
        self._key = _parse_key(key_name, key_secret, key_algorithm)
        self._key_name = key_name
        self._timeout_seconds = timeout_seconds

    def __str__(self) -> str:
        address = f"[{self._address}]" if ":" in self._address else self._address
        return f"{address}:{self._port}"

    def ask(self, name: dns.name.Name, rdtype: dns.rdatatype.RdataType) -> dns.message.Message:
        """The server's own answer; one that it has only from others, or not at all, is an error."""
        what = f"reading {name.to_text(omit_final_dot=True)} {dns.rdatatype.to_text(rdtype)}"
        # Without recursion: a resolver would answer from its cache, and a primary needs none.
        query = dns.message.make_query(name, rdtype, flags=0)
        answer = self._exchange(query, what)
        rcode = answer.rcode()
        if rcode in {dns.rcode.REFUSED, dns.rcode.NOTAUTH}:
            raise DnsRefused(f"{self._at(what)}: {_code(rcode)}. {self._wrong_zone()}")
        self._raise_for(rcode, what, fine=(dns.rcode.NOERROR, dns.rcode.NXDOMAIN))
        if not answer.flags & dns.flags.AA:
            raise DnsRefused(
                f"{self._at(what)}: it is no authority for that name. Either the name is delegated to another zone, or "
                f"PENGUIN_DNS_SERVER is not the primary of {self._zone_text}"
            )
        return answer

    def update(self, update: dns.update.UpdateMessage) -> None:
        """Have a change carried out; raises `NotAsExpected` where a prerequisite was not met."""
        what = f"changing {', '.join(sorted({one.name.to_text(omit_final_dot=True) for one in update.update}))}"
        rcode = self._exchange(update, what).rcode()
        if rcode in _PREREQUISITE_FAILED:
            raise NotAsExpected(f"{self._at(what)}: {_code(rcode)}")
        if rcode == dns.rcode.NOTZONE:
            raise DnsRefused(f"{self._at(what)}: NOTZONE. PENGUIN_DNS_ZONE must be the zone that holds the names")
        if rcode == dns.rcode.NOTIMP:
            raise DnsRefused(f"{self._at(what)}: it takes no dynamic updates (NOTIMP). Is PENGUIN_DNS_SERVER right?")
        if rcode in {dns.rcode.REFUSED, dns.rcode.NOTAUTH}:
            raise DnsRefused(f"{self._at(what)}: {_code(rcode)}. {self._why_not_allowed(rcode)}")
        self._raise_for(rcode, what, fine=(dns.rcode.NOERROR,))

    def _why_not_allowed(self, rcode: dns.rcode.Rcode) -> str:
        if self._key is None:
            return f"It takes no unsigned updates: set {_KEY}"
        if rcode == dns.rcode.NOTAUTH:
            return self._wrong_zone()
        return (
            f"Its policy does not let the key {self._key_name} change the zone: allow that there (`acl` in Knot, "
            "`allow-update` in BIND, TSIG-ALLOW-DNSUPDATE in PowerDNS), or set another PENGUIN_DNS_KEY_NAME"
        )

    def _wrong_zone(self) -> str:
        return f"It does not serve {self._zone_text} to us: see PENGUIN_DNS_ZONE and PENGUIN_DNS_SERVER"

    def _raise_for(self, rcode: dns.rcode.Rcode, what: str, *, fine: tuple[dns.rcode.Rcode, ...]) -> None:
        if rcode == dns.rcode.SERVFAIL:
            raise DnsUnavailable(f"{self._at(what)}: SERVFAIL. Its own log says why")
        if rcode not in fine:
            raise DnsRefused(f"{self._at(what)}: {_code(rcode)}. Its own log says why")

    def _exchange(self, message: dns.message.Message, what: str) -> dns.message.Message:
        if self._key is not None:
            message.use_tsig(self._key)
        failure: DnsError
        try:
            return self._send(message)
        # Raised below, outside of the handler: what the library raises may hold the message, and with it the key.
        except dns.exception.Timeout:
            failure = DnsUnavailable(f"{self._at(what)}: no answer. Is it up, and PENGUIN_DNS_SERVER right?")
        except (OSError, EOFError) as error:
            failure = DnsUnavailable(f"{self._at(what)}: {error or 'it hung up'}. Is PENGUIN_DNS_SERVER right?")
        except dns.tsig.PeerBadKey:
            failure = DnsRefused(
                f"{self._at(what)}: it knows no key {self._key_name} of that algorithm (BADKEY): see "
                "PENGUIN_DNS_KEY_NAME and PENGUIN_DNS_KEY_ALGORITHM"
            )
        except (dns.tsig.PeerBadSignature, dns.tsig.BadSignature, dns.tsig.PeerBadTruncation):
            failure = DnsRefused(
                f"{self._at(what)}: its secret for the key {self._key_name} is another one (BADSIG): see "
                "PENGUIN_DNS_KEY_SECRET"
            )
        except (dns.tsig.PeerBadTime, dns.tsig.BadTime):
            failure = DnsRefused(
                f"{self._at(what)}: its clock and this machine's differ by more than five minutes (BADTIME): set both "
                "by NTP; the key (PENGUIN_DNS_KEY_NAME) is right"
            )
        except dns.exception.FormError:
            failure = self._explain_unsigned(what)
        except dns.exception.DNSException as error:
            failure = DnsUnavailable(
                f"{self._at(what)}: no answer of a name server ({type(error).__name__}). Is PENGUIN_DNS_SERVER right?"
            )
        raise failure

    def _explain_unsigned(self, what: str) -> DnsError:
        """PowerDNS answers so to a key it does not take, and Knot for a zone it does not have: an open look tells."""
        said = f"{self._at(what)}: an answer without a signature"
        try:
            answer = self._send(dns.message.make_query(self.zone, dns.rdatatype.SOA, flags=0))
        except (OSError, EOFError, dns.exception.DNSException) as error:
            return DnsUnavailable(f"{said}, then none of a name server ({error}). Is PENGUIN_DNS_SERVER right?")
        if answer.answer and answer.flags & dns.flags.AA:
            return DnsRefused(
                f"{said}, though it serves the zone. It does not take the key: see {_KEY}, PENGUIN_DNS_KEY_ALGORITHM, "
                "and whether both clocks agree"
            )
        return DnsRefused(f"{said}. {self._wrong_zone()}")

    def _send(self, message: dns.message.Message) -> dns.message.Message:
        return dns.query.tcp(message, self._address, port=self._port, timeout=self._timeout_seconds)

    def _at(self, what: str) -> str:
        return f"{what} at {self} (zone {self._zone_text})"


def _code(rcode: dns.rcode.Rcode) -> str:
    return dns.rcode.to_text(rcode)


def _parse_zone(text: str) -> dns.name.Name:
    try:
        zone = dns.name.from_text(text)
    except (dns.exception.DNSException, UnicodeError):
        zone = dns.name.root
    if zone == dns.name.root:
        raise DnsSettingError(f"PENGUIN_DNS_ZONE: {text!r} is no zone's name; expected one like nodes.example.com")
    return zone


def _parse_server(text: str) -> tuple[str, int]:
    wrong = DnsSettingError(f"PENGUIN_DNS_SERVER: {text!r} is not address:port (192.0.2.1:53, or [2001:db8::1]:53)")
    try:
        parts = urlsplit(f"//{text.strip()}")
        address, port = ip_address(parts.hostname or ""), DNS_PORT if parts.port is None else parts.port
    except ValueError:
        raise wrong from None
    if parts.path or parts.query or parts.fragment or parts.username is not None or port == 0:
        raise wrong
    return str(address), port


def _parse_key(name: str | None, secret: str | None, algorithm: str) -> dns.tsig.Key | None:
    if name is None and secret is None:
        return None
    if name is None or secret is None:
        raise DnsSettingError(f"{_KEY} belong together: set both, or neither")
    if algorithm not in _ALGORITHMS:
        known = ", ".join(sorted(_ALGORITHMS))
        raise DnsSettingError(f"PENGUIN_DNS_KEY_ALGORITHM: {algorithm!r} is none of {known}")
    try:
        decoded = b64decode(secret.strip(), validate=True)
    except (binascii.Error, ValueError):
        decoded = b""
    if not decoded:
        raise DnsSettingError(
            "PENGUIN_DNS_KEY_SECRET: not base64; expected the `secret` of the server's key, no quotes"
        )
    try:
        return dns.tsig.Key(name, decoded, algorithm)
    except (dns.exception.DNSException, UnicodeError):
        raise DnsSettingError(f"PENGUIN_DNS_KEY_NAME: {name!r} is no key's name") from None
