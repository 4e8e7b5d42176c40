"""What the provider bills, and since when: every instance in spells of one plan, written when it is known to change.

Our own orders are written down as they are carried out; what others do at the provider is seen by the next listing.
What a spell costs is `domain/pricing.py`'s.
"""

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import Connection, TextClause, func, text, update

from penguin_infra.domain.inventory import SeenInstance
from penguin_infra.store.analytics_tables import instance_spells

s = instance_spells.c

_SEEN = """
    WITH seen AS MATERIALIZED (
        SELECT * FROM jsonb_to_recordset(CAST(:seen AS jsonb)) AS one (
            provider_id text, label text, region text, plan text, extra_addresses smallint, created_at timestamptz,
            node_id uuid)
    ), newest AS MATERIALIZED (
        SELECT DISTINCT ON (provider_id) * FROM fleet.instance_spells ORDER BY provider_id, began_at DESC
    )
"""


def _about_seen(statement: str) -> TextClause:
    return text(_SEEN + statement)


_END = _about_seen(
    """
    UPDATE fleet.instance_spells AS spell SET ended_at = :now
    FROM newest LEFT JOIN seen USING (provider_id)
    WHERE spell.provider_id = newest.provider_id AND spell.began_at = newest.began_at
      AND newest.ended_at IS NULL AND newest.began_at < :now
      AND CASE WHEN seen.provider_id IS NULL THEN :is_whole
          ELSE (seen.plan, seen.extra_addresses) <> (newest.plan, newest.extra_addresses) END
    """
)

# A spell that ended, by a listing that lacked the instance, goes on when it is seen again: no id is ever used twice.
_RESUME = _about_seen(
    """
    UPDATE fleet.instance_spells AS spell
    SET ended_at = CASE WHEN newest.ended_at < :now THEN NULL ELSE newest.ended_at END,
        node_id = coalesce(newest.node_id, seen.node_id)
    FROM newest JOIN seen USING (provider_id)
    WHERE spell.provider_id = newest.provider_id AND spell.began_at = newest.began_at
      AND (seen.plan, seen.extra_addresses) = (newest.plan, newest.extra_addresses)
      AND (newest.ended_at < :now OR newest.node_id IS NULL AND seen.node_id IS NOT NULL)
    """
)

_BEGIN = _about_seen(
    """
    INSERT INTO fleet.instance_spells (provider_id, began_at, plan, extra_addresses, label, region, node_id)
    SELECT seen.provider_id, coalesce(newest.ended_at, seen.created_at), seen.plan, seen.extra_addresses,
        seen.label, seen.region, coalesce(seen.node_id, newest.node_id)
    FROM seen LEFT JOIN newest USING (provider_id)
    WHERE newest.provider_id IS NULL
       OR newest.ended_at <= :now AND (seen.plan, seen.extra_addresses) <> (newest.plan, newest.extra_addresses)
    """
)


def observe(
    connection: Connection,
    instances: Iterable[SeenInstance],
    owners: Mapping[str, UUID],
    now: datetime,
    *,
    is_whole: bool = True,
) -> None:
    """Take up what the provider showed at `now`, the time just before asking; what was written since then stands.

    `owners`: the nodes that asked for them, by the provider's id. `is_whole`: the account's whole listing, so that what
    is not in it has ended; else what the provider said of some instances.
    """
    seen = [
        {
            "provider_id": instance.provider_id,
            "label": instance.label,
            "region": instance.region,
            "plan": instance.plan,
            "extra_addresses": instance.extra_addresses,
            "created_at": instance.created_at.isoformat(),
            "node_id": str(owner) if (owner := owners.get(instance.provider_id)) else None,
        }
        for instance in instances
    ]
    given = {"seen": json.dumps(seen), "now": now}
    # Two that looked at once would each begin a spell.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('fleet.instance_spells'))"))
    connection.execute(_END, given | {"is_whole": is_whole})
    connection.execute(_RESUME, given)
    connection.execute(_BEGIN, given)


def record_end(connection: Connection, provider_ids: Iterable[str], now: datetime) -> None:
    """Instances that are known to be gone are billed no longer; a repeat changes nothing."""
    # Not before it began: the provider's clock may be ahead of ours.
    connection.execute(
        update(instance_spells)
        .where(s.provider_id.in_(list(provider_ids)), s.ended_at.is_(None))
        .values(ended_at=func.greatest(s.began_at, now))
    )
