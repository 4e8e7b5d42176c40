"""The simulated Hostwind's addresses and bill, at moments that a running server would take years to reach."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from penguin_infra.lab import hostwind_addresses
from penguin_infra.lab.hostwind_addresses import GivenAddresses, NoAddressLeft
from penguin_infra.lab.hostwind_bill import bill
from penguin_infra.lab.hostwind_instance import SimulatedInstance
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
