"""The daily report: one page that tells all of a day, fetches nothing, and takes no text from outside for markup."""

from datetime import date, timedelta
from pathlib import Path

import plotly.graph_objects
import pytest
from sqlalchemy import Engine, insert, update

from penguin_infra.analytics.fleet_report import WrittenReport, read_report, render, write_report
from penguin_infra.analytics.report_files import FolderNotWritable, NoSuchDay, list_files, path_of, remove_old
from penguin_infra.analytics.report_parts import Chart
from penguin_infra.store.analytics_tables import cost_optimisation, node_costs
from penguin_infra.store.tables import node_actions
from penguin_infra.store.telemetry_tables import alerts
from penguin_infra_tests.fleets import NOW, add_node
from penguin_infra_tests.report_page import Page, read_page
from penguin_infra_tests.reported_fleet import add_reported_fleet

TODAY = NOW.date()
SECTIONS = ["glance", "cost", "reputation", "warmup", "capacity", "done", "waiting"]
CHARTS = {"daily-cost", "scores", "lost-mail", "deferrals", "cohorts", "demand"}

HOSTILE = "<script>alert(1)</script><img src=//evil.test/x onerror=alert(2)>{{ 7 * 7 }}</td>"


def made(engine: Engine, day: date = TODAY) -> Page:
    with engine.connect() as connection:
        return read_page(render(read_report(connection, day, now=NOW, fleet_name="penguin")))


def written(engine: Engine, folder: Path, day: date = TODAY, path: Path | None = None) -> WrittenReport:
    return write_report(engine, day, now=NOW, fleet_name="penguin", folder=folder, path=path)


def test_the_report_of_an_empty_fleet_says_in_each_section_that_there_is_nothing(engine: Engine) -> None:
    page = made(engine)
    assert page.sections == SECTIONS
    for section, said in {
        "glance": "The fleet has no node yet",
        "cost": "No day's costs are summed up yet",
        "reputation": "No address was listed now.",
        "warmup": "No node warms up now.",
        "capacity": "No demand was measured in the 30 days until 24 Nov 2026.",
        "done": "Nothing was done on 24 Nov 2026 so far.",
        "waiting": "No action waits. High alerts",
    }.items():
        assert said in page.texts[section]
    assert page.charts == {}
    assert "None" not in "".join(page.texts.values())


def test_a_page_needs_nothing_from_anywhere(engine: Engine) -> None:
    add_reported_fleet(engine)
    page = made(engine)
    assert page.fetched == []
    assert page.tags["img"] == page.tags["iframe"] == 0
    assert page.tags["script"] == 2 + len(page.charts)


def test_every_section_of_a_full_fleet_is_told_in_figures_with_unit_and_time(engine: Engine) -> None:
    add_reported_fleet(engine)
    page = made(engine)
    assert page.sections == SECTIONS
    assert set(page.charts) == CHARTS
    for section, said in {
        "glance": [
            "Nodes 20 6 warming, 12 active, 2 paused; 1 decommissioned before; now", "In rotation 18",
            "Capacity used 79.7 % 210,387 messages asked of 264,000 in 24 hours; 24 Nov 2026, 12:00 UTC",
            "Alerts open 3 1 high, 1 medium, 1 low; now", "Cost this month 103.80 USD",
            "80 % between 127.10 USD and 132.40 USD; 86.5 % of 150.00 USD budget",
            "Cost per 1,000 delivered 0.0230 USD 30 days until 24 Nov 2026",
        ],
        "cost": ["seattle ssd-2 5 2,880 39.92 USD 38.5 %", "idle 1.83 USD", "orphans and foreign instances 3.99 USD",
                 "retire node-020 5.05 USD", "penguin-infra actions plan", "Savings worth making 10.04 USD"],
        "reputation": ["node-020 127.77.0.20 12", "points lost to hard bounces",
                       "Spamhaus critical node-020 127.77.0.20",
                       "Spamhaus 2 1 2.0 d 49,200", "gmail", "Mail lost to listings 61,250 messages"],
        "warmup": ["2026-11-12 2", "node-018 5 of 10 3,000 3,600 Deferrals of gmail are 14 %."],
        "capacity": ["264,000 messages a day now", "Forecast:", "2026-11-24 (forecast)"],
        "done": ["resize failed 1", "the provider did not answer in 30 minutes", "and 3 more",
                 "pause disruption_budget So many nodes an hour"],
        "waiting": ["decommission node-019", "penguin-infra actions approve", "node_listed node-020",
                    "2 savings are worth making"],
    }.items():  # fmt: skip
        for one in said:
            assert one in page.texts[section]


