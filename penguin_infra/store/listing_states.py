"""Where each address stands on each list: who is due for a look, what looks made of it, and the record of changes.

How a look advances a state is `domain/listing_advance.py`'s; confirmed listings as events are `listings.py`'s.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from functools import cache
from ipaddress import IPv4Address

from pydantic import TypeAdapter
from sqlalchemy import Connection, insert, select, text

from penguin_infra.domain.listing_state import ListingState
from penguin_infra.store.blacklist_tables import blacklist_observations
from penguin_infra.store.tables import AnyRow

StateKey = tuple[IPv4Address, str]

# An address that was taken off a list within a day is still looked at first: listings come back.
RECENTLY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How many addresses one list is to be asked about, and whose turn may come.

    Nobody who was asked after `asked_before`; addresses listed anywhere go first once they were not asked since
    `urgent_before`, up to `urgent_most` of them.
    """

    zone: str
    suspects_most: int
    routine_most: int
    urgent_most: int
    asked_before: datetime
    urgent_before: datetime


@dataclass(frozen=True, slots=True)
class Due:
    """Whose turn it is on one list, the most urgent first."""

    suspects: tuple[IPv4Address, ...]
    routine: tuple[IPv4Address, ...]


@dataclass(frozen=True, slots=True)
class RecordedObservation:
    """A look that changed a state: the raw answer, in whose words, through whom and when."""

    ip_address: str
    zone: str
    change: str
    answer: str
    ttl_seconds: int
    resolver: str
    reason: str | None
    observed_at: datetime


# A suspect is due once its first answer has expired in every cache, and not before: it would only be repeated.
_DUE = text(
    """
    WITH wanted AS (
        SELECT * FROM jsonb_to_recordset(CAST(:wanted AS jsonb)) AS one (
            zone text, suspects_most integer, routine_most integer, urgent_most integer,
            asked_before timestamptz, urgent_before timestamptz)
    ), listed AS (
        SELECT DISTINCT ip_address FROM fleet.ip_blacklist_events
        WHERE delisted_at IS NULL OR delisted_at > :recently
    ), looked_at AS (
        SELECT wanted.zone, held.ip_address, state.asked_at, wanted.suspects_most, wanted.routine_most,
            wanted.urgent_most, wanted.asked_before,
            coalesce(state.state = 'suspect', false) AS is_suspect,
            (state.facts -> 'first_hit' ->> 'observed_at')::timestamptz
                + make_interval(secs => (state.facts -> 'first_hit' ->> 'ttl_seconds')::integer + 1) AS expires_at,
            listed.ip_address IS NOT NULL AND coalesce(state.asked_at <= wanted.urgent_before, true) AS is_urgent
        FROM wanted CROSS JOIN fleet.ip_tenures AS held
        LEFT JOIN fleet.blacklist_states AS state ON state.ip_address = held.ip_address AND state.zone = wanted.zone
        LEFT JOIN listed ON listed.ip_address = held.ip_address
        WHERE held.ended_at IS NULL AND family(held.ip_address) = 4
    ), candidates AS (
        SELECT *, row_number() OVER (
            PARTITION BY zone, is_suspect, is_urgent ORDER BY asked_at NULLS FIRST, ip_address) AS place
        FROM looked_at
        WHERE CASE WHEN is_suspect THEN :now >= expires_at ELSE asked_at IS NULL OR asked_at <= asked_before END
    ), queue AS (
        SELECT *, row_number() OVER (
            PARTITION BY zone, is_suspect
            ORDER BY is_urgent AND place <= urgent_most DESC, asked_at NULLS FIRST, ip_address) AS turn
        FROM candidates
    )
    SELECT zone, ip_address - inet '0.0.0.0' AS number, is_suspect FROM queue
    WHERE turn <= CASE WHEN is_suspect THEN suspects_most ELSE routine_most END
    ORDER BY zone, is_suspect DESC, turn
    """
)

_URGENT = text(
    """
    SELECT count(DISTINCT held.ip_address) FROM fleet.ip_tenures AS held
    JOIN fleet.ip_blacklist_events AS event ON event.ip_address = held.ip_address
    WHERE held.ended_at IS NULL AND (event.delisted_at IS NULL OR event.delisted_at > :recently)
    """
)

_LOAD = text(
    """
    SELECT state.ip_address - inet '0.0.0.0' AS number, state.zone, state.facts::text AS facts
    FROM unnest(CAST(:addresses AS inet[]), CAST(:zones AS text[])) AS asked (ip_address, zone)
    JOIN fleet.blacklist_states AS state ON state.ip_address = asked.ip_address AND state.zone = asked.zone
    """
)

# One document rather than an array a column: a tenth of the time, which matters at ten thousand looks a pass.
_SAVE = text(
    """
    INSERT INTO fleet.blacklist_states AS known
        (ip_address, zone, state, since, facts, updated_at, asked_at, answered_at)
    SELECT inet '0.0.0.0' + number, zone, state, (facts ->> 'since')::timestamptz, facts, :now,
        CASE WHEN is_asked THEN CAST(:now AS timestamptz) END, (facts ->> 'answered_at')::timestamptz
    FROM jsonb_to_recordset(CAST(:states AS jsonb)) AS one (
        number bigint, zone text, state text, is_asked boolean, facts jsonb)
    ON CONFLICT (ip_address, zone) DO UPDATE
    SET state = excluded.state, since = excluded.since, facts = excluded.facts, updated_at = excluded.updated_at,
        asked_at = coalesce(excluded.asked_at, known.asked_at), answered_at = excluded.answered_at
    """
)

