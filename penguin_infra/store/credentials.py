"""Agents' tokens and the API's keys: their hashes, lifetimes, and the answers that repeated requests get again.

Secrets are made in `operations/issue_credentials.py`; here only their SHA-256 hashes are seen.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hmac import compare_digest
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlalchemy.exc import IntegrityError

from penguin_infra.store.tables import AnyRow
from penguin_infra.store.telemetry_tables import agent_tokens, api_keys, api_requests

k = api_keys.c
t = agent_tokens.c
r = api_requests.c


class KeyNameTaken(Exception):
    """A live key has that name; the message says what to do."""


class KeyNotFound(Exception):
    """No live key has that name."""


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A live key: who it is and what it may do."""

    key_id: UUID
    name: str
    scope: str


def insert_key(
    connection: Connection, *, name: str, key_hash: bytes, scope: str, created_by: str, now: datetime
) -> UUID:
    """Register a key; raises `KeyNameTaken`."""
    try:
        with connection.begin_nested():
            key_id: UUID = connection.execute(
                insert(api_keys)
                .values(name=name, key_hash=key_hash, scope=scope, created_by=created_by, created_at=now)
                .returning(k.id)
            ).scalar_one()
    except IntegrityError:
        raise KeyNameTaken(f"a key named {name!r} is in use: revoke it first, or choose another name") from None
    return key_id


def find_key(connection: Connection, key_hash: bytes) -> ApiKey | None:
    """The live key of that hash."""
    row = connection.execute(
        select(k.id, k.name, k.scope, k.key_hash).where(k.key_hash == key_hash, k.revoked_at.is_(None))
    ).one_or_none()
    if row is None or not compare_digest(row.key_hash, key_hash):
        return None
    return ApiKey(row.id, row.name, row.scope)


def list_keys(connection: Connection) -> list[AnyRow]:
    """All keys ever made, without anything secret; the live ones first."""
    query = select(k.id, k.name, k.scope, k.created_by, k.created_at, k.revoked_at)
    return list(connection.execute(query.order_by(k.revoked_at.is_not(None), k.name, k.created_at)))


def revoke_key(connection: Connection, name: str, now: datetime) -> None:
    """End a key at once; raises `KeyNotFound`."""
    ended = connection.execute(update(api_keys).where(k.name == name, k.revoked_at.is_(None)).values(revoked_at=now))
    if not ended.rowcount:
        raise KeyNotFound(f"no key in use is named {name!r}; `penguin-infra keys list` shows them")


def insert_token(connection: Connection, node_id: UUID, token_hash: bytes, now: datetime) -> None:
    """Register a node's token."""
    connection.execute(insert(agent_tokens).values(node_id=node_id, token_hash=token_hash, created_at=now))


def end_tokens(connection: Connection, node_id: UUID, now: datetime, grace: timedelta = timedelta()) -> int:
    """Let a node's tokens end after the grace, and none later than it would have; returns how many there were."""
    ended = connection.execute(
        update(agent_tokens)
        .where(t.node_id == node_id, t.revoked_at.is_(None) | (t.revoked_at > now + grace))
        .values(revoked_at=now + grace)
    )
    return ended.rowcount


def claim_request(
    connection: Connection, key_id: UUID, idempotency_key: str, request_hash: bytes, now: datetime
) -> AnyRow | None:
    """Claim an idempotency key for this transaction; the earlier request (`request_hash`, `answer`) if there was one.

    While another transaction holds the key, this one waits for its end.
    """
    claim = insert_or(api_requests).values(
        api_key_id=key_id, idempotency_key=idempotency_key, request_hash=request_hash, answer={}, created_at=now
    )
    if connection.execute(claim.on_conflict_do_nothing().returning(r.api_key_id)).first():
        return None
    return connection.execute(
        select(r.request_hash, r.answer).where(r.api_key_id == key_id, r.idempotency_key == idempotency_key)
    ).one()


def save_answer(connection: Connection, key_id: UUID, idempotency_key: str, answer: Mapping[str, Any]) -> None:
    """Keep what a claimed request was answered."""
    connection.execute(
        update(api_requests)
        .where(r.api_key_id == key_id, r.idempotency_key == idempotency_key)
        .values(answer=dict(answer))
    )


def count_live_tokens(connection: Connection, node_id: UUID, now: datetime) -> int:
    """How many tokens speak for the node now: two while an old one has its grace."""
    live = t.revoked_at.is_(None) | (t.revoked_at > now)
    return connection.scalar(select(func.count()).where(t.node_id == node_id, live)) or 0
