"""What agents send: heartbeats and delivery batches, checked, committed in groups, and answered.

A plain function each of header and body, so that the hot path costs no framework. SQL is `store/telemetry.py`'s.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from uuid import UUID

import msgspec
from starlette.responses import Response

from penguin_infra.gateway import measures
from penguin_infra.gateway.directory import Directory
from penguin_infra.gateway.errors import ApiError, json_response
from penguin_infra.gateway.group_commit import GroupCommit
from penguin_infra.gateway.links import Link
from penguin_infra.gateway.rate_limit import RateLimit
from penguin_infra.gateway.shapes import BATCHES, HEARTBEATS, DeliveriesOut, DeliveryBatchIn, HeartbeatIn, decode
from penguin_infra.messages.telemetry import BUCKET_SECONDS
from penguin_infra.store.telemetry import AnyConnection, Pulse, write_batches, write_pulses

# A clock may be off by minutes; a bucket that lies further ahead would be counted into hours that nobody looks at yet.
_FUTURE = timedelta(minutes=10)
# An agent's spool keeps a week; older counts come from a broken clock.
_PAST = timedelta(days=7)

# PostgreSQL knows these dates, and so does every reader of them. A node without a clock begins in 1970.
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = datetime(2200, 1, 1, tzinfo=UTC)

# A waiting heartbeat takes about 4 kB, a batch up to 1 MB once it is decoded: some ten and some hundred MB at most.
_HEARTBEATS_WAITING, _BATCHES_WAITING = 2_000, 100
# Larger groups cost no less a row, and hold the locks longer.
_HEARTBEATS_TOGETHER, _BATCHES_TOGETHER = 500, 50

_committed_heartbeats = measures.COMMITTED.labels("heartbeat")
_committed_batches = measures.COMMITTED.labels("deliveries")
_heartbeat_seconds = measures.GROUP_SECONDS.labels("heartbeat")
_batch_seconds = measures.GROUP_SECONDS.labels("deliveries")


class Agents:
    """The two agent routes and their writers."""

    def __init__(self, directory: Directory, heartbeat_link: Link, delivery_link: Link) -> None:
        self._directory = directory
        self.heartbeat_writer: GroupCommit[Pulse, bytes] = GroupCommit(
            heartbeat_link, _write_heartbeats, most_waiting=_HEARTBEATS_WAITING, most_together=_HEARTBEATS_TOGETHER
        )
        self.delivery_writer: GroupCommit[DeliveryBatchIn, bool] = GroupCommit(
            delivery_link, _write_deliveries, most_waiting=_BATCHES_WAITING, most_together=_BATCHES_TOGETHER
        )
        # One heartbeat in 30 s is the rule; an agent that was restarted a few times in a row is none to refuse.
        self._heartbeat_limit = RateLimit(per_second=2, burst=20)
        # A day's spool is 288 batches: it comes back within half a minute.
        self._delivery_limit = RateLimit(per_second=10, burst=50)

    async def heartbeat(self, authorization: str | None, body: bytes) -> Response:
        """Commit a heartbeat and answer with the node's directive."""
        node_id = await self._directory.node_of(authorization)
        self._heartbeat_limit.take(node_id, time.monotonic())
        beat = decode(HEARTBEATS, body)
        _require_own(node_id, beat.node_id)
        received_at = await self.heartbeat_writer.commit(_pulse(beat, datetime.now(UTC)))
        # After the commit: what changed while this request waited is told by it.
        directive = await self._directory.directive(node_id, beat.restart_done_id)
        answer = b'{"version":1,"received_at":%s,"directive":%s}' % (received_at, directive)
        return Response(answer, media_type="application/json")

    async def deliveries(self, authorization: str | None, body: bytes) -> Response:
        """Count a batch once, and say whether it had been counted before."""
        node_id = await self._directory.node_of(authorization)
        self._delivery_limit.take(node_id, time.monotonic())
        batch = decode(BATCHES, body)
        _require_own(node_id, batch.node_id)
        _check_buckets(batch, datetime.now(UTC))
        is_duplicate = not await self.delivery_writer.commit(batch)
        if is_duplicate:
            measures.DUPLICATES.inc()
        return json_response(DeliveriesOut(is_duplicate=is_duplicate))


def _require_own(token_node_id: str, body_node_id: str) -> None:
    if token_node_id != body_node_id:
        raise ApiError(
            403, "forbidden", "this token is another node's: a node speaks for itself alone", field="node_id"
        )


def _check_buckets(batch: DeliveryBatchIn, now: datetime) -> None:
    earliest, latest = now - _PAST, now + _FUTURE
    for number, count in enumerate(batch.counts):
        refuse = partial(ApiError, 422, "invalid", field=f"counts[{number}].bucket_at")
        if count.bucket_at > latest:
            raise refuse("lies more than 10 minutes in the future: is the node's clock right?")
        if count.bucket_at < earliest:
            raise refuse("lies more than 7 days back")
        if count.bucket_at.microsecond or count.bucket_at.timestamp() % BUCKET_SECONDS:
            raise refuse(f"is not the beginning of a bucket of {BUCKET_SECONDS} s")


def _pulse(beat: HeartbeatIn, now: datetime) -> Pulse:
    probes, mta = beat.probes, beat.probes.mta
    details: dict[str, Any] = {"clock_skew_seconds": round((beat.sent_at - now).total_seconds(), 1)}
    if mta.is_truncated:
        details["is_truncated"] = True
    if mta.delay_reasons:
        details["delay_reasons"] = [
            # PostgreSQL has no NUL in its JSON.
            {"reason": each.reason.replace("\0", ""), "count": each.count}
            for each in mta.delay_reasons
        ]
    spool = beat.spool
    if spool.batches or spool.dropped_batches or spool.unread_lines:
        details["spool"] = msgspec.to_builtins(spool)
    return Pulse(
        node_id=beat.node_id,
        sent_at=max(_EARLIEST, min(beat.sent_at, _LATEST)),
        boot_id=beat.boot_id,
        agent_version=beat.agent_version,
        mta_state=mta.state,
        transport=beat.transport,
        directive_version=beat.directive_version,
        restart_done_id=beat.restart_done_id,
        cpu_percent=probes.cpu_percent,
        memory_percent=probes.memory_percent,
        disk_percent=probes.disk_percent,
        rx_bytes_per_second=probes.rx_bytes_per_second,
        tx_bytes_per_second=probes.tx_bytes_per_second,
        queue_active=mta.active,
        queue_deferred=mta.deferred,
        queue_held=mta.held,
        queue_oldest_seconds=mta.oldest_age_seconds,
        details=details,
    )


async def _write_heartbeats(connection: AnyConnection, pulses: Sequence[Pulse]) -> Sequence[bytes]:
    with _heartbeat_seconds.time():
        received_at = await write_pulses(connection, pulses)
    _committed_heartbeats.inc(len(pulses))
    return [msgspec.json.encode(received_at.astimezone(UTC))] * len(pulses)


async def _write_deliveries(connection: AnyConnection, batches: Sequence[DeliveryBatchIn]) -> Sequence[bool]:
    with _batch_seconds.time():
        fresh = await write_batches(connection, batches)
    _committed_batches.inc(len(batches))
    answers = []
    for batch in batches:
        key = (UUID(batch.node_id), batch.stream, batch.sequence)
        # The same batch twice in one group: the first of them was counted.
        answers.append(key in fresh)
        fresh.discard(key)
    return answers
