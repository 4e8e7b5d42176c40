"""The agent's settings, read from one JSON file or given by the caller, and checked before anything starts.

Not here: the token itself (`link.py` reads its file, again when it was rotated).
"""

import json
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from penguin_infra.messages.telemetry import HEARTBEAT_SECONDS

AGENT_VERSION = "0.1.0"

MEBIBYTE = 1024 * 1024


class ConfigRefused(ValueError):
    """The settings cannot be used: the message says which, why and what to do."""


@dataclass(frozen=True)
class AgentConfig:
    """One agent's settings; all but the first five have defaults that suit a node."""

    node_id: str
    gateway_url: str
    token_file: Path
    spool_folder: Path
    mail_log: Path
    queue_folder: Path = Path("/var/spool/postfix")
    ca_file: Path | None = None
    heartbeat_seconds: float = HEARTBEAT_SECONDS
    # A batch a heartbeat: the platform sees a bounce storm within a minute, and one commit serves the spool.
    batch_seconds: float = 30.0
    log_poll_seconds: float = 1.0
    request_timeout_seconds: float = 10.0
    # A heartbeat's retries stay near its own rhythm: an outage's end then looks like any other minute.
    heartbeat_backoff_cap_seconds: float = 60.0
    delivery_backoff_cap_seconds: float = 300.0
    # An hour's outage leaves about 120 batches: two minutes of replay.
    replay_interval_seconds: float = 1.0
    spool_cap_bytes: int = 16 * MEBIBYTE

    def __post_init__(self) -> None:
        if not self.node_id:
            raise ConfigRefused("node_id is empty: give the id under which the fleet knows this node")
        check_gateway_url(self.gateway_url)
        for name in ("heartbeat_seconds", "batch_seconds", "log_poll_seconds", "request_timeout_seconds"):
            if getattr(self, name) <= 0:
                raise ConfigRefused(f"{name} is {getattr(self, name)}: it must be above zero")


_PATHS = frozenset({"token_file", "spool_folder", "mail_log", "queue_folder", "ca_file"})
_TEXTS = frozenset({"node_id", "gateway_url"})


def read_config(file: Path) -> AgentConfig:
    """The settings in a JSON file; an unknown or missing name is refused, so that no typing error goes unseen."""
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigRefused(f"cannot read {file}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigRefused(f"{file} is no JSON: {error}") from None
    if not isinstance(told, dict):
        raise ConfigRefused(f"{file} holds no JSON object")
    known = {field.name for field in fields(AgentConfig)}
    if unknown := sorted(set(told) - known):
        raise ConfigRefused(f"{file} has unknown settings: {', '.join(unknown)}")
    values = {name: _value(name, value) for name, value in told.items()}
    try:
        return AgentConfig(**values)
    except TypeError as error:
        raise ConfigRefused(f"{file}: {error}") from None


def check_gateway_url(url: str) -> None:
    """Refuse an address over which a token could be read: plain HTTP is for this machine only."""
    try:
        parts = urlsplit(url)
        port_is_good = parts.port is None or parts.port > 0
    except ValueError as error:
        raise ConfigRefused(f"gateway_url {url!r}: {error}") from None
    if not parts.hostname or not port_is_good or parts.scheme not in {"http", "https"}:
        raise ConfigRefused(f"gateway_url {url!r} is no https:// address")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ConfigRefused(
            f"gateway_url {url!r}: http:// is for loopback only, the token would be readable on the way"
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _value(name: str, value: Any) -> Any:
    if name in _PATHS:
        if value is None and name == "ca_file":
            return None
        if isinstance(value, str):
            return Path(value)
    elif name in _TEXTS:
        if isinstance(value, str):
            return value
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        return value
    raise ConfigRefused(f"{name} is {value!r}: not what is expected there")
