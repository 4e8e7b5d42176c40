"""What the lab's customers ask for: kept over a restart, one sum for all nodes once it was raised."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from penguin_infra.lab.customers import Customers
from penguin_infra.lab.node_simulation import SimulatedNode

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@pytest.fixture
def customers(tmp_path: Path) -> Customers:
    return Customers(tmp_path / "demand.json")


def test_usually_each_node_is_asked_for_its_own_rate_however_many_there_are(customers: Customers) -> None:
    assert [customers.factor(serving) for serving in (0, 1, 9)] == [1, 1, 1]


def test_a_node_more_relieves_the_others(customers: Customers) -> None:
    customers.ask(60, 6)
    assert customers.factor(6) == pytest.approx(1.6)
    assert customers.factor(9) * 9 == pytest.approx(6 * 1.6)
    # Asked again once the fleet has grown, it is the same sum.
    customers.ask(60, 9)
    assert customers.factor(9) * 9 == pytest.approx(6 * 1.6)


def test_it_outlives_a_restart_and_ends_by_a_reset(customers: Customers, tmp_path: Path) -> None:
    customers.ask(60, 6)
    again = Customers(tmp_path / "demand.json")
    assert again.percent == 60
    assert again.factor(6) == pytest.approx(1.6)
    again.ask(0, 9)
    assert not Customers(tmp_path / "demand.json").is_raised
    again.ask(50, 9)
    assert again.factor(9) == pytest.approx(1.5)


def test_a_node_sends_so_much_more_of_its_usual_rate(tmp_path: Path) -> None:
    node = SimulatedNode(tmp_path, seed=7)
    node.pass_time(600, NOW, factor=1.6)
    ended = [line for line in node.mail.log.read_text().splitlines() if "status=deferred" not in line]
    assert len(ended) == 192
