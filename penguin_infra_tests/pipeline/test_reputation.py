"""Reputation end to end: scored every few minutes, summed up by days, and blocked where a day's sums are not whole."""

from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import dagster as dg
from sqlalchemy import insert, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra.store import listings
from penguin_infra.store.capacity_tables import delivery_hours
from penguin_infra.store.tables import ip_tenures
from penguin_infra.wiring import Wiring
from penguin_infra_tests.deliveries import add_counts, measure_rates
from penguin_infra_tests.fleets import add_node, address, list_address
from penguin_infra_tests.pipeline.test_inventory import checks, figures, materialized

HISTORY = [dg.AssetKey(name) for name in ("reputation_history", "provider_reputation", "listing_impacts")]
SCORE_FIGURES = {
    "dagster/row_count", "lowest_score", "capped_by_listings", "rising", "changed", "is_delivery_known",
}  # fmt: skip
HISTORY_FIGURES = {
    "dagster/row_count", "addresses", "days", "sent", "hard_bounces", "soft_bounces", "policy_rejections", "expired",
    "deferrals", "complaints", "attempted", "lowest_score", "unattributed_sent",
}  # fmt: skip


def score(definitions: dg.Definitions, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    return definitions.resolve_job_def("score_reputation").execute_in_process(instance=instance)


def sum_up(
    definitions: dg.Definitions, instance: dg.DagsterInstance, first: date, last: date | None = None
) -> dg.ExecuteInProcessResult:
    ends = {"start": first.isoformat(), "end": (last or first).isoformat()}
    return definitions.resolve_job_def("report_days").execute_in_process(
        instance=instance,
        asset_selection=HISTORY,
        tags={f"dagster/asset_partition_range_{end}": day for end, day in ends.items()},
        raise_on_error=False,
    )


def rows(fleet: Wiring, table: str) -> list[dict[str, Any]]:
    with fleet.engine.connect() as connection:
        found = connection.execute(text(f"SELECT * FROM analytics.{table} ORDER BY 1, 2, 3"))
        return [dict(row) for row in found.mappings()]


def deliver(fleet: Wiring, node_id: UUID, hours: Iterable[datetime], *, sent: int = 100, hard_bounces: int = 2) -> None:
    with fleet.engine.begin() as connection:
        connection.execute(
            insert(delivery_hours),
            [
                {"node_id": node_id, "hour_at": hour_at, "mailbox_provider": provider, "sent": sent,
                 "hard_bounces": hard_bounces}
                for hour_at in hours for provider in ("gmail", "yahoo")
            ],
        )  # fmt: skip


def hold(fleet: Wiring, node_id: UUID, began_at: datetime, ended_at: datetime | None = None) -> None:
    with fleet.engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.ip_tenures WHERE node_id = :id"), {"id": node_id})
        connection.execute(
            insert(ip_tenures).values(node_id=node_id, ip_address=str(address(1)), began_at=began_at, ended_at=ended_at)
        )


def this_hour(fleet: Wiring) -> datetime:
    return fleet.clock.now().replace(minute=0, second=0, microsecond=0)


def test_scores_are_shown_with_the_worst_first_and_each_listing_counts_at_the_next_look(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    now = fleet.clock.now()
    bad, good = (add_node(fleet.engine, number, NodeStatus.ACTIVE) for number in (1, 2))
    for node_id in (bad, good):
        add_counts(fleet.engine, node_id, at=now - timedelta(minutes=10), sent=1_000)
    with fleet.engine.begin() as connection:
        connection.execute(text("UPDATE fleet.sending_nodes SET health = 'healthy'"))
        connection.execute(text("UPDATE fleet.ip_tenures SET began_at = :at"), {"at": now - timedelta(days=60)})
    measure_rates(fleet.engine, now)
    before = score(definitions, instance)
    assert checks(before)["scores_explained"].passed
    assert materialized(before)["reputation_scores"].metadata["mean_score"].value == 100.0
    list_address(fleet.engine, bad, at=now)
    shown = materialized(score(definitions, instance))["reputation_scores"]
    assert set(figures(shown)) == SCORE_FIGURES
    assert (figures(shown)["lowest_score"], figures(shown)["capped_by_listings"]) == (10, 1)
    assert str(shown.metadata["worst_nodes"].value).splitlines()[2].startswith("| node-001 | 127.77.0.1 | active | 10")
    assert "0-19" in str(shown.metadata["nodes_by_score"].value)


def test_scores_go_on_while_a_list_is_frozen_and_count_nothing_of_it(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    list_address(fleet.engine, node_id, at=fleet.clock.now())
    with fleet.engine.begin() as connection:
        listings.freeze_list(connection, "zen.spamhaus.org", reason="lists everybody", now=fleet.clock.now())
    assert figures(materialized(score(definitions, instance))["reputation_scores"])["capped_by_listings"] == 0


def test_what_a_score_lacks_to_rest_on_is_told(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    check = checks(score(definitions, instance))["scores_explained"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert check.metadata["nodes_never_heard"].value == 1
    assert check.metadata["nodes_with_unmeasured_mail"].value == 1


def test_days_are_summed_up_and_again_are_the_same(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    now = this_hour(fleet)
    one, two = (add_node(fleet.engine, number, NodeStatus.ACTIVE) for number in (1, 2))
    changed_at = now - timedelta(days=2, hours=2, minutes=40)
    hold(fleet, one, now - timedelta(days=4), changed_at)
    hold(fleet, two, changed_at)
    deliver(fleet, one, [now - timedelta(days=2, hours=hours) for hours in (4, 5)])
    deliver(fleet, two, [now - timedelta(days=2, hours=hours) for hours in (2, 3)])
    list_address(fleet.engine, two, at=now - timedelta(days=1))
    with fleet.engine.begin() as connection:
        listings.close_event(connection, address(1), "zen.spamhaus.org", now - timedelta(hours=6))
    first, last = (now - timedelta(days=4)).date(), now.date()

    result = sum_up(definitions, instance, first, last)
    assert result.success
    assert all(check.passed for check in checks(result).values())
    written = ("reputation_history", "provider_reputation", "listing_impacts")
    history, providers, impacts = (rows(fleet, name) for name in written)
    sent: Counter[UUID] = Counter()
    for row in history:
        sent[row["node_id"]] += row["sent"]
    assert sent == {one: 400, two: 400}
    assert sum(row["sent"] for row in history) == sum(row["sent"] for row in providers) == 800
    assert {row["mailbox_provider"] for row in providers} == {"gmail", "yahoo"}
    assert [(row["node_id"], row["sent_messages"]) for row in impacts] == [(two, 0)]

    assert sum_up(definitions, instance, first, last).success
    assert [history, providers, impacts] == [rows(fleet, name) for name in written]


def test_history_has_its_figures_charts_and_lineage_whether_or_not_there_was_anything(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    today = fleet.clock.now().date()
    empty = materialized(sum_up(definitions, instance, today))
    node_id = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    hold(fleet, node_id, this_hour(fleet) - timedelta(hours=1))
    deliver(fleet, node_id, [this_hour(fleet)])
    list_address(fleet.engine, node_id, at=fleet.clock.now())
    score(definitions, instance)
    full = materialized(sum_up(definitions, instance, today))
    for found in (empty, full):
        assert set(figures(found["reputation_history"])) == HISTORY_FIGURES
        for name, charts in {
            "reputation_history": {"score_by_day", "mail_by_day", "worst_addresses", "mean_score", "listed_hours"},
            "provider_reputation": {"sent_to", "rejected_by", "worst_pairs"},
            "listing_impacts": {"lost_by_list", "days_to_delist", "worst_listings"},
        }.items():
            assert set(found[name].metadata) >= charts | {"dagster/column_lineage", "dagster/row_count"}
    assert figures(full["reputation_history"])["sent"] == 200
    worst = str(full["reputation_history"].metadata["worst_addresses"].value)
    assert "| 127.77.0.1 | node-001 | 10 | 1 |" in worst


def test_what_is_not_known_of_a_day_is_shown_as_nothing(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    hold(fleet, add_node(fleet.engine, 1, NodeStatus.ACTIVE), this_hour(fleet) - timedelta(hours=1))
    found = materialized(sum_up(definitions, instance, fleet.clock.now().date()))["reputation_history"]
    row = str(found.metadata["worst_addresses"].value).splitlines()[2]
    assert row == "| 127.77.0.1 | node-001 |  | 0 | 0.0 | 0 |  |  |"


def test_lineage_names_columns_that_exist(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    columns = {
        spec.key: {column.name for column in spec.metadata["dagster/column_schema"].columns}
        for spec in definitions.resolve_all_asset_specs()
    }
    found = materialized(sum_up(definitions, instance, fleet.clock.now().date()))
    found |= materialized(score(definitions, instance))
    for materialization in found.values():
        lineage: Any = materialization.metadata["dagster/column_lineage"].value
        for column, sources in lineage.deps_by_column.items():
            assert column in columns[materialization.asset_key]
            assert [one for one in sources if one.column_name not in columns[one.asset_key]] == []


def test_mail_of_hours_without_an_address_is_told_with_its_node(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    hour_at = this_hour(fleet)
    hold(fleet, node_id, hour_at - timedelta(hours=2), hour_at - timedelta(hours=1))
    deliver(fleet, node_id, [hour_at])
    result = sum_up(definitions, instance, hour_at.date())
    assert result.success
    check = checks(result)["mail_is_attributed"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert (check.metadata["sent"].value, check.metadata["messages"].value) == (200, 204)
    assert "node-001" in str(check.metadata["rows"].value)
    assert checks(result)["history_is_whole"].passed


def test_a_day_whose_mail_is_not_all_in_its_rows_is_not_written(
    fleet: Wiring, definitions: dg.Definitions, instance: dg.DagsterInstance
) -> None:
    node_id = add_node(fleet.engine, 1, NodeStatus.ACTIVE)
    hour_at = this_hour(fleet)
    hold(fleet, node_id, hour_at - timedelta(minutes=1))
    deliver(fleet, node_id, [hour_at])
    assert sum_up(definitions, instance, hour_at.date()).success
    before = rows(fleet, "reputation_history")
    # A tenure of a clock that is ahead: the hour's mail is its own, and it has had no time yet.
    hold(fleet, node_id, hour_at + timedelta(hours=1, microseconds=-1))
    result = sum_up(definitions, instance, hour_at.date())
    check = checks(result)["history_is_whole"]
    assert (check.passed, check.severity, result.success) == (False, dg.AssetCheckSeverity.ERROR, False)
    assert (check.metadata["sent"].value, check.metadata["sent_in_rows"].value) == (200, 0)
    assert rows(fleet, "reputation_history") == before
