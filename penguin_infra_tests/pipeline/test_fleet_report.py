"""The report as an asset: a file a day, of a span the last ones, and figures that the UI can draw."""

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine

from penguin_infra.analytics.report_files import REPORTS_KEPT, list_files, path_of
from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.reporting.fleet_report import fleet_report
from penguin_infra.settings import Settings
from penguin_infra.wiring import SystemClock, Wiring
from penguin_infra_tests.pipeline.conftest import wired
from penguin_infra_tests.report_page import read_page
from penguin_infra_tests.reported_fleet import add_reported_fleet


@pytest.fixture
def reporting(engine: Engine, tmp_path: Path) -> Iterator[Wiring]:
    url = SecretStr(engine.url.render_as_string(hide_password=False))
    with wired(Settings(_env_file=None, database_url=url, report_folder=tmp_path / "reports")) as made:
        yield made


def today() -> date:
    return SystemClock().now().date()


def write(fleet: Wiring, first: date, last: date) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        [fleet_report],
        resources={"fleet": dg.ResourceDefinition.hardcoded_resource(fleet)},
        tags={
            "dagster/asset_partition_range_start": first.isoformat(),
            "dagster/asset_partition_range_end": last.isoformat(),
        },
        raise_on_error=False,
    )


def metadata_of(done: dg.ExecuteInProcessResult) -> dict[str, Any]:
    (event,) = done.get_asset_materialization_events()[-1:]
    return {name: value.value for name, value in event.materialization.metadata.items()}


def test_a_span_writes_its_last_nine_days_and_tells_of_the_newest(reporting: Wiring, engine: Engine) -> None:
    add_reported_fleet(engine, reporting.clock.now())
    done = write(reporting, today() - timedelta(days=40), today())
    assert done.success
    files = list_files(reporting.report_folder)
    assert [file.day for file in files] == [today() - timedelta(days=ago) for ago in range(9)]
    told = metadata_of(done)
    assert told["path"] == str(path_of(reporting.report_folder, today()))
    assert told["link"] == f"http://127.0.0.1:4270/api/v1/reports/{today()}"
    assert told["bytes"] == files[0].size
    figures = {name: told[name] for name in ("nodes", "nodes_in_rotation", "high_alerts", "recommendations")}
    assert figures == {"nodes": 20, "nodes_in_rotation": 18, "high_alerts": 1, "recommendations": 2}
    assert "active" in str(told["nodes_by_status"])
    assert read_page(files[0].path.read_text()).sections[0] == "glance"


def test_old_reports_make_room(reporting: Wiring) -> None:
    reporting.report_folder.mkdir()
    for ago in range(1, REPORTS_KEPT + 5):
        path_of(reporting.report_folder, today() - timedelta(days=ago)).touch()
    assert write(reporting, today(), today()).success
    assert len(list_files(reporting.report_folder)) == REPORTS_KEPT


def test_a_folder_that_cannot_be_written_fails_the_run_in_words(reporting: Wiring, tmp_path: Path) -> None:
    (tmp_path / "reports").touch()
    done = write(reporting, today(), today())
    assert not done.success
    (failed,) = [event for event in done.all_events if event.event_type is dg.DagsterEventType.STEP_FAILURE]
    assert "PENGUIN_REPORT_FOLDER" in str(failed.event_specific_data)


def test_its_sections_come_from_columns_that_there_are(reporting: Wiring) -> None:
    """Lineage that names a column of no table leads nowhere in the UI."""
    schemas = {
        spec.key.to_user_string(): {column.name for column in spec.metadata["dagster/column_schema"].columns}
        for spec in build_definitions(reporting).resolve_all_asset_specs()
    }
    done = write(reporting, today(), today())
    lineage = metadata_of(done)["dagster/column_lineage"]
    assert set(lineage.deps_by_column) == schemas["fleet_report"]
    unknown = {
        (source.asset_key.to_user_string(), source.column_name)
        for sources in lineage.deps_by_column.values()
        for source in sources
        if source.column_name not in schemas[source.asset_key.to_user_string()]
    }
    assert unknown == set()
