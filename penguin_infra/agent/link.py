"""Requests to the gateway: JSON over verified TLS, or plain HTTP to this machine; the token out of a private file.

Not here: when to send, and when to try again (`sender.py`).
"""

import email.utils
import http.client
import json
import os
import ssl
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penguin_infra.agent.config import AGENT_VERSION, AgentConfig, ConfigRefused, check_gateway_url

HEARTBEAT_PATH = "/api/v1/agents/heartbeat"
DELIVERIES_PATH = "/api/v1/agents/deliveries"

LONGEST_REQUEST = 256 * 1024
_LONGEST_ANSWER = 64 * 1024


class GatewayAway(Exception):
    """No answer came: refused, timed out, broken off, or not the certificate's host."""


@dataclass(frozen=True)
class Answer:
    """What the gateway said; `body` is None where no JSON came."""

    status: int
    body: Any = None
    retry_after_seconds: float | None = None

    @property
    def is_good(self) -> bool:
        """Whether it was taken."""
        return 200 <= self.status < 300


class GatewayLink:
    """One connection a request: two a minute are not worth a socket kept open at 10,000 nodes."""

    def __init__(self, config: AgentConfig) -> None:
        check_gateway_url(config.gateway_url)
        self._parts = urlsplit(config.gateway_url)
        self._timeout_seconds = config.request_timeout_seconds
        self._token_file = config.token_file
        self._token = read_token(config.token_file)
        self._tls = _tls(config.ca_file) if self._parts.scheme == "https" else None

    def post(self, path: str, body: bytes, now: float) -> Answer:
        """Send once; once more when the token was refused and another one is in its file by now."""
        answer = self._post(path, body, now)
        if answer.status == 401:
            try:
                token = read_token(self._token_file)
            except ConfigRefused as refused:
                raise GatewayAway(f"the token was refused, and no other is to be had: {refused}") from None
            if token != self._token:
                self._token = token
                return self._post(path, body, now)
        return answer

    def _post(self, path: str, body: bytes, now: float) -> Answer:
        connection = self._connect()
        try:
            headers = {
                "Authorization": f"Bearer {self._token}",
                "Content-Type": "application/json",
                "User-Agent": f"penguin-agent/{AGENT_VERSION}",
                "Connection": "close",
            }
            connection.request("POST", self._parts.path.rstrip("/") + path, body, headers)
            response = connection.getresponse()
            told = response.read(_LONGEST_ANSWER)
            return Answer(response.status, _json(told), _retry_after(response.getheader("Retry-After"), now))
        except (OSError, http.client.HTTPException) as error:
            raise GatewayAway(f"{type(error).__name__}: {error}") from None
        finally:
            connection.close()

    def _connect(self) -> http.client.HTTPConnection:
        host, port = self._parts.hostname or "", self._parts.port
        if self._tls is None:
            return http.client.HTTPConnection(host, port, timeout=self._timeout_seconds)
        return http.client.HTTPSConnection(host, port, timeout=self._timeout_seconds, context=self._tls)


def read_token(file: Path) -> str:
    """The node's token; a file that others may read is refused."""
    try:
        opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigRefused(f"cannot read the token in {file}: {error.strerror}") from None
    with os.fdopen(opened, "rb") as handle:
        mode = os.fstat(handle.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ConfigRefused(f"{file} may be read by others (mode {mode & 0o777:04o}): chmod 600 {file}")
        token = handle.read(1024).decode("ascii", "replace").strip()
    if not token.isprintable() or not token or " " in token or not token.isascii():
        raise ConfigRefused(f"{file} holds no token: one line of printable characters is expected")
    return token


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    except (OSError, ssl.SSLError) as error:
        raise ConfigRefused(f"cannot use ca_file {ca_file}: {error}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _json(told: bytes) -> Any:
    try:
        return json.loads(told)
    except (ValueError, RecursionError):
        return None


def _retry_after(told: str | None, now: float) -> float | None:
    """Seconds, from either of the header's two forms."""
    if not told:
        return None
    if told.strip().isdecimal():
        return float(told[:9])
    try:
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return None
