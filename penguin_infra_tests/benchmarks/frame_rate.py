"""How many rows a minute the IO manager checks and writes, beside what pandas itself writes (`DataFrame.to_sql`).

Both write the same frame of a day's costs to the same server; ours checks it, and takes the place of the day's rows.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import dagster as dg
import pandas as pd
from pydantic import SecretStr

from penguin_infra.analytics.frames import frame_of
from penguin_infra.defs.postgres_io import AnalyticsTables
from penguin_infra.settings import Settings
from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA, node_costs
from penguin_infra.store.embedded import PostgresServer
from penguin_infra.wiring import Wiring
from penguin_infra_tests.conftest import Databases

BUDGET_ROWS_A_MINUTE = 1_000_000
ROWS = 500_000

# `to_sql` sends its rows in statements of so many, as its guide advises.
_PEERS_CHUNK = 1_000
_PEERS_ROWS = 50_000

_DAY = date(2026, 3, 2)


@dataclass(frozen=True, slots=True)
class FrameRate:
    """Rows a minute: ours, and pandas' own."""

    ours: float
    peers: float


def measure_frame_rate(directory: Path) -> FrameRate:
    """Write a day's costs of many instances by either way; ours twice, so that old rows are taken away too."""
    databases = Databases(PostgresServer(directory / "frames"))
    try:
        url = databases.create()
        fleet = Wiring(Settings(database_url=SecretStr(url.render_as_string(hide_password=False)), _env_file=None))
        tables, frame = AnalyticsTables(fleet), _costs(ROWS)
        _write(tables, frame)
        ours = _rate(ROWS, lambda: _write(tables, frame))
        some = frame[:_PEERS_ROWS]
        peers = _rate(
            _PEERS_ROWS,
            lambda: some.to_sql(
                "peers_costs", fleet.engine, schema=ANALYTICS_SCHEMA, index=False, method="multi",
                chunksize=_PEERS_CHUNK,
            ),
        )  # fmt: skip
        fleet.engine.dispose()
    finally:
        databases.close()
    return FrameRate(ours, peers)


def _write(tables: AnalyticsTables, frame: pd.DataFrame) -> None:
    tables.handle_output(dg.build_output_context(asset_key=dg.AssetKey("node_costs")), frame)


def _rate(rows: int, write: Callable[[], object]) -> float:
    begun = time.perf_counter()
    write()
    return rows * 60 / (time.perf_counter() - begun)


def _costs(count: int) -> pd.DataFrame:
    return frame_of(
        node_costs,
        (
            (_DAY, f"hw-{number}", "ssd-1", "plan", "active", UUID(int=number), f"node-{number}", "dallas", 24, 0, 3,
             Decimal("0.16634400"), "provider")
            for number in range(count)
        ),
    )  # fmt: skip
