"""Keeping the provider's credentials where they belong: off foreign addresses, and out of every text.

Where they come from is `settings.py`'s business, and how they are sent the transport's.
"""

import json
from base64 import b64encode
from collections.abc import Callable
from ipaddress import ip_address
from urllib.parse import quote

import httpx


def bare_url(url: str) -> httpx.URL:
    """The API's address without user, query and fragment.

    Errors: `ValueError` for what is no address, or would carry the credentials in clear beyond this machine.
    """
    try:
        parsed = httpx.URL(url).copy_with(username=None, password=None, query=None, fragment=None)
    except httpx.InvalidURL:
        raise ValueError("HOSTWIND_API_URL is not a URL") from None
    if parsed.scheme not in {"http", "https"} or not parsed.host:
        raise ValueError("HOSTWIND_API_URL must begin with https:// and name a host")
    if parsed.scheme == "http" and not _is_loopback(parsed.host):
        raise ValueError(f"HOSTWIND_API_URL must begin with https://: {parsed.host} would get the credentials in clear")
    return parsed


def redactor(key: str, secret: str) -> Callable[[str], str]:
    """A function that blanks the credentials in a text, however an echo spells them."""
    # A closure, not an attribute: nothing that prints an object's fields can print the credentials.
    basic = b64encode(f"{key}:{secret}".encode()).decode()
    # As they are, and as an echo may spell them: in an address, in JSON, in a repr.
    spelled = {
        spelling
        for value in (basic, key, secret)
        for spelling in (value, quote(value, safe=""), json.dumps(value)[1:-1], repr(value)[1:-1])
    }
    hidden = sorted(spelled - {""}, key=len, reverse=True)

    def redact(text: str) -> str:
        for value in hidden:
            text = text.replace(value, "[redacted]")
        return text

    return redact


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
