"""Make the secrets by which nodes and people speak to the gateway. Each is returned once and kept as a hash alone."""

import re
from datetime import datetime, timedelta
from hashlib import sha256
from secrets import token_urlsafe
from typing import Literal
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.request_nodes import BadRequest
from penguin_infra.store import credentials, nodes

Scope = Literal["read", "operate", "admin"]

# Each scope may do what those before it may.
SCOPES: tuple[Scope, ...] = ("read", "operate", "admin")

# An agent reads its new token within seconds; five minutes outlast a slow installer, and a thief gains little.
ROTATION_GRACE = timedelta(minutes=5)

# Prefixes let secret scanners, and people, tell what leaked.
_TOKEN_PREFIX, _KEY_PREFIX = "pia_", "pik_"
_SECRET_BYTES = 32

_KEY_NAME = re.compile(r"^[a-z0-9][a-z0-9._-]{0,79}\Z")


def hash_secret(secret: str) -> bytes:
    """What is stored of a secret. Plain SHA-256: 256 random bits cannot be guessed, so nothing slow is needed."""
    return sha256(secret.encode()).digest()


def issue_agent_token(
    connection: Connection, node_id: UUID, now: datetime, *, grace: timedelta = ROTATION_GRACE
) -> str:
    """Make a node's token and let its former ones end after the grace; raises `NodeNotFound`, `BadRequest`."""
    node = nodes.get_node(connection, node_id)
    if node.status is NodeStatus.DECOMMISSIONED:
        raise BadRequest(f"node: {node.label} is decommissioned; nothing speaks for it any more")
    token = _TOKEN_PREFIX + token_urlsafe(_SECRET_BYTES)
    credentials.end_tokens(connection, node_id, now, grace)
    credentials.insert_token(connection, node_id, hash_secret(token), now)
    return token


def create_api_key(connection: Connection, *, name: str, scope: Scope, created_by: str, now: datetime) -> str:
    """Make an API key; raises `BadRequest`, `KeyNameTaken`."""
    if not _KEY_NAME.match(name):
        raise BadRequest(f"name: {name!r}: use 1 to 80 lower-case letters, digits, dots, hyphens and underscores")
    key = _KEY_PREFIX + token_urlsafe(_SECRET_BYTES)
    credentials.insert_key(
        connection, name=name, key_hash=hash_secret(key), scope=scope, created_by=created_by, now=now
    )
    return key


def adopt_api_key(connection: Connection, *, name: str, key: str, scope: Scope, now: datetime) -> None:
    """Let a key that was made elsewhere (the lab's) be the live one of its name; a repeat changes nothing."""
    if credentials.find_key(connection, hash_secret(key)):
        return
    if any(row.name == name and row.revoked_at is None for row in credentials.list_keys(connection)):
        credentials.revoke_key(connection, name, now)
    credentials.insert_key(
        connection, name=name, key_hash=hash_secret(key), scope=scope, created_by=f"system:{name}", now=now
    )
