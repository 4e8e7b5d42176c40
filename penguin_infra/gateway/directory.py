"""The fleet as the hot route knows it: whose a token is and what each node is told, at most a second old.

Allowances of warming nodes may be 15 s old: a day's deliveries of all of them are added up for each look.

What makes a directive is `store/agent_directory.py`'s. Nothing here is written to the database.
"""

import asyncio
import time
from hmac import compare_digest

import msgspec
import psycopg

from penguin_infra.gateway.errors import Unavailable, unauthorized
from penguin_infra.gateway.links import Link
from penguin_infra.gateway.shapes import DirectiveOut
from penguin_infra.operations.issue_credentials import hash_secret
from penguin_infra.store.agent_directory import (
    Allowance,
    Standing,
    find_allowance,
    find_token,
    read_allowances,
    read_standings,
    read_tokens,
)

# So many unknown tokens are looked up at a time; whoever sends more of them waits for nothing but a refusal.
_MOST_LOOKUPS = 20

# A step of warm-up reaches its node within this and a heartbeat. A new hour is looked at as it begins.
_ALLOWANCES_EVERY_SECONDS = 15
_HOUR_SECONDS = 3600


class Directory:
    """Tokens and standings, refreshed by `refresh`; a token that is newer than that is looked up."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._tokens: dict[bytes, str] = {}
        self._standings: dict[str, Standing] = {}
        self._allowances: dict[str, Allowance] = {}
        self._allowances_at: float | None = None
        self._rendered: dict[tuple[Standing, Allowance | None], bytes] = {}
        self._lookups = asyncio.Semaphore(_MOST_LOOKUPS)

    async def refresh(self) -> None:
        """Read the whole fleet anew; raises psycopg's errors and `Unavailable`, and keeps what it knew then."""
        connection = self._link.connection()
        tokens = await read_tokens(connection)
        standings = await read_standings(connection)
        self._tokens = tokens
        self._standings = {standing.node_id: standing for standing in standings}
        now = time.time()
        if are_allowances_old(self._allowances_at, now):
            self._allowances = await read_allowances(connection)
            self._allowances_at = now
        still = {(standing, self._allowance_of(standing)) for standing in standings}
        self._rendered = {told: body for told, body in self._rendered.items() if told in still}

    async def node_of(self, authorization: str | None) -> str:
        """The node that an `Authorization` header speaks for; raises a 401."""
        digest = hash_secret(bearer_token(authorization))
        # Whoever could time a dictionary's look-up would learn about a hash, not about the token that it came from.
        node_id = self._tokens.get(digest)
        if node_id is None:
            node_id = await self._look_up(digest)
        return node_id

    async def directive(self, node_id: str, restart_done_id: str | None) -> bytes:
        """A node's directive as JSON, without a restart that it says is done."""
        standing = self._standings.get(node_id)
        if standing is None:
            # A node that was made within this second.
            await self.refresh()
            standing = self._standings.get(node_id) or Standing(node_id, False, 0, None, None)
        if standing.is_warming and node_id not in self._allowances:
            standing = await self._look_at_warmup(standing)
        if standing.restart_id is not None and standing.restart_id == restart_done_id:
            standing = standing._replace(restart=None, restart_id=None)
        told = standing, self._allowance_of(standing)
        body = self._rendered.get(told)
        if body is None:
            body = self._rendered[told] = _render(*told)
        return body

    def _allowance_of(self, standing: Standing) -> Allowance | None:
        return self._allowances.get(standing.node_id) if standing.is_warming else None

    async def _look_at_warmup(self, standing: Standing) -> Standing:
        """Read what a node may send that began to warm up since all were read last."""
        allowance = await find_allowance(self._link.connection(), standing.node_id)
        if allowance is not None:
            self._allowances[standing.node_id] = allowance
            return standing
        # It left its warm-up within this second.
        await self.refresh()
        return self._standings.get(standing.node_id, standing)

    async def _look_up(self, digest: bytes) -> str:
        if self._lookups.locked():
            raise Unavailable("too many unknown tokens are being looked up")
        async with self._lookups:
            try:
                node_id = await find_token(self._link.connection(), digest)
            except psycopg.OperationalError:
                raise Unavailable("the database did not answer; send this again") from None
        if node_id is None:
            raise unauthorized()
        self._tokens[digest] = node_id
        return node_id


def bearer_token(authorization: str | None) -> str:
    """The token of an `Authorization: Bearer` header; raises a 401."""
    scheme, _, token = (authorization or "").partition(" ")
    if not compare_digest(scheme.lower(), "bearer") or not token.isascii():
        raise unauthorized()
    return token.strip()


def are_allowances_old(read_at: float | None, now: float) -> bool:
    """Whether allowances that were read then are to be read again: by age, in another hour, or by a clock set back."""
    if read_at is None or now < read_at:
        return True
    return now - read_at >= _ALLOWANCES_EVERY_SECONDS or now // _HOUR_SECONDS != read_at // _HOUR_SECONDS


def _render(standing: Standing, allowance: Allowance | None) -> bytes:
    if standing.is_warming and allowance is None:
        # Nobody knows what it may send: nothing, until somebody does.
        allowance = Allowance(0, 0)
    return msgspec.json.encode(
        DirectiveOut(
            version=standing.version,
            transport="release" if standing.may_send else "hold",
            hourly_allowance=None if allowance is None else allowance.hourly,
            daily_allowance=None if allowance is None else allowance.daily,
            restart=msgspec.convert(standing.restart or "none", DirectiveOut.__annotations__["restart"]),
            restart_id=standing.restart_id,
        )
    )
