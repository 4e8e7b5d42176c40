"""What the gateway must know of every agent at hand: whose each token is, and what each node is told.

Two queries for the whole fleet, made for being repeated every second, and a dearer one of what warming nodes may send.
How they are cached is the gateway's.
"""

from collections.abc import Sequence
from hmac import compare_digest
from typing import NamedTuple

from penguin_infra.store.telemetry import AnyConnection


class Standing(NamedTuple):
    """What a node is to be told. `version` grows with every change of status, address or listing."""

    node_id: str
    may_send: bool
    version: int
    restart: str | None
    restart_id: str | None
    is_warming: bool = False


class Allowance(NamedTuple):
    """Messages in all that a warming node may send on this day and in this hour (UTC)."""

    daily: int
    hourly: int


_LIVE_TOKENS = """
SELECT token_hash, node_id::text FROM fleet.agent_tokens WHERE (revoked_at IS NULL OR revoked_at > now())
"""

# Health is left out on purpose: a node that is merely unwell keeps delivering what it has queued. The version is the
# time of the newest change in milliseconds: it needs no column of its own, and no change can go backwards.
_STANDINGS = """
SELECT
    node.id::text,
    node.status IN ('warming', 'active') AND NOT coalesce(listing.is_open, false),
    floor(extract(epoch FROM greatest(node.updated_at, listing.changed_at, directive.requested_at)) * 1000)::bigint,
    directive.restart,
    directive.restart_id::text,
    node.status = 'warming'
FROM fleet.sending_nodes AS node
LEFT JOIN (
    SELECT ip_address, bool_or(delisted_at IS NULL) AS is_open, max(greatest(listed_at, delisted_at)) AS changed_at
    FROM fleet.ip_blacklist_events
    WHERE severity IN ('critical', 'high')
    GROUP BY ip_address
) AS listing ON listing.ip_address = node.ip_address
LEFT JOIN fleet.node_directives AS directive ON directive.node_id = node.id
"""


_ALLOWANCES = "SELECT node_id::text, daily, hourly FROM fleet.sending_allowances"


async def read_tokens(connection: AnyConnection) -> dict[bytes, str]:
    """The node of each live token, by the token's hash."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(_LIVE_TOKENS, prepare=True)
    return dict(await cursor.fetchall())


async def find_token(connection: AnyConnection, token_hash: bytes) -> str | None:
    """The node of one live token."""
    query = _LIVE_TOKENS + " AND token_hash = %(token_hash)s"
    cursor = await connection.execute(query, {"token_hash": token_hash}, prepare=True)
    row = await cursor.fetchone()
    return str(row[1]) if row is not None and compare_digest(row[0], token_hash) else None


async def read_standings(connection: AnyConnection) -> Sequence[Standing]:
    """What each node is to be told now."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(_STANDINGS, prepare=True)
    return [Standing(*row) for row in await cursor.fetchall()]


async def read_allowances(connection: AnyConnection) -> dict[str, Allowance]:
    """What each warming node may send: it adds up the day's deliveries of all of them."""
    cursor = connection.cursor(binary=True)
    await cursor.execute(_ALLOWANCES, prepare=True)
    return {node_id: Allowance(daily, hourly) for node_id, daily, hourly in await cursor.fetchall()}


async def find_allowance(connection: AnyConnection, node_id: str) -> Allowance | None:
    """What one node may send; None of a node that is not warming."""
    query = f"{_ALLOWANCES} WHERE node_id = %(node_id)s"
    cursor = await connection.execute(query, {"node_id": node_id}, prepare=True)
    row = await cursor.fetchone()
    return Allowance(*row[1:]) if row is not None else None
