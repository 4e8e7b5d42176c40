"""`penguin-infra alerts`: what is open, what was, and all of one."""

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from penguin_infra.domain.alerts import Alert, AlertSeverity
from penguin_infra.operations.update_alerts import update_alerts
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import NOW, add_node


@pytest.fixture
def told(engine: Engine) -> None:
    """A high, a low and a resolved alert."""
    node_id = add_node(engine)
    high = Alert("listed", "127.77.0.1@zen", AlertSeverity.HIGH, "[listed] on zen", {"codes": ["127.0.0.2"]}, node_id)
    low = Alert("listed", "127.77.0.1@low", AlertSeverity.LOW, "listed on low", {}, node_id)
    gone = Alert("list_frozen", "old.test", AlertSeverity.HIGH, "frozen", {})
    update_alerts(engine, "list_frozen", [gone], now=NOW)
    update_alerts(engine, "list_frozen", [], now=NOW + timedelta(minutes=5))
    update_alerts(engine, "listed", [low, high], now=NOW, run_id="run-1")


def test_a_quiet_fleet_says_so(run: Run) -> None:
    assert run("alerts", "list").stdout == "No alert is open.\n"


@pytest.mark.usefixtures("told")
def test_open_alerts_are_listed_the_gravest_first(run_json: RunJson) -> None:
    assert [row["subject"] for row in run_json("alerts", "list")] == ["127.77.0.1@zen", "127.77.0.1@low"]
    assert [row["subject"] for row in run_json("alerts", "list", "--severity", "low")] == ["127.77.0.1@low"]
    assert [row["subject"] for row in run_json("alerts", "list", "--all")][-1] == "old.test"
    assert len(run_json("alerts", "list", "--node", "node-001")) == 2
    assert len(run_json("alerts", "list", "--limit", "1")) == 1


@pytest.mark.usefixtures("told")
def test_the_table_shows_them_in_words(run: Run) -> None:
    shown = run("alerts", "list", "--all").stdout
    for words in ("high", "listed", "127.77.0.1@zen", "[listed] on zen", "2026-11-24 12:00:00", "2026-11-24 12:05:00"):
        assert words in shown
    assert "resolved (UTC)" not in run("alerts", "list").stdout


@pytest.mark.usefixtures("told")
def test_one_alert_is_shown_whole_by_the_beginning_of_its_id(run: Run, run_json: RunJson) -> None:
    alert_id = run_json("alerts", "list")[0]["id"]
    shown = run_json("alerts", "show", alert_id[:13])
    assert (shown["id"], shown["label"], shown["evidence"]) == (alert_id, "node-001", {"codes": ["127.0.0.2"]})
    for words in (alert_id, "[listed] on zen", "run-1", "127.0.0.2"):
        assert words in run("alerts", "show", alert_id).stdout


def test_an_alert_that_nobody_opened_is_told(run: Run) -> None:
    assert "no alert's id begins with 'beef'; `penguin-infra alerts list --all`" in failure(
        run("alerts", "show", "beef")
    )


@pytest.mark.usefixtures("told")
def test_an_id_that_fits_several_is_not_guessed(run: Run) -> None:
    assert "give more of it" in failure(run("alerts", "show", ""))