def test_each_chart_is_one_that_plotly_draws_and_has_words_and_a_table(engine: Engine) -> None:
    add_reported_fleet(engine)
    page = made(engine)
    for spec in page.charts.values():
        plotly.graph_objects.Figure(data=spec["traces"], layout=spec["layout"])
        assert all(trace["x"] and len(trace["x"]) == len(trace["y"]) for trace in spec["traces"])
        assert (
            all(spec["layout"][axis]["title"]["text"] for axis in ("yaxis",))
            or spec["layout"]["xaxis"]["title"]["text"]
        )
    assert page.tags["figcaption"] == page.tags["details"] == len(CHARTS)
    assert {"aria-label", "aria-labelledby", "scope", "lang"} <= page.attributes


def test_a_day_under_way_is_forecast_and_not_drawn_as_a_fall(engine: Engine) -> None:
    add_reported_fleet(engine)
    demand, forecast, capacity = made(engine).charts["demand"]["traces"]
    assert (demand["x"][-1], forecast["x"][0]) == ("2026-11-23", "2026-11-24")
    assert capacity["y"] == [264_000, 264_000]


def test_tables_that_tell_more_than_their_chart_stand_open(engine: Engine) -> None:
    add_reported_fleet(engine)
    with engine.connect() as connection:
        report = read_report(connection, TODAY, now=NOW, fleet_name="penguin")
    charts = [part for section in report.sections for part in section.parts if isinstance(part, Chart)]
    assert {chart.anchor for chart in charts if chart.is_table_open} == {"lost-mail", "deferrals", "cohorts"}
    assert render(report).count("<details open>") == 3


def test_text_from_outside_is_text_wherever_it_stands(engine: Engine) -> None:
    (node_id, *_) = add_reported_fleet(engine, label=HOSTILE[:60])
    with engine.begin() as connection:
        connection.execute(update(node_actions).values(reason=HOSTILE, outcome=HOSTILE))
        connection.execute(update(alerts).values(summary=HOSTILE, subject=HOSTILE))
        connection.execute(update(cost_optimisation).values(reason=HOSTILE, command=HOSTILE))
        connection.execute(update(node_costs).where(node_costs.c.node_id == node_id).values(region=HOSTILE[:50]))
    page = made(engine)
    assert page.fetched == []
    assert page.tags["img"] == 0
    assert page.tags["script"] == 2 + len(page.charts)
    assert not any(name.startswith("on") for name in page.attributes)
    for section in ("cost", "done", "waiting"):
        assert HOSTILE in page.texts[section]


def test_names_in_charts_are_no_markup_for_plotly(engine: Engine) -> None:
    add_reported_fleet(engine)
    with engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE analytics.listing_impacts SET blacklist_provider = '<a href=\"https://evil.test\">list</a>'"
        )
    (lost,) = made(engine).charts["lost-mail"]["traces"]
    assert lost["y"] == ["&lt;a href=&quot;https://evil.test&quot;&gt;list&lt;/a&gt;"]


