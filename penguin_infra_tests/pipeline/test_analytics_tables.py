"""The IO manager: a frame takes the place of its partition's rows, whole and checked, or changes nothing."""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal

import dagster as dg
import pandas as pd
import pytest
from sqlalchemy import Engine, select

from penguin_infra.analytics.frames import frame_of
from penguin_infra.defs.postgres_io import ANALYTICS_TABLE, AnalyticsTables
from penguin_infra.defs.reporting.days import DAYS, daily_asset, days_of
from penguin_infra.store.analytics_tables import node_costs
from penguin_infra.wiring import Wiring

MONDAY, TUESDAY, WEDNESDAY = (date(2026, 3, day) for day in (2, 3, 4))

MakeFrame = Callable[[list[date]], pd.DataFrame]


def costs(days: list[date], *, amount: str = "0.16634400", instances: int = 2) -> pd.DataFrame:
    rows = [
        (day, f"hw-{number}", "ssd-1", "plan", "active", None, f"node-{number}", "dallas", 24, 0, 1, Decimal(amount),
         "provider")
        for day in days
        for number in range(instances)
    ]  # fmt: skip
    return frame_of(node_costs, rows)


def materialise(fleet: Wiring, make: MakeFrame, *days: date) -> dg.ExecuteInProcessResult:
    @daily_asset(name="node_costs")
    def stand_in(context: dg.AssetExecutionContext) -> dg.MaterializeResult:  # type: ignore[type-arg]
        first, last = days_of(context)
        return dg.MaterializeResult(
            value=make([first + timedelta(days=number) for number in range((last - first).days + 1)])
        )

    return dg.materialize(
        [stand_in],
        resources={ANALYTICS_TABLE: AnalyticsTables(fleet)},
        tags={
            "dagster/asset_partition_range_start": min(days).isoformat(),
            "dagster/asset_partition_range_end": max(days).isoformat(),
        },
        raise_on_error=False,
    )


def stored(engine: Engine) -> list[tuple[object, ...]]:
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(node_costs).order_by(*node_costs.primary_key.columns))]


def test_a_partition_takes_the_place_of_its_own_rows_and_of_no_others(fleet: Wiring, engine: Engine) -> None:
    assert materialise(fleet, costs, MONDAY, WEDNESDAY).success
    assert materialise(fleet, lambda days: costs(days, amount="9", instances=1), TUESDAY).success

    amounts = [(row[0], row[1], row[11]) for row in stored(engine)]
    usual = Decimal("0.16634400")
    assert amounts == [
        (MONDAY, "hw-0", usual), (MONDAY, "hw-1", usual), (TUESDAY, "hw-0", Decimal(9)), (WEDNESDAY, "hw-0", usual),
        (WEDNESDAY, "hw-1", usual),
    ]  # fmt: skip


def test_the_same_days_again_are_the_same_rows(fleet: Wiring, engine: Engine) -> None:
    materialise(fleet, costs, MONDAY, WEDNESDAY)
    before = stored(engine)
    assert materialise(fleet, costs, MONDAY, WEDNESDAY).success
    assert stored(engine) == before
    assert len(before) == 6


def test_what_was_written_is_told_with_its_rows(fleet: Wiring) -> None:
    result = materialise(fleet, costs, MONDAY, TUESDAY)
    (event, *_) = result.get_asset_materialization_events()
    assert event.materialization.metadata["dagster/row_count"].value == 4


def with_value(column: str, value: object) -> MakeFrame:
    """A frame in whose second row that column holds something else."""

    def make(days: list[date]) -> pd.DataFrame:
        frame = costs(days)
        frame[column] = frame[column].astype("object")
        frame[column] = [frame[column][0], value]
        return frame

    return make


def unnamed(days: list[date]) -> pd.DataFrame:
    frame = costs(days)
    return frame.assign(label=frame["label"].where(frame["provider_id"] != "hw-1"))


def twice(days: list[date]) -> pd.DataFrame:
    return pd.concat([costs(days), costs(days)[:1]], ignore_index=True)


@pytest.mark.parametrize(
    ("make", "told", "shown"),
    [
        pytest.param(lambda days: costs(days, amount="-1"), "amount_usd: not_negative", "-1", id="a negative amount"),
        pytest.param(with_value("amount_usd", 0.16), "amount_usd: is_Decimal", "0.16", id="money that is not exact"),
        pytest.param(with_value("day", "2026-03-02"), "day: is_date", "2026-03-02", id="a day that is text"),
        pytest.param(twice, "multiple_fields_uniqueness", "hw-0", id="a row twice"),
        pytest.param(
            lambda days: costs(days).drop(columns="hours"), "column_in_dataframe", "hours", id="a column that lacks"
        ),
        pytest.param(
            lambda days: costs(days).assign(colour="red"), "column_in_schema", "colour", id="a column too many"
        ),
        pytest.param(
            unnamed, "label: not_nullable", "nan", id="a label that is not there"
        ),
        pytest.param(
            lambda days: costs(days).assign(idle_hours=25), "no_more_hours_than_billed", "25", id="hours not billed"
        ),
        pytest.param(
            lambda days: costs([day + timedelta(days=9) for day in days]), "outside the partition", "2026-03-11",
            id="another day's row",
        ),
    ],
)  # fmt: skip
def test_a_frame_that_breaks_its_schema_is_blocked_with_its_rows_and_the_table_stays_as_it_was(
    fleet: Wiring, engine: Engine, make: MakeFrame, told: str, shown: str
) -> None:
    materialise(fleet, costs, MONDAY)
    before = stored(engine)

    result = materialise(fleet, make, MONDAY)

    assert not result.success
    (failure,) = [event for event in result.all_events if event.is_step_failure]
    error = failure.step_failure_data.user_failure_data
    assert error is not None
    assert told in (error.description or "")
    assert shown in str(error.metadata["rows"].value)
    assert stored(engine) == before


def test_what_the_database_refuses_leaves_the_table_as_it_was(fleet: Wiring, engine: Engine) -> None:
    materialise(fleet, costs, MONDAY)
    before = stored(engine)
    assert not materialise(fleet, with_value("usage", "holiday"), MONDAY).success
    assert stored(engine) == before


def test_a_day_to_come_has_no_partition(fleet: Wiring) -> None:
    to_come = fleet.clock.now().date() + timedelta(days=3)
    (failure,) = [event for event in materialise(fleet, costs, to_come).all_events if event.is_step_failure]
    error = failure.step_failure_data.user_failure_data
    assert error is not None
    assert f"{to_come}: only days from 2026-01-01 to today" in (error.description or "")


def test_a_later_asset_is_given_the_rows_of_its_own_days(fleet: Wiring) -> None:
    materialise(fleet, costs, MONDAY, WEDNESDAY)
    given: list[pd.DataFrame] = []

    @dg.asset(partitions_def=DAYS, ins={"node_costs": dg.AssetIn(input_manager_key=ANALYTICS_TABLE)})
    def reader(node_costs: pd.DataFrame) -> None:
        given.append(node_costs)

    result = dg.materialize(
        [dg.AssetSpec("node_costs", partitions_def=DAYS), reader],
        selection=[reader],
        resources={ANALYTICS_TABLE: AnalyticsTables(fleet)},
        partition_key=TUESDAY.isoformat(),
    )

    assert result.success
    pd.testing.assert_frame_equal(given[0], costs([TUESDAY]))
