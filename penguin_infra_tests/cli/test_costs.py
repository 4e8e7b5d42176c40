"""`penguin-infra costs`: sums for people, whole rows for programs, and words for what was asked wrongly."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine, delete, func, insert, select

from penguin_infra.store.analytics_tables import cost_forecasts, cost_optimisation, node_costs
from penguin_infra_tests.cli.conftest import Run, RunJson
from penguin_infra_tests.reported_fleet import add_reported_fleet

TODAY = datetime.now(UTC).date()
SINCE = (TODAY - timedelta(days=40)).isoformat()


@pytest.fixture
def reported(engine: Engine) -> Engine:
    add_reported_fleet(engine, datetime.now(UTC))
    return engine


def spent(engine: Engine, since: date) -> Decimal:
    with engine.connect() as connection:
        return (
            connection.scalar(select(func.sum(node_costs.c.amount_usd)).where(node_costs.c.day >= since)) or Decimal()
        )


def words_of(printed: str) -> str:
    """A table's words without its frame, whatever its width."""
    return " ".join(printed.replace("│", " ").replace("┃", " ").split())


@pytest.fixture
def forecast(reported: Engine) -> None:
    """Forecasts of the test's own, one over the budget and one within it."""
    with reported.begin() as connection:
        connection.execute(delete(cost_forecasts))
        for day, whole in ((TODAY, "92.41"), (TODAY - timedelta(days=1), "101.5")):
            connection.execute(insert(cost_forecasts).values(
                day=day, month=TODAY.replace(day=1), month_to_date_usd=Decimal("71.3"), forecast_usd=Decimal(whole),
                lower_usd=Decimal("89.2"), upper_usd=Decimal("106.9"), budget_usd=Decimal(100), method="the mean day",
            ))  # fmt: skip


def test_people_see_what_this_months_days_cost_and_what_the_month_will(
    reported: Engine, forecast: None, run: Run
) -> None:
    done = run("costs")
    assert done.exit_code == 0, done.output
    told = words_of(done.stdout)
    assert f"{spent(reported, TODAY.replace(day=1)):,.2f}" in told
    for words in (
        str(TODAY),
        f"{TODAY} is not over",
        "71.30 USD so far, 92.41 USD forecast (89.20 to 106.90 in 4 of 5 cases)",
        "7.59 USD within the budget of 100.00 USD",
    ):
        assert words in told, words


@pytest.mark.parametrize("by", ["day", "region", "plan", "usage", "node"])
def test_every_dollar_is_in_one_row_whatever_the_sums_are_of(reported: Engine, run_json: RunJson, by: str) -> None:
    rows = run_json("costs", "--by", by, "--since", SINCE)
    assert sum(Decimal(row["amount_usd"]) for row in rows) == spent(reported, date.fromisoformat(SINCE))
    assert len({row["name"] for row in rows}) == len(rows) > 1


def test_mail_is_told_by_day_region_and_node_and_not_where_nobody_knows(reported: Engine, run_json: RunJson) -> None:
    sums = {
        by: [row["delivered"] for row in run_json("costs", "--by", by, "--since", SINCE)]
        for by in ("day", "region", "node", "plan")
    }
    assert set(sums["plan"]) == {None}
    # Instances that no node holds delivered nothing, and their sum is nought.
    assert sum(sums["day"]) == sum(sums["region"]) == sum(sums["node"]) > 0


def test_wasted_is_what_brought_no_mail_each_dollar_once(reported: Engine, run_json: RunJson) -> None:
    rows = {row["name"]: row for row in run_json("costs", "--by", "usage")}
    for usage in ("paused", "orphan"):
        assert Decimal(rows[usage]["wasted_usd"]) == Decimal(rows[usage]["amount_usd"]) > 0
    active = rows["active"]
    assert Decimal(0) < Decimal(active["wasted_usd"]) < Decimal(active["amount_usd"]) / 24
    assert active["in_service_usd"] == active["amount_usd"]


def test_programs_get_the_tables_rows_in_full_and_money_exact(reported: Engine, run: Run, run_json: RunJson) -> None:
    rows = run_json("costs", "--since", SINCE)
    assert list(rows[0]) == [column.name for column in node_costs.columns]
    assert rows[0]["day"] == SINCE
    assert rows[0]["amount_usd"] == "0.16634400"
    done = run("costs", "--since", SINCE, "--csv")
    in_csv = list(csv.DictReader(io.StringIO(done.stdout)))
    assert [{name: str(value) for name, value in row.items()} for row in rows] == in_csv


