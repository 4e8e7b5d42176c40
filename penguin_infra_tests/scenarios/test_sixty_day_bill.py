"""The fleet's costs are the provider's bill, to the cent: sixty days of everything that is billed in its own way."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import dagster as dg
import pytest
from pydantic import SecretStr
from sqlalchemy import Engine, func, select, text

from penguin_infra.defs.postgres_io import ANALYTICS_TABLE, AnalyticsTables
from penguin_infra.defs.reporting.costs import node_costs as node_costs_asset
from penguin_infra.settings import Settings
from penguin_infra.store.analytics_tables import node_costs
from penguin_infra.store.database import make_engine
from penguin_infra.wiring import Wiring
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.scenarios.sixty_days import BOOT_SECONDS, FIRST, FLEET, LAST, SixtyDays, play
from penguin_infra_tests.simulated_provider import simulated_provider

c = node_costs.c
CENT = Decimal("0.01")
FIRST_DAY, LAST_DAY = FIRST.date(), LAST.date()


class Clock:
    """Whose turn it is to tell the time: the world's, once there is one."""

    world: SixtyDays | None = None

    def now(self) -> datetime:
        return self.world.now() if self.world else FIRST


@pytest.fixture(scope="module")
def world(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SixtyDays]:
    url = databases.create()
    engine = make_engine(url)
    clock = Clock()
    with simulated_provider(tmp_path_factory.mktemp("hostwind"), clock.now, boot_seconds=BOOT_SECONDS) as provider:
        clock.world = SixtyDays(engine, provider)
        play(clock.world)
        yield clock.world
    engine.dispose()
    databases.drop(url)


class BackFill(NamedTuple):
    """A fleet by one billing cycle, and what its rows then cost."""

    fleet: Wiring
    cycle: str

    def run(self, first: date = FIRST_DAY, last: date = LAST_DAY) -> dg.ExecuteInProcessResult:
        return dg.materialize(
            [node_costs_asset],
            resources={
                "fleet": dg.ResourceDefinition.hardcoded_resource(self.fleet),
                ANALYTICS_TABLE: AnalyticsTables(self.fleet),
            },
            tags={
                "dagster/asset_partition_range_start": first.isoformat(),
                "dagster/asset_partition_range_end": last.isoformat(),
            },
        )


@pytest.fixture(params=["hourly", "monthly"])
def back_fill(world: SixtyDays, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[BackFill]:
    policy_file = tmp_path / "policy.toml"
    policy_file.write_text(f'[cost]\nbilling_cycle = "{request.param}"\n')
    fleet = Wiring(
        Settings(
            _env_file=None,
            database_url=SecretStr(world.engine.url.render_as_string(hide_password=False)),
            policy_file=policy_file,
            fleet_name=FLEET,
        )
    )
    yield BackFill(fleet, request.param)
    fleet.engine.dispose()
    with world.engine.begin() as connection:
        connection.execute(node_costs.delete())


def costs_by_instance(engine: Engine) -> dict[str, Decimal]:
    with engine.connect() as connection:
        rows = connection.execute(select(c.provider_id, func.sum(c.amount_usd)).group_by(c.provider_id))
        return {str(row.provider_id): Decimal(row.sum) for row in rows}


def all_rows(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return list(connection.scalars(text("SELECT node_costs::text FROM analytics.node_costs ORDER BY 1")))


def test_every_instance_cost_what_the_provider_billed_to_the_cent(world: SixtyDays, back_fill: BackFill) -> None:
    assert back_fill.run().success
    billed, found = world.bill(back_fill.cycle), costs_by_instance(world.engine)
    nothing = Decimal(0)
    off = {
        name: (found.get(key, nothing), billed[key])
        for name, key in world.instances.items()
        if abs(found.get(key, nothing) - billed[key]) >= CENT
    }
    assert off == {}
    assert found.keys() == billed.keys()
    # A monthly price is divided by hours to eight places, and what rounding leaves is in the month's last hour.
    exactly = Decimal(0) if back_fill.cycle == "hourly" else Decimal("0.0001")
    total = sum(billed.values(), nothing)
    assert abs(sum(found.values(), nothing) - total) <= exactly
    assert total > 10


def test_filling_back_twice_changes_no_byte(world: SixtyDays, back_fill: BackFill) -> None:
    back_fill.run()
    before = all_rows(world.engine)
    back_fill.run()
    assert all_rows(world.engine) == before
    # A part of it again, by itself.
    back_fill.run(date(2026, 1, 20), date(2026, 1, 23))
    assert all_rows(world.engine) == before
    assert len(before) > 200


def test_strangers_failures_and_lost_months_have_lines_of_their_own(world: SixtyDays, back_fill: BackFill) -> None:
    back_fill.run()
    with world.engine.connect() as connection:
        rows = connection.execute(select(c.provider_id, c.usage, c.charge, c.label).distinct()).all()
    lines = {(row.provider_id, row.usage, row.charge) for row in rows}
    ids = world.instances
    assert {usage for key, usage, _ in lines if key == ids["somebody-elses"]} == {"foreign"}
    assert {usage for key, usage, _ in lines if key == ids["lost"]} == {"orphan"}
    assert {usage for key, usage, _ in lines if key == ids["unlucky"]} == {"provisioning"}
    assert {usage for key, usage, _ in lines if key == ids["grows"]} == {"warming", "active", "provisioning"}
    assert (ids["end-of-month"], "paused", "plan") in lines
    assert (ids["whole"], "warming", "extra_addresses") in lines
    lost = {key for key, _, charge in lines if charge == "unused_month"}
    gone = {ids[name] for name in ("brief", "unlucky", "lost", "grows", "somebody-elses")}
    assert lost == (gone if back_fill.cycle == "monthly" else set())
    assert {row.label for row in rows if row.provider_id == ids["whole"]} == {"whole"}


def test_days_add_up_to_the_bill_of_any_moment(world: SixtyDays, back_fill: BackFill) -> None:
    back_fill.run()
    with world.engine.connect() as connection:
        by_day = connection.execute(select(c.day, func.sum(c.hours)).where(c.charge == "plan").group_by(c.day)).all()
    hours = world.provider.ask("GET", f"/lab/bill?cycle={back_fill.cycle}")["instances"]
    assert isinstance(hours, list)
    assert {row.day for row in by_day} == {FIRST_DAY + timedelta(days=number) for number in range(60)}
    if back_fill.cycle == "hourly":
        assert sum(row.sum for row in by_day) == sum(line["hours"] for line in hours)
