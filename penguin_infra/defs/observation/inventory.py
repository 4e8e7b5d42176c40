"""What the provider has, and where the registry differs from it. Reads only: nothing at the provider is touched."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

import dagster as dg
from dagster import AssetExecutionContext, ResourceParam

from penguin_infra.defs.tables import bars, markdown_table, table_metadata
from penguin_infra.domain.inventory import DriftKind
from penguin_infra.domain.node import NodeStatus
from penguin_infra.operations.adopt_orphans import adopt_orphans
from penguin_infra.operations.take_inventory import compare_inventory, refresh_listing
from penguin_infra.store import inventory, nodes
from penguin_infra.store.tables import instance_drift
from penguin_infra.store.tables import provider_instances as provider_instances_table
from penguin_infra.wiring import Wiring

# Four missed rounds of five minutes.
_FRESHNESS = dg.FreshnessPolicy.time_window(fail_window=timedelta(minutes=20), warn_window=timedelta(minutes=12))


@dg.asset(
    group_name="inventory",
    owners=["team:sre"],
    kinds={"hostwind", "postgres"},
    tags={"cadence": "5min", "reader": "operators"},
    freshness_policy=_FRESHNESS,
    metadata=table_metadata(provider_instances_table),
    check_specs=[
        dg.AssetCheckSpec(
            "listing_is_not_empty",
            asset="provider_instances",
            blocking=True,
            description="An empty listing while nodes are registered means that the provider or the account is ill, "
            "not that the fleet is gone: nothing is concluded from it.",
        )
    ],
)
def provider_instances(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """Every instance of the provider's account, foreign ones too, as its API lists them.

    Source: `GET /instances`, every 5 minutes. Readers: `node_inventory`, operators. One row an instance; the whole
    table is replaced each time.
    """
    instances = refresh_listing(fleet.engine, fleet.provider, fleet.clock.now())
    with fleet.engine.connect() as connection:
        held = [
            node.label
            for node in nodes.list_nodes(connection)
            if node.provider_id and node.status is not NodeStatus.DECOMMISSIONED
        ]
    context.log.info("the provider lists %d instances; %d nodes hold one", len(instances), len(held))
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(instances),
            "running": sum(instance.status == "running" for instance in instances),
            "by_status": bars(Counter(instance.status.value for instance in instances)),
        },
        check_results=[
            dg.AssetCheckResult(
                passed=bool(instances) or not held,
                check_name="listing_is_not_empty",
                severity=dg.AssetCheckSeverity.ERROR,
                metadata={"listed": len(instances), "registered": len(held)},
            )
        ],
    )


@dg.asset(
    deps=[provider_instances],
    group_name="inventory",
    owners=["team:sre"],
    kinds={"postgres"},
    tags={"cadence": "5min", "reader": "operators"},
    freshness_policy=_FRESHNESS,
    metadata=table_metadata(instance_drift),
    check_specs=[
        dg.AssetCheckSpec("no_orphans", asset="node_inventory", description="Nothing of ours is billed for nobody."),
        dg.AssetCheckSpec("no_ghosts", asset="node_inventory", description="Every node in service has its instance."),
        dg.AssetCheckSpec("no_strays", asset="node_inventory", description="No DNS record of ours outlives its node."),
        dg.AssetCheckSpec(
            "nothing_changed_unasked",
            asset="node_inventory",
            description="Addresses and plans are as the registry has them.",
        ),
    ],
)
def node_inventory(context: AssetExecutionContext, fleet: ResourceParam[Wiring]) -> dg.MaterializeResult:
    """Where the registry and the world differ: orphans, ghosts, changed addresses and plans, stray DNS records.

    Source: `provider_instances` and `fleet.dns_records` against `fleet.sending_nodes`, every 5 minutes. Readers:
    operators, and the sensors that mend: `release` (orphans, strays), `reinstall` (addresses), `decommission` (ghosts).
    One row a difference, open until it is gone. Foreign instances are counted and never touched; one of ours that no
    node asked for is taken into the registry after a grace.
    """
    now = fleet.clock.now()
    comparison = compare_inventory(fleet.engine, fleet_name=fleet.settings.fleet_name, now=now)
    grace = timedelta(minutes=fleet.policy.provisioning.orphan_grace_minutes)
    with fleet.engine.begin() as connection:
        adopted = adopt_orphans(connection, grace=grace, limits=fleet.policy.guardrails, now=now)
        by_status = inventory.counts_by_status(connection)
    for label in adopted:
        context.log.warning("an instance that no node asked for is in the registry now, as %s", label)
    counts = Counter(drift.kind for drift in comparison.drifts)
    context.log.info("%d differences, %d foreign instances", len(comparison.drifts), comparison.foreign_count)
    return dg.MaterializeResult(
        metadata={
            "dagster/row_count": len(comparison.drifts),
            "nodes": sum(by_status.values()),
            **{kind.value: counts[kind] for kind in DriftKind},
            "foreign": comparison.foreign_count,
            "adopted": len(adopted),
            "nodes_by_status": bars(by_status),
            "differences": markdown_table(
                ["kind", "instance", "what differs"],
                [(drift.kind, drift.provider_id, drift.detail) for drift in comparison.drifts],
            ),
        },
        check_results=list(_drift_checks(counts)),
    )


def _drift_checks(counts: Counter[DriftKind]) -> Iterator[dg.AssetCheckResult]:
    kinds = {
        "no_orphans": ([DriftKind.ORPHAN], dg.AssetCheckSeverity.WARN),
        "no_ghosts": ([DriftKind.GHOST], dg.AssetCheckSeverity.ERROR),
        "no_strays": ([DriftKind.STRAY_RECORD], dg.AssetCheckSeverity.WARN),
        "nothing_changed_unasked": (
            [DriftKind.CHANGED_ADDRESS, DriftKind.CHANGED_PLAN],
            dg.AssetCheckSeverity.WARN,
        ),
    }
    for name, (of_kind, severity) in kinds.items():
        found = sum(counts[kind] for kind in of_kind)
        yield dg.AssetCheckResult(
            passed=found == 0, check_name=name, severity=severity, metadata={"found": found, "threshold": 0}
        )
