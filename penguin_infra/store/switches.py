"""The fleet's few switches: the kill switch, and which provider this database's nodes live at."""

from datetime import datetime

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.postgresql import insert

from penguin_infra.store.tables import fleet_switches

_FREEZE = "freeze"
_PROVIDER = "provider"


def frozen_by(connection: Connection) -> str | None:
    """Who froze the fleet and why; None while it runs."""
    row = connection.execute(select(fleet_switches).where(fleet_switches.c.name == _FREEZE)).one_or_none()
    return f"{row.set_by} at {row.set_at:%Y-%m-%d %H:%M} UTC ({row.value})" if row else None


def freeze(connection: Connection, *, reason: str, requested_by: str, now: datetime) -> None:
    """Stop the fleet's own actions; a second freeze keeps the first one's name and reason."""
    connection.execute(
        insert(fleet_switches)
        .values(name=_FREEZE, value=reason, set_by=requested_by, set_at=now)
        .on_conflict_do_nothing()
    )


def thaw(connection: Connection) -> bool:
    """Let the fleet act again; False where it was not frozen."""
    return connection.execute(delete(fleet_switches).where(fleet_switches.c.name == _FREEZE)).rowcount > 0


def claim_provider(connection: Connection, provider: str, now: datetime) -> str:
    """Tie this database to a provider, the first time; returns the one it is tied to."""
    connection.execute(
        insert(fleet_switches)
        .values(name=_PROVIDER, value=provider, set_by="system:up", set_at=now)
        .on_conflict_do_nothing()
    )
    return str(connection.scalar(select(fleet_switches.c.value).where(fleet_switches.c.name == _PROVIDER)))
