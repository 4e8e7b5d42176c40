"""All jobs over one fleet: each asset shows numbers and a chart, analysts' ones where their columns come from."""

from datetime import timedelta

import dagster as dg
import pytest
from sqlalchemy import Engine, insert, text

from penguin_infra.defs.build import build_definitions
from penguin_infra.store.analytics_tables import analytics_metadata, instance_spells
from penguin_infra.wiring import Wiring
from penguin_infra_tests.fleets import add_nodes

# Charts are drawn in letters of one width; where there is nothing to draw, they say so.
_DRAWN = ("```", "nothing to show")
_JOBS = ("take_inventory", "sweep_blacklists", "measure_telemetry", "score_reputation", "report_days")


@pytest.fixture
def lived_in(sweeping_fleet: Wiring, engine: Engine) -> Wiring:
    """Three nodes that were billed and sent since yesterday, and an instance of somebody else."""
    since = sweeping_fleet.clock.now() - timedelta(days=1)
    node_ids = add_nodes(engine, 3)
    with engine.begin() as connection:
        for number, node_id in enumerate(node_ids, 1):
            label = f"penguin-node-{number:03}-{node_id.hex[:8]}"
            values = {"provider_id": f"hw-{number}", "began_at": since, "plan": "ssd-1", "region": "dallas"}
            connection.execute(insert(instance_spells).values(**values, label=label, node_id=node_id))
        connection.execute(
            text(
                "INSERT INTO fleet.delivery_hours (node_id, hour_at, mailbox_provider, sent, hard_bounces) "
                "SELECT id, date_trunc('hour', now()) - interval '1 hour', 'gmail', 900, 9 FROM fleet.sending_nodes"
            )
        )
        connection.execute(
            text(
                "INSERT INTO fleet.delivery_counts (node_id, bucket_at, mailbox_provider, result, messages) "
                "SELECT id, date_trunc('hour', now()) - interval '1 hour', 'gmail', 'sent', 900 "
                "FROM fleet.sending_nodes"
            )
        )
    sweeping_fleet.provider.create_instance(label="panel-vps", region="dallas", plan="ssd-1")
    return sweeping_fleet


def test_every_asset_shows_numbers_and_a_chart_and_analysts_tables_their_lineage(
    lived_in: Wiring, instance: dg.DagsterInstance
) -> None:
    definitions = build_definitions(lived_in)
    shown: dict[str, dict[str, dg.MetadataValue]] = {}
    for name in _JOBS:
        tags = {}
        if name == "report_days":
            day = lived_in.clock.now().date().isoformat()
            tags = {"dagster/asset_partition_range_start": day, "dagster/asset_partition_range_end": day}
        result = definitions.resolve_job_def(name).execute_in_process(
            instance=instance, tags=tags, raise_on_error=False
        )
        for event in result.get_asset_materialization_events():
            materialization = event.materialization
            shown[materialization.asset_key.path[-1]] = dict(materialization.metadata)

    assets = {key.path[-1] for key in definitions.resolve_asset_graph().get_all_asset_keys()}
    assert shown.keys() == assets
    lacking = {
        name: what
        for name, metadata in shown.items()
        if (what := _lacking(metadata, is_for_analysts=f"analytics.{name}" in analytics_metadata.tables))
    }
    assert lacking == {}


def _lacking(metadata: dict[str, dg.MetadataValue], *, is_for_analysts: bool) -> list[str]:
    values = [entry.value for entry in metadata.values()]
    return [
        what
        for what, is_there in {
            "a number": any(isinstance(value, int | float) for value in values),
            "a chart": any(isinstance(value, str) and any(sign in value for sign in _DRAWN) for value in values),
            "lineage": not is_for_analysts or "dagster/column_lineage" in metadata,
        }.items()
        if not is_there
    ]
