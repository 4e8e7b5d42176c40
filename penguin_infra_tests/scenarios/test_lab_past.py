"""A fresh lab's past, put before its first node: whole, legal, billed as the provider bills it, and over."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import Engine, func, insert, select, text

from penguin_infra.cli.database import FRESH_LAB_NODES
from penguin_infra.cli.fleet_env import lab_policy_file, write_lab_policy
from penguin_infra.cli.lab_past import fill_past
from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.pricing import BillingCycle, CostLimits
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.lab.history import demand_batches
from penguin_infra.lab.hostwind_bill import bill
from penguin_infra.lab.hostwind_past import PastRefused
from penguin_infra.lab.hostwind_state import HostwindState
from penguin_infra.lab.past import Past
from penguin_infra.operations.measure_costs import measure_costs
from penguin_infra.operations.preview_plan import preview_plan
from penguin_infra.operations.refresh_alerts import find_alerts
from penguin_infra.operations.request_nodes import request_nodes
from penguin_infra.settings import Settings
from penguin_infra.store import node_places, nodes, warmups
from penguin_infra.store.capacity_tables import delivery_hours, demand_hours
from penguin_infra.store.ledger_facts import read_ledger_facts
from penguin_infra.store.nodes import REQUESTED
from penguin_infra.store.plan_prices import newest_prices
from penguin_infra.store.tables import ip_tenures, node_transitions, sending_nodes
from penguin_infra.wiring import Wiring
from penguin_infra_tests.conftest import Databases, fresh_engine

# At night of a weekend, by day of a working one, and just after midnight.
MOMENTS = [
    datetime(2026, 11, 24, 12, 25, 40, tzinfo=UTC),
    datetime(2026, 11, 22, 23, 58, 2, tzinfo=UTC),
    datetime(2027, 3, 1, 0, 0, 1, tzinfo=UTC),
]
NOW = MOMENTS[0]


def fill(engine: Engine, directory: Path, now: datetime = NOW) -> Past:
    with engine.begin() as connection:
        return fill_past(connection, directory=directory, fleet_name="penguin", zone="nodes.lab.test", now=now)


@dataclass(frozen=True)
class Filled:
    """A past in a database and at a simulated provider, and when that was; to be read only."""

    past: Past
    engine: Engine
    directory: Path
    now: datetime


@pytest.fixture(scope="module", params=MOMENTS, ids=str)
def filled(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Filled]:
    directory = tmp_path_factory.mktemp("past")
    for engine in fresh_engine(databases):
        yield Filled(fill(engine, directory, request.param), engine, directory, request.param)


def ask_for_the_six(engine: Engine, now: datetime) -> list[UUID]:
    """As a fresh lab does, and as they are a few minutes later."""
    with engine.begin() as connection:
        asked = request_nodes(
            connection, node_count=FRESH_LAB_NODES, region="dallas", plan="ssd-1", requested_by="system:lab", now=now
        )
        for number, node in enumerate(asked, start=1):
            node_places.record_instance(connection, node.node_id, f"hw-{100 + number}", now)
            node_places.record_address(connection, node.node_id, IPv4Address("127.77.0.100") + number, now)
            nodes.apply_event(
                connection, node.node_id, NodeEvent.ADMITTED, reason="test", requested_by="system:lab", now=now
            )
            warmups.save_state(connection, node.node_id, WarmupState("lab", 31_200, now), now)
    return [node.node_id for node in asked]


@pytest.mark.parametrize("cycle", BillingCycle)
def test_what_the_fleet_reckons_of_it_is_the_providers_bill(filled: Filled, cycle: BillingCycle) -> None:
    past, now = filled.past, filled.now
    with HostwindState(filled.directory) as state:
        billed = bill(state.all_instances(), now=now, prices=state.prices.changes(), cycle=cycle.value)
    report = measure_costs(
        filled.engine,
        CostLimits(billing_cycle=cycle),
        first_day=past.began_at.date(),
        last_day=now.date(),
        fleet_name="penguin",
        now=now,
    )
    reckoned: dict[str, Decimal] = defaultdict(Decimal)
    for line in report.lines:
        reckoned[line.provider_id] += line.amount_usd
    lines = billed["instances"]
    assert isinstance(lines, list)
    assert len(lines) == len(past.instances) == len(reckoned) == 14
    for line in lines:
        assert abs(reckoned[line["id"]] - Decimal(line["amount_usd"])) < Decimal("0.005"), line["id"]
    usages = {line.usage for line in report.lines}
    assert usages == {"provisioning", "warming", "active", "paused", "orphan", "foreign"}


def test_every_life_is_legal_and_over(filled: Filled) -> None:
    t = node_transitions.c
    with filled.engine.connect() as connection:
        rows = connection.execute(select(node_transitions).order_by(t.id)).all()
        assert [row.happened_at for row in rows] == sorted(row.happened_at for row in rows)
        status: dict[UUID, NodeStatus] = {}
        for row in rows:
            if row.event == REQUESTED:
                status[row.node_id] = NodeStatus.PROVISIONING
            else:
                assert row.from_status == status[row.node_id]
                status[row.node_id] = next_status(status[row.node_id], NodeEvent(row.event))
            assert row.to_status == status[row.node_id]
        assert status == {node.node_id: NodeStatus.DECOMMISSIONED for node in filled.past.nodes}
        assert not connection.scalar(select(func.count()).where(ip_tenures.c.ended_at.is_(None)))
        latest = connection.scalar(select(func.max(sending_nodes.c.updated_at)))
        assert latest is not None
        assert latest < filled.now


def test_all_of_its_mail_is_of_a_node_that_held_an_address_and_sent(filled: Filled) -> None:
    with filled.engine.connect() as connection:
        stray = connection.execute(
            text("""
            SELECT count(*) FROM fleet.delivery_hours AS hours WHERE NOT EXISTS (
                SELECT FROM fleet.ip_tenures AS tenure WHERE tenure.node_id = hours.node_id
                  AND hours.hour_at >= tenure.began_at AND hours.hour_at < tenure.ended_at)
              OR (SELECT to_status FROM fleet.node_transitions AS change
                  WHERE change.node_id = hours.node_id AND happened_at <= hours.hour_at
                  ORDER BY happened_at DESC, id DESC LIMIT 1) NOT IN ('warming', 'active')
            """)
        ).scalar()
        assert stray == 0
        assert (connection.scalar(select(func.sum(delivery_hours.c.sent))) or 0) > 3_000_000


@pytest.mark.parametrize("now", MOMENTS)
def test_the_fleet_of_today_is_left_alone_by_it(engine: Engine, tmp_path: Path, now: datetime) -> None:
    fill(engine, tmp_path / "hostwind", now)
    six = ask_for_the_six(engine, now)
    fleet = lab_wiring(tmp_path)
    preview = preview_plan(engine, fleet.wanted_limits, now)
    assert preview.lines == ()
    assert preview.growth is not None
    assert preview.growth.needed == 0, preview.growth.reason
    with engine.begin() as connection:
        found = find_alerts(connection, limits=fleet.policy.health.silence, now=now)
        assert {rule for rule, alerts in found.items() if alerts} <= {"observer_lost"}
        facts = read_ledger_facts(connection, now, fleet.policy.guardrails)
        assert (facts.fleet_size, facts.disruptions_last_hour, facts.failed_at) == (FRESH_LAB_NODES, 0, {})
        assert {row.plan: row.monthly_usd for row in newest_prices(connection)} == {
            "ssd-1": Decimal("4.99"),
            "ssd-2": Decimal("9.99"),
            "ssd-4": Decimal("18.99"),
        }
        # As `lab demand +60%` tells it: two nodes more, as without a past.
        for number, _ in enumerate(six):
            connection.execute(insert(demand_hours), besides(number, now))
    growth = preview_plan(engine, fleet.wanted_limits, now).growth
    assert growth is not None
    assert (growth.count, growth.bites) == (2, ()), growth.reason


def test_a_past_comes_before_the_first_node_or_not_at_all(engine: Engine, tmp_path: Path) -> None:
    past = fill(engine, tmp_path)
    with pytest.raises(PastRefused, match="has nodes already"):
        fill(engine, tmp_path)
    with HostwindState(tmp_path) as state:
        before = state.all_instances()
        with pytest.raises(PastRefused, match="has instances already"):
            state.take_past(past, {})
        assert state.all_instances() == before


def test_where_the_provider_has_instances_nothing_is_written(engine: Engine, tmp_path: Path) -> None:
    with HostwindState(tmp_path) as state:
        state.create(
            label="first", region="dallas", plan="ssd-1", image="ubuntu-22.04", ssh_keys=(), idempotency_key=None,
            request="", now=NOW, ready_at=NOW,
        )  # fmt: skip
    with engine.connect() as connection:
        with pytest.raises(PastRefused, match="has instances already"):
            fill_past(connection, directory=tmp_path, fleet_name="penguin", zone="nodes.lab.test", now=NOW)
        connection.commit()
        assert not nodes.list_nodes(connection)


def lab_wiring(home: Path) -> Wiring:
    write_lab_policy(home)
    return Wiring(Settings(policy_file=lab_policy_file(home)))


def besides(number: int, now: datetime) -> list[dict[str, object]]:
    hours: Counter[str] = Counter()
    for batch in demand_batches("a-node", now=now, seed=number, from_percent=0, to_percent=60):
        for count in batch.counts:
            if count.result != "deferred":
                hours[count.bucket_at] += count.messages
    return [
        {"hour_at": datetime.fromisoformat(hour), "region": f"more-{number}", "ended": messages}
        for hour, messages in hours.items()
    ]
