"""`penguin-infra reputation`: scores with their reasons, days of the fleet and of a node, providers and lists."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

from penguin_infra.store.analytics_tables import listing_impacts, reputation_history, reputation_scores
from penguin_infra_tests.cli.conftest import Run, RunJson
from penguin_infra_tests.reported_fleet import add_reported_fleet

TODAY = datetime.now(UTC).date()
SINCE = (TODAY - timedelta(days=40)).isoformat()


@pytest.fixture
def reported(engine: Engine) -> Engine:
    add_reported_fleet(engine, datetime.now(UTC))
    return engine


def words_of(printed: str) -> str:
    """A table's words without its frame, whatever its width."""
    return " ".join(printed.replace("│", " ").replace("┃", " ").split())


def test_the_worst_scores_come_first_each_with_its_reason(reported: Engine, run: Run, run_json: RunJson) -> None:
    done = run("reputation", "--top", "3")
    assert done.exit_code == 0, done.output
    told = words_of(done.stdout)
    by_score = sorted(run_json("reputation"), key=lambda row: (row["score"], row["label"]))
    places = [told.index(row["label"]) for row in by_score[:3]]
    assert places == sorted(places)
    assert "points lost to hard bounces (2.1 % of 12,000)" in told
    assert by_score[3]["label"] not in told
    assert f"The worst 3 of {len(by_score)} are shown" in told


def test_programs_get_scores_in_full_with_their_components_as_a_document(reported: Engine, run_json: RunJson) -> None:
    row = run_json("reputation")[0]
    assert list(row) == [column.name for column in reputation_scores.columns]
    assert row["components"] == {"bounces": 100 - row["score"]}
    assert datetime.fromisoformat(row["measured_at"]).tzinfo is not None


def test_the_fleets_days_sum_up_its_addresses(reported: Engine, run: Run, run_json: RunJson) -> None:
    told = words_of(run("reputation", "history", "--since", str(TODAY)).stdout)
    rows = run_json("reputation", "history", "--since", str(TODAY))
    sent, attempted = (sum(row[name] for row in rows) for name in ("sent", "attempted"))
    bounced = sum(row["hard_bounces"] for row in rows)
    assert f"{TODAY} {len(rows)} " in told
    assert f"{sent:,} {100 * bounced / attempted:.2f} %" in told


def test_a_nodes_days_are_its_own_by_label_address_and_id(reported: Engine, run: Run, run_json: RunJson) -> None:
    rows = run_json("reputation", "history", "node-003", "--since", SINCE)
    assert list(rows[0]) == [column.name for column in reputation_history.columns]
    assert {row["label"] for row in rows} == {"node-003"}
    assert len(rows) == 41
    for name in (rows[0]["ip_address"], rows[0]["node_id"]):
        assert run_json("reputation", "history", name, "--since", SINCE) == rows
    assert f"{TODAY} 127.77.0.3 87 85" in words_of(run("reputation", "history", "node-003").stdout)


def test_providers_are_told_apart_for_the_fleet_and_for_a_node(reported: Engine, run: Run, run_json: RunJson) -> None:
    fleet, of_node = (words_of(run("reputation", "providers", *name).stdout) for name in ((), ("node-003",)))
    for told in (fleet, of_node):
        assert told.index("gmail") < told.index("microsoft") < told.index("yahoo")
    assert "gmail 21 " in fleet
    assert "node-003" in of_node
    assert "gmail 1 " in of_node
    sums = [sum(row["sent"] for row in run_json("reputation", "providers", *name)) for name in ((), ("node-003",))]
    assert 0 < sums[1] < sums[0]


def test_lists_are_told_by_the_mail_they_cost_and_each_listing_by_itself(
    reported: Engine, run: Run, run_json: RunJson
) -> None:
    told = words_of(run("reputation", "lists").stdout)
    assert told.index("Spamhaus") < told.index("Barracuda") < told.index("SORBS")
    # Two critical ones of Spamhaus: one over after two days, one that has stood for three and a half.
    assert "spamhaus.test critical 2 1 2.0 3.5 49,200" in told
    rows = run_json("reputation", "lists", "--each")
    assert list(rows[0]) == [column.name for column in listing_impacts.columns]
    assert len(rows) == 4
    assert "41,200" in run("reputation", "lists", "--each").stdout


@pytest.mark.parametrize("arguments", [(), ("history",), ("providers",), ("lists",), ("lists", "--each")], ids=" ".join)
def test_every_view_goes_into_a_parquet_file(
    reported: Engine, run: Run, run_json: RunJson, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    path = tmp_path / "rows.parquet"
    done = run("reputation", *arguments, "--parquet", str(path))
    assert done.exit_code == 0, done.output
    rows = run_json("reputation", *arguments)
    table = pq.read_table(path)
    assert table.column_names == list(rows[0])
    assert table.num_rows == len(rows)
    assert f"{len(rows):,} rows" in words_of(done.stderr)


def test_where_nothing_is_known_people_hear_what_makes_it_and_programs_get_no_rows(run: Run, run_json: RunJson) -> None:
    for arguments, maker in (
        ((), "reputation_scores"), (("history",), "report_days"), (("providers",), "report_days"),
        (("lists",), "report_days"), (("lists", "--each"), "report_days"),
    ):  # fmt: skip
        done = run("reputation", *arguments)
        assert done.exit_code == 0, done.output
        assert maker in done.stdout
        assert run_json("reputation", *arguments) == []


@pytest.mark.parametrize("command", ["history", "providers"])
def test_a_node_that_nobody_knows_is_told_with_near_ones(reported: Engine, run: Run, command: str) -> None:
    done = run("reputation", command, "node-03")
    assert done.exit_code == 2
    told = words_of(done.stderr)
    assert "NODE" in told
    assert "'node-03'" in told
    assert "near: node-" in told


def test_a_day_that_is_to_come_is_told_by_its_option(run: Run) -> None:
    done = run("reputation", "history", "--until", "2999-01-01")
    assert done.exit_code == 2
    assert "--until" in done.stderr
