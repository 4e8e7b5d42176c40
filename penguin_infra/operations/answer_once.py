"""Carry out a request once, however often its idempotency key comes: the later ones get the first one's answer."""

from collections.abc import Callable
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import Connection

from penguin_infra.store import credentials


class KeyReused(Exception):
    """An idempotency key came again with another request."""


def answer_once(
    connection: Connection,
    *,
    key_id: UUID,
    idempotency_key: str | None,
    request: bytes,
    now: datetime,
    act: Callable[[], dict[str, Any]],
) -> dict[str, Any]:
    """The answer of `act`, or of the earlier request; raises `KeyReused`, and whatever `act` raises.

    Claim, act and answer are one transaction: a request that failed leaves its key free.
    """
    if idempotency_key is None:
        return act()
    digest = sha256(request).digest()
    earlier = credentials.claim_request(connection, key_id, idempotency_key, digest, now)
    if earlier is None:
        answer = act()
        credentials.save_answer(connection, key_id, idempotency_key, answer)
        return answer
    if earlier.request_hash != digest:
        raise KeyReused("this Idempotency-Key came before with another request: use a new one for each request")
    found: dict[str, Any] = earlier.answer
    return found
