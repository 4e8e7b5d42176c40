"""A node whose instance is gone has no future: propose its end. One whose address changed is installed again there.

Neither is hurried: a provider's listing can be wrong for a while, so only a difference that has stood counts.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from penguin_infra.domain.actions import ActionKind, PlannedAction
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node_alerts import OpenDrift

NAME = "policy:mend_drift"

# Six inventories of five minutes.
STANDS_AFTER = timedelta(minutes=30)


def plan_ends(drifts: Iterable[OpenDrift], now: datetime) -> tuple[PlannedAction, ...]:
    """One decommission for each node without an instance."""
    return tuple(_mend(drift, ActionKind.DECOMMISSION) for drift in drifts if _stands(drift, DriftKind.GHOST, now))


def plan_reinstalls(drifts: Iterable[OpenDrift], now: datetime) -> tuple[PlannedAction, ...]:
    """One installation for each node that the provider has at another address."""
    return tuple(
        _mend(drift, ActionKind.REINSTALL) for drift in drifts if _stands(drift, DriftKind.CHANGED_ADDRESS, now)
    )


def _stands(drift: OpenDrift, kind: DriftKind, now: datetime) -> bool:
    return drift.kind == kind and drift.node_id is not None and now - drift.since >= STANDS_AFTER


def _mend(drift: OpenDrift, kind: ActionKind) -> PlannedAction:
    if drift.node_id is None:
        raise ValueError(f"{drift.kind} {drift.provider_id} concerns no node")
    return PlannedAction(
        node_id=drift.node_id,
        kind=kind,
        reason=drift.detail,
        requested_by=NAME,
        evidence={"drift": drift.kind, "provider_id": drift.provider_id, "since": drift.since.isoformat()},
    )
