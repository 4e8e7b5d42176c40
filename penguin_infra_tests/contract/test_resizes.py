"""A resize by the provider: seen through, refused by name, and never ordered twice, however its answer is lost."""

import time

import pytest

from penguin_infra.hostwind.provider import (
    INSTANCE_BUSY,
    UNCHANGED_PLAN,
    InstanceNotFound,
    InstanceStatus,
    OutcomeUnknown,
    ProviderRefused,
    ProviderUnavailable,
)
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.simulator_process import SimulatorProcess, free_port


@pytest.fixture
def provider_id(provider: RestProvider, label: str) -> str:
    """A running instance on the smallest plan."""
    made = provider.create_instance(label=label, region="seattle", plan="ssd-1").provider_id
    await_running(provider, made)
    return made


def await_running(provider: RestProvider, provider_id: str) -> None:
    deadline = time.monotonic() + 20
    while provider.get_instance(provider_id).status is not InstanceStatus.RUNNING:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def plans_of(simulator: SimulatorProcess, provider_id: str) -> list[str]:
    """Every plan that was ever ordered for the instance: a second resize to the same plan would show twice."""
    plans: list[str] = simulator.ask("GET", f"/lab/instances/{provider_id}").json()["plans"]
    return plans


def test_a_resize_is_accepted_and_then_seen_through(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    provider.resize_instance(provider_id, "ssd-2")
    assert provider.get_instance(provider_id).status is InstanceStatus.RESIZING
    await_running(provider, provider_id)
    assert provider.get_instance(provider_id).plan == "ssd-2"
    assert plans_of(simulator, provider_id) == ["ssd-1", "ssd-2"]


@pytest.mark.parametrize(("plan", "code"), [("ssd-99", "unknown_plan"), ("ssd-1", UNCHANGED_PLAN)])
def test_a_plan_that_is_not_to_be_had_is_refused_by_name(
    provider: RestProvider, provider_id: str, plan: str, code: str
) -> None:
    with pytest.raises(ProviderRefused, match=code) as caught:
        provider.resize_instance(provider_id, plan)
    assert caught.value.code == code


def test_an_instance_that_is_being_resized_is_busy(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    provider.resize_instance(provider_id, "ssd-2")
    with pytest.raises(ProviderRefused) as caught:
        provider.resize_instance(provider_id, "ssd-4")
    assert caught.value.code == INSTANCE_BUSY
    await_running(provider, provider_id)
    assert plans_of(simulator, provider_id) == ["ssd-1", "ssd-2"]


def test_a_resize_of_nothing_is_not_found(provider: RestProvider) -> None:
    with pytest.raises(InstanceNotFound, match="hw-999999999"):
        provider.resize_instance("hw-999999999", "ssd-2")


@pytest.mark.parametrize("count", [1, None])
def test_a_resize_cut_after_the_act_is_looked_for_and_not_ordered_again(
    provider: RestProvider,
    simulator: SimulatorProcess,
    provider_id: str,
    caplog: pytest.LogCaptureFixture,
    count: int | None,
) -> None:
    simulator.add_fault("cut_after_act", method="POST", count=count)
    provider.resize_instance(provider_id, "ssd-2")
    assert f"instance {provider_id} is resized to ssd-2 after a lost answer" in caplog.text
    simulator.clear_faults()
    await_running(provider, provider_id)
    assert plans_of(simulator, provider_id) == ["ssd-1", "ssd-2"]


def test_a_resize_is_asked_for_again_after_a_500_that_did_nothing(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    simulator.add_fault("server_error", method="POST", count=2)
    provider.resize_instance(provider_id, "ssd-2")
    await_running(provider, provider_id)
    assert plans_of(simulator, provider_id) == ["ssd-1", "ssd-2"]


def test_a_resize_carried_out_after_its_time_out_is_one_resize(
    provider: RestProvider, simulator: SimulatorProcess, connect: Connect, provider_id: str
) -> None:
    hasty = connect(simulator.url, timeout_seconds=0.3, attempts=8)
    simulator.add_fault("latency", seconds=0.8, method="POST", count=1)
    hasty.resize_instance(provider_id, "ssd-2")
    # The first request is still on its way, and is refused as busy or unchanged when it arrives.
    time.sleep(1)
    await_running(provider, provider_id)
    assert plans_of(simulator, provider_id) == ["ssd-1", "ssd-2"]


def test_a_resize_held_off_is_waited_with(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    simulator.add_fault("rate_limit", seconds=0, method="POST", count=2)
    provider.resize_instance(provider_id, "ssd-2")
    assert provider.get_instance(provider_id).status is InstanceStatus.RESIZING


def test_a_resize_that_never_succeeds_has_an_unknown_outcome(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    simulator.add_fault("server_error", method="POST")
    with pytest.raises(OutcomeUnknown, match=rf"Asked 3 times for ssd-2 of {provider_id}"):
        provider.resize_instance(provider_id, "ssd-2")
    assert provider.get_instance(provider_id).plan == "ssd-1"


def test_a_look_that_fails_leaves_the_outcome_unknown(
    simulator: SimulatorProcess, connect: Connect, provider_id: str
) -> None:
    simulator.add_fault("cut_after_act", method="POST", count=1)
    simulator.add_fault("server_error", method="GET")
    with pytest.raises(OutcomeUnknown, match=r"The look at hw-\d+ failed too"):
        connect(simulator.url, attempts=2).resize_instance(provider_id, "ssd-2")


def test_a_refusal_after_a_lost_answer_is_not_taken_for_nothing_done(
    provider: RestProvider, simulator: SimulatorProcess, provider_id: str
) -> None:
    simulator.add_fault("server_error", method="POST", count=1)
    with pytest.raises(OutcomeUnknown, match="unknown_plan"):
        provider.resize_instance(provider_id, "ssd-99")


def test_a_provider_that_is_not_there_changed_nothing(connect: Connect) -> None:
    with pytest.raises(ProviderUnavailable, match="no connection") as caught:
        connect(f"http://127.0.0.1:{free_port()}").resize_instance("hw-1", "ssd-2")
    assert not isinstance(caught.value, OutcomeUnknown)