def test_parquet_holds_money_as_decimals_and_days_and_ids_as_text(reported: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "costs.parquet"
    done = run("costs", "--since", SINCE, "--parquet", str(path))
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    table = pq.read_table(path)
    assert table.schema.field("amount_usd").type == pa.decimal128(18, 8)
    assert {table.schema.field(name).type for name in ("day", "node_id", "region")} == {pa.string()}
    assert sum(table["amount_usd"].to_pylist()) == spent(reported, date.fromisoformat(SINCE))
    assert table["day"].to_pylist()[0] == SINCE
    assert table.schema.field("hours").metadata[b"description"] == b"started hours; of extra addresses, each one's"
    assert [each.name for each in tmp_path.iterdir()] == [path.name]


def test_a_file_that_cannot_be_written_leaves_the_former_one(reported: Engine, run: Run, tmp_path: Path) -> None:
    path = tmp_path / "costs.json"
    for _ in range(2):
        assert run("costs", "--json", "--out", str(path)).exit_code == 0
    assert json.loads(path.read_text())[0]["usage"]
    done = run("costs", "--csv", "--out", str(tmp_path / "nowhere" / "costs.csv"))
    assert done.exit_code == 2
    assert "there is no folder" in words_of(done.stderr)


def test_savings_are_told_with_the_command_that_proposes_each(reported: Engine, run: Run, run_json: RunJson) -> None:
    told = run("costs", "savings").stdout
    rows = run_json("costs", "savings")
    assert {row["kind"] for row in rows} == {"downsize", "retire"}
    for row in rows:
        assert f"{row['kind']} {row['label']}: {row['command']}" in told
    with reported.begin() as connection:
        connection.execute(delete(cost_optimisation))
    assert "asset cost_optimisation" in run("costs", "savings").stdout


def test_the_forecast_of_each_day_is_told_beside_the_budget(forecast: None, run: Run, run_json: RunJson) -> None:
    since = ("--since", str(TODAY - timedelta(days=1)))
    told = words_of(run("costs", "forecast", *since).stdout)
    assert f"{TODAY} 71.30 92.41 89.20 to 106.90 100.00 the mean day" in told
    assert [row["forecast_usd"] for row in run_json("costs", "forecast", *since)] == ["101.50000000", "92.41000000"]


def test_where_nothing_is_summed_up_people_hear_what_does_it_and_programs_get_no_rows(
    run: Run, run_json: RunJson
) -> None:
    for arguments in (("costs",), ("costs", "--by", "node"), ("costs", "forecast")):
        done = run(*arguments)
        assert done.exit_code == 0, done.output
        assert "report_days" in done.stdout
        assert run_json(*arguments) == []
    assert run("costs", "--csv").stdout.splitlines() == [",".join(column.name for column in node_costs.columns)]


@pytest.mark.parametrize(
    ("arguments", "option", "words"),
    [
        (("--since", "yesterday"), "--since", "'yesterday' is no day"),
        (("--since", "20260301"), "--since", "is no day"),
        (("--until", "2026-02-30"), "--until", "is no day"),
        (("--since", "2026-03-02", "--until", "2026-03-01"), "--since", "2026-03-02 is after --until 2026-03-01"),
        (("--until", "2999-01-01"), "--until", "is to come; today is"),
        (("--since", "2999-01-01"), "--since", "is to come"),
        (("--month", "2999-01"), "--month", "is to come"),
        (("--month", "2026-13"), "--month", "is no month"),
        (("--month", "2026-03", "--since", "2026-03-02"), "--month", "leave --since and --until out"),
        (("--json", "--csv"), "--csv", "one format at a time"),
        (("--out", "costs.csv"), "--out", "say which format"),
        (("--parquet", "a.parquet", "--out", "b.parquet"), "--out", "names its file itself"),
        (("--parquet", "."), "--parquet", "is a folder"),
        (("--by", "colour"), "--by", "colour"),
        (("--csv", "savings"), "--csv", "takes its options behind its name"),
    ],
)
def test_what_is_asked_wrongly_is_told_by_its_options_name(
    run: Run, arguments: tuple[str, ...], option: str, words: str
) -> None:
    done = run("costs", *arguments)
    assert done.exit_code == 2, done.output
    told = words_of(done.stderr)
    assert option in told
    assert words in told
    assert done.stdout == ""


def test_without_a_fleet_the_words_say_how_to_bring_one_up(run_bare: Run, set_environment: Callable[..., None]) -> None:
    done = run_bare("costs")
    assert done.exit_code == 1
    assert "penguin-infra up" in done.stderr