def test_a_past_day_is_told_as_it_was_and_not_as_it_is(engine: Engine) -> None:
    add_reported_fleet(engine)
    past = TODAY - timedelta(days=3)
    page = made(engine, past)
    assert page.sections == SECTIONS
    # The nodes came a day ago, and what is so now nobody wrote down then.
    assert "Nodes 0" in page.texts["glance"]
    assert "In rotation" not in page.texts["glance"]
    assert "Nobody wrote this down as it was then" in page.texts["warmup"]
    assert "Savings" not in page.texts["cost"]
    assert "forecast" not in page.texts["capacity"]
    assert "No High alert is open." in page.texts["waiting"]
    # Listed three and a half days ago: a day before that day's end.
    assert "Spamhaus critical node-020 127.77.0.20 21 Nov 2026, 00:00 UTC 1.0 d" in page.texts["reputation"]
    # Delisted four days ago.
    assert "Barracuda high" not in page.texts["reputation"]
    days = {day for trace in page.charts["daily-cost"]["traces"] for day in trace["x"]}
    assert max(days) == past.isoformat()
    with engine.connect() as connection:
        assert read_report(connection, past, now=NOW, fleet_name="penguin").numbers["recommendations"] == 0


def test_yesterdays_nodes_and_alerts_are_those_of_its_end(engine: Engine) -> None:
    add_node(engine, 1)
    opened, resolved = NOW - timedelta(hours=20), NOW - timedelta(hours=5)
    with engine.begin() as connection:
        told = {"rule": "r", "severity": "high", "summary": "matters", "opened_at": opened, "updated_at": NOW}
        connection.execute(insert(alerts), [
            told | {"subject": "gone since", "resolved_at": resolved, "resolution": "over"},
            told | {"subject": "gone before", "resolved_at": NOW - timedelta(hours=13), "resolution": "over"},
        ])  # fmt: skip
    page = made(engine, TODAY - timedelta(days=1))
    assert "Nodes 1 1 warming" in page.texts["glance"]
    assert "gone since" in page.texts["waiting"]
    assert "gone before" not in page.texts["waiting"]
    assert "Alerts open 0" in made(engine).texts["glance"]


def test_a_day_to_come_has_no_report(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NoSuchDay, match="2026-11-25: it is to come"):
        written(engine, tmp_path, TODAY + timedelta(days=1))
    assert list(tmp_path.iterdir()) == []


def test_a_report_takes_the_last_ones_place_whole_and_readable_by_all(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "reports"
    first = written(engine, folder)
    old = first.path.stat().st_ino
    again = written(engine, folder)
    assert again.path == path_of(folder, TODAY)
    assert first.path.stat().st_ino != old
    assert [path.name for path in folder.iterdir()] == ["fleet-report-2026-11-24.html"]
    assert (folder.stat().st_mode & 0o777, again.path.stat().st_mode & 0o777) == (0o755, 0o644)
    assert again.size == again.path.stat().st_size


def test_a_folder_that_cannot_be_written_is_named_and_nothing_is_left(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(FolderNotWritable, match="PENGUIN_REPORT_FOLDER"):
        written(engine, tmp_path / "file" / "reports")
    (tmp_path / "taken.html").mkdir()
    with pytest.raises(FolderNotWritable, match=r"taken\.html"):
        written(engine, tmp_path, path=tmp_path / "taken.html")
    assert {path.name for path in tmp_path.iterdir()} == {"file", "taken.html"}


def test_only_the_newest_reports_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    days = [TODAY - timedelta(days=ago) for ago in range(5)]
    for day in days:
        path_of(tmp_path, day).touch()
    others = ["fleet-report-2026-99-99.html", "fleet-report-2026-11-24.html.bak", "notes.txt"]
    for name in others:
        (tmp_path / name).touch()
    assert remove_old(tmp_path, kept=3) == 2
    assert [file.day for file in list_files(tmp_path)] == days[:3]
    assert all((tmp_path / name).exists() for name in others)
    assert list_files(tmp_path / "absent") == []
