"""Signed DNS messages (TSIG, RFC 8945): read and verify them, and answer wrong signatures as the RFC says.

Which zones want a signature is `dns_zone.py`'s.
"""

import time

import dns.exception
import dns.message
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.tsig
from dns.rdtypes.ANY.TSIG import TSIG

_FUDGE_SECONDS = 300  # RFC 8945 s10


class SignatureRefused(Exception):
    """A message's signature is wrong; `reply` is the message that tells its sender so."""

    def __init__(self, reply: bytes) -> None:
        super().__init__("wrong signature")
        self.reply = reply


def read_message(wire: bytes, key: dns.tsig.Key | None) -> dns.message.Message:
    """Read a message, and verify its signature if it has one: `had_tsig` then means that it is right.

    Errors: `SignatureRefused`; dnspython's for what is no message.
    """
    try:
        return dns.message.from_wire(wire, keyring={} if key is None else {key.name: key})
    except dns.tsig.BadSignature:
        problem = dns.rcode.BADSIG
    except (dns.message.UnknownTSIGKey, dns.tsig.BadKey, dns.tsig.BadAlgorithm):
        problem = dns.rcode.BADKEY
    except dns.tsig.BadTime:
        problem = dns.rcode.BADTIME
    # False: leave the signature unverified.
    raise SignatureRefused(_refuse(dns.message.from_wire(wire, keyring=False), problem, key))


def _refuse(asked: dns.message.Message, problem: dns.rcode.Rcode, key: dns.tsig.Key | None) -> bytes:
    response = dns.message.make_response(asked)
    response.set_rcode(dns.rcode.NOTAUTH)
    now = int(time.time())
    if problem == dns.rcode.BADTIME and key is not None:
        # Signed, with the server's time in it: the sender may learn by how much his clock is off (s5.2.3).
        response.use_tsig(key, fudge=_FUDGE_SECONDS, tsig_error=problem, other_data=now.to_bytes(6))
        response.request_mac = asked.mac or b""
    elif asked.keyname is not None:
        # Unsigned: there is no key that both sides know (s5.3.2).
        values = (asked.keyalgorithm, now, _FUDGE_SECONDS, b"", asked.id, problem, b"")
        unsigned = TSIG(dns.rdataclass.ANY, dns.rdatatype.TSIG, *values)  # type: ignore[no-untyped-call]
        response.tsig = dns.rrset.from_rdata(asked.keyname, 0, unsigned)
    return response.to_wire()