_COUNTS = text(
    """
    SELECT list.zone,
        count(*) FILTER (WHERE state.state = 'clean') AS clean,
        count(*) FILTER (WHERE state.state = 'suspect') AS suspect,
        count(*) FILTER (WHERE state.state = 'listed') AS listed,
        count(*) FILTER (WHERE state.zone IS NULL) AS unasked,
        count(*) FILTER (
            WHERE coalesce(state.answered_at, state.since) < :now - make_interval(secs => list.stale_seconds)) AS stale,
        min(coalesce(state.answered_at, state.since)) AS oldest_at
    FROM jsonb_to_recordset(CAST(:lists AS jsonb)) AS list (zone text, stale_seconds double precision)
    CROSS JOIN fleet.ip_tenures AS held
    LEFT JOIN fleet.blacklist_states AS state ON state.ip_address = held.ip_address AND state.zone = list.zone
    WHERE held.ended_at IS NULL
    GROUP BY list.zone ORDER BY list.zone
    """
)

_WORST = text(
    """
    SELECT node.label, node.status, state.ip_address, state.zone, state.state, state.since, state.answered_at,
        state.facts, event.severity, event.codes, event.reason, event.delist_url
    FROM fleet.blacklist_states AS state
    JOIN fleet.ip_tenures AS held ON held.ip_address = state.ip_address AND held.ended_at IS NULL
    JOIN fleet.sending_nodes AS node ON node.id = held.node_id
    LEFT JOIN fleet.ip_blacklist_events AS event
        ON event.ip_address = state.ip_address AND event.zone = state.zone AND event.delisted_at IS NULL
    WHERE state.state <> 'clean'
    ORDER BY state.state,
        array_position(ARRAY['critical', 'high', 'medium', 'low', 'policy', 'informational'], event.severity::text),
        state.since
    """
)


def find_due(connection: Connection, wanted: Iterable[Wanted], now: datetime) -> dict[str, Due]:
    """Whose turn it is on each list: suspects, then addresses with a listing anywhere, then the longest unasked."""
    rows = [
        asdict(one) | {name: getattr(one, name).isoformat() for name in ("asked_before", "urgent_before")}
        for one in wanted
    ]
    found: dict[str, tuple[list[IPv4Address], list[IPv4Address]]] = {str(row["zone"]): ([], []) for row in rows}
    parameters = {"wanted": json.dumps(rows), "recently": now - RECENTLY, "now": now}
    for row in connection.execute(_DUE, parameters) if rows else ():
        found[row.zone][not row.is_suspect].append(IPv4Address(row.number))
    return {zone: Due(tuple(suspects), tuple(routine)) for zone, (suspects, routine) in found.items()}


def count_urgent(connection: Connection, now: datetime) -> int:
    """How many of the fleet's addresses have a listing, or had one within a day."""
    return int(connection.execute(_URGENT, {"recently": now - RECENTLY}).scalar_one())


def load_states(connection: Connection, keys: Collection[StateKey]) -> dict[StateKey, ListingState]:
    """Where these addresses stand on these lists, those that were ever asked about."""
    rows = connection.execute(
        _LOAD, {"addresses": [str(address) for address, _ in keys], "zones": [zone for _, zone in keys]}
    )
    return {(IPv4Address(row.number), row.zone): _state_adapter().validate_json(row.facts) for row in rows}


def save_states(
    connection: Connection, states: Mapping[StateKey, ListingState], now: datetime, *, asked: Collection[StateKey]
) -> None:
    """Write states down, whole; `asked` are those whose turn is over, be it with an error."""
    if not states:
        return
    rows = [
        b'{"number":%d,"zone":"%s","state":"%s","is_asked":%s,"facts":%s}'
        % (
            int(key[0]),
            key[1].encode(),
            state.status.value.encode(),
            b"true" if key in asked else b"false",
            _state_adapter().dump_json(state),
        )
        # Locked in one order, whoever writes.
        for key, state in sorted(states.items(), key=lambda item: (item[0][1], int(item[0][0])))
    ]
    connection.execute(_SAVE, {"states": (b"[" + b",".join(rows) + b"]").decode(), "now": now})


def save_observations(connection: Connection, observations: Iterable[RecordedObservation]) -> None:
    """Append the looks that changed something."""
    if rows := [asdict(one) for one in observations]:
        connection.execute(insert(blacklist_observations), rows)


def newest_observations(connection: Connection, *, limit: int = 25) -> Sequence[AnyRow]:
    """The last looks that changed something, the newest first."""
    o = blacklist_observations.c
    return connection.execute(
        select(blacklist_observations).order_by(o.observed_at.desc(), o.id.desc()).limit(limit)
    ).all()


def count_states(connection: Connection, stale_after_seconds: Mapping[str, float], now: datetime) -> Sequence[AnyRow]:
    """How many addresses stand where on each of these lists, and how many were not answered for so long."""
    lists = [{"zone": zone, "stale_seconds": seconds} for zone, seconds in stale_after_seconds.items()]
    return connection.execute(_COUNTS, {"lists": json.dumps(lists), "now": now}).all()


def worst_states(connection: Connection) -> Sequence[AnyRow]:
    """Every address that is listed or suspected, the gravest first."""
    return connection.execute(_WORST).all()


@cache
def _state_adapter() -> TypeAdapter[ListingState]:
    return TypeAdapter(ListingState)
