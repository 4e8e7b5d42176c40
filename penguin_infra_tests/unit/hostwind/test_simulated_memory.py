"""The simulated Hostwind's addresses and bill, at moments that a running server would take years to reach."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from penguin_infra.lab import hostwind_addresses
from penguin_infra.lab.hostwind_addresses import GivenAddresses, NoAddressLeft
from penguin_infra.lab.hostwind_bill import bill
from penguin_infra.lab.hostwind_instance import SimulatedInstance
from penguin_infra.lab.hostwind_prices import PriceChange
from penguin_infra.lab.hostwind_state import HostwindState

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[HostwindState]:
    with HostwindState(tmp_path) as opened:
        yield opened


def create(state: HostwindState, *, plan: str = "ssd-1") -> SimulatedInstance:
    return state.create(
        label="one",
        region="seattle",
        plan=plan,
        image="ubuntu-22.04",
        ssh_keys=[],
        idempotency_key=None,
        request="",
        now=NOW,
        ready_at=NOW,
    )


def test_addresses_leave_out_the_ends_of_each_block(state: HostwindState) -> None:
    addresses = [str(create(state).address) for _ in range(256)]
    assert addresses[0] == "127.77.0.1"
    assert addresses[253:255] == ["127.77.0.254", "127.77.1.1"]
    assert len(set(addresses)) == 256


def test_a_never_used_address_comes_before_a_freed_one(state: HostwindState) -> None:
    first = create(state)
    state.delete(first, now=NOW)
    assert create(state).address != first.address


def test_when_all_are_used_up_the_longest_free_comes_first(
    state: HostwindState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hostwind_addresses, "_ADDRESS_COUNT", 3)
    one, two, three = create(state), create(state), create(state)
    with pytest.raises(NoAddressLeft):
        create(state)
    state.delete(two, now=NOW)
    state.delete(one, now=NOW + HOUR)
    again = create(state)
    assert again.address == two.address
    state.delete(again, now=NOW + 2 * HOUR)
    assert [create(state).address, create(state).address] == [one.address, two.address]
    assert state.live_instance(three.provider_id) == three


def test_given_addresses_are_handed_out_in_their_order_and_again_when_they_are_free(tmp_path: Path) -> None:
    given = [IPv4Address("10.77.2.2"), IPv4Address("10.77.1.2")]
    with HostwindState(tmp_path, GivenAddresses(given)) as state:
        assert state.next_address() == given[0]
        one, two = create(state), create(state)
        assert [one.address, two.address] == given
        state.delete(two, now=NOW)
        assert create(state).address == given[1]
    # Kept, and told from the loopback range's.
    with HostwindState(tmp_path) as state:
        assert [each.address for each in state.live_instances(limit=9, offset=0)] == given
        assert str(create(state).address) == "127.77.0.1"


def test_when_no_given_address_is_free_an_instance_stays_without(tmp_path: Path) -> None:
    with HostwindState(tmp_path, GivenAddresses([IPv4Address("10.77.1.2")])) as state:
        held = create(state)
        assert state.next_address() is None
        waiting = create(state)
        assert (waiting.address, waiting.status(NOW + 9 * HOUR)) == (None, "provisioning")
        state.delete(held, now=NOW)
        assert create(state).address == held.address


@pytest.mark.parametrize(
    ("age", "hours"),
    [
        (timedelta(0), 1),
        (HOUR, 1),
        (HOUR + timedelta(seconds=1), 2),
        (timedelta(days=30), 720),
    ],
)
def test_a_started_hour_is_billed(state: HostwindState, age: timedelta, hours: int) -> None:
    create(state)
    billed = bill(state.all_instances(), now=NOW + age)
    assert isinstance(billed["instances"], list)
    assert billed["instances"][0]["hours"] == hours


def test_the_bill_stops_with_the_deletion(state: HostwindState) -> None:
    state.delete(create(state), now=NOW + HOUR)
    create(state, plan="ssd-2")
    # One hour of ssd-1 at 0.006931 and 720 of ssd-2 at 0.013875.
    assert bill(state.all_instances(), now=NOW + 720 * HOUR)["total_usd"] == "9.996931"


def test_each_spell_on_a_plan_is_billed_at_its_price(state: HostwindState) -> None:
    state.resize(create(state), plan="ssd-2", done_at=NOW + 2 * HOUR)
    # Two hours of ssd-1 and one of ssd-2.
    assert bill(state.all_instances(), now=NOW + 3 * HOUR)["total_usd"] == "0.027737"


def test_a_resize_that_is_not_done_yet_costs_nothing(state: HostwindState) -> None:
    state.resize(create(state), plan="ssd-2", done_at=NOW + 2 * HOUR)
    assert bill(state.all_instances(), now=NOW + HOUR)["total_usd"] == "0.006931"


def test_an_hour_costs_what_the_plan_cost_as_it_began(state: HostwindState) -> None:
    create(state)
    state.prices.change(PriceChange("ssd-1", Decimal("7.20"), NOW + HOUR))
    billed = bill(state.all_instances(), now=NOW + 3 * HOUR, prices=state.prices.changes())
    # One hour at 0.006931 and two at 0.01.
    assert billed["total_usd"] == "0.026931"
    monthly_usd = [state.prices.offers(at)[0]["monthly_usd"] for at in (NOW, NOW + HOUR)]
    assert monthly_usd == ["4.99", "7.20"]


def test_an_address_is_billed_from_when_it_was_added_and_the_last_one_goes_first(state: HostwindState) -> None:
    one = create(state)
    for hour, count in ((1, 2), (4, 1)):
        state.change_addresses(one, count=count, now=NOW + hour * HOUR)
    lines = bill(state.all_instances(), now=NOW + 10 * HOUR)["instances"]
    assert isinstance(lines, list)
    # Three hours of the second, nine of the first.
    assert (lines[0]["hours"], lines[0]["extra_address_hours"]) == (10, 12)
    assert lines[0]["amount_usd"] == str((10 + 12) * Decimal("0.006931"))


def test_by_the_month_what_is_left_of_it_is_refunded_for_another_plan_and_lost_by_a_deletion(
    state: HostwindState,
) -> None:
    one = create(state)
    # November's 24th to December's: thirty days, of which ten pass on each plan before the end.
    state.resize(one, plan="ssd-2", done_at=NOW + timedelta(days=10))
    used = bill(state.all_instances(), now=NOW + timedelta(days=20), cycle="monthly")
    assert used["total_usd"] == "4.99333333"
    state.delete(one, now=NOW + timedelta(days=20))
    lost = bill(state.all_instances(), now=NOW + timedelta(days=20), cycle="monthly")
    assert lost["total_usd"] == "8.32333333"
