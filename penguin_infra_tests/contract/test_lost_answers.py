"""However an answer is lost, one request makes one instance, and nobody is told that nothing happened."""

import time
from threading import Thread

import pytest

from penguin_infra.hostwind.provider import OutcomeUnknown, ProviderUnavailable
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.simulator_process import SimulatorProcess, free_port


def create(provider: RestProvider, label: str) -> str:
    return provider.create_instance(label=label, region="seattle", plan="ssd-1").provider_id


def test_a_creation_cut_after_the_act_makes_one_instance(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    simulator.add_fault("cut_after_act", method="POST", count=1)
    provider_id = create(provider, label)
    assert simulator.faults() == []
    assert [instance["id"] for instance in simulator.instances(label)] == [provider_id]


def test_a_creation_cut_every_time_makes_one_instance(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    simulator.add_fault("cut_after_act", method="POST")
    provider_id = create(provider, label)
    assert [instance["id"] for instance in simulator.instances(label)] == [provider_id]


def test_a_reboot_whose_answer_is_lost_is_asked_for_again(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    provider_id = create(provider, label)
    while provider.get_instance(provider_id).ip_address is None:
        time.sleep(0.05)
    simulator.add_fault("cut_after_act", method="POST", count=1)
    provider.reboot_instance(provider_id)
    assert simulator.ask("GET", f"/lab/instances/{provider_id}").json()["reboots"] == 2
    simulator.add_fault("cut_after_act", method="POST")
    with pytest.raises(OutcomeUnknown):
        provider.reboot_instance(provider_id)


def test_a_reverse_name_whose_answer_is_lost_is_asked_for_again(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    provider_id = create(provider, label)
    while (ip_address := provider.get_instance(provider_id).ip_address) is None:
        time.sleep(0.05)
    simulator.add_fault("cut_after_act", method="PUT", count=1)
    provider.set_reverse_name(provider_id, ip_address, "n1.nodes.lab.test")
    assert simulator.faults() == []
    assert simulator.ask("GET", f"/lab/instances/{provider_id}").json()["rdns"] == {
        str(ip_address): "n1.nodes.lab.test"
    }
    simulator.add_fault("server_error", method="PUT")
    with pytest.raises(OutcomeUnknown):
        provider.set_reverse_name(provider_id, ip_address, "n2.nodes.lab.test")


def test_an_adoption_is_logged(
    provider: RestProvider, simulator: SimulatorProcess, label: str, caplog: pytest.LogCaptureFixture
) -> None:
    simulator.add_fault("cut_after_act", method="POST", count=1)
    provider_id = create(provider, label)
    assert f"adopted instance {provider_id} for {label}" in caplog.text


def test_a_creation_carried_out_after_its_time_out_makes_one_instance(
    simulator: SimulatorProcess, connect: Connect, label: str
) -> None:
    patient = connect(simulator.url)
    hasty = connect(simulator.url, timeout_seconds=0.3, attempts=8)
    simulator.add_fault("latency", seconds=1.2, method="POST", path_prefix="/instances", count=1)
    provider_id = create(hasty, label)
    # The first request is still on its way: it is carried out after the second one, under the same key.
    time.sleep(1.3)
    assert [instance.provider_id for instance in patient.find_instances(label)] == [provider_id]


def test_two_who_create_the_same_label_at_once_get_one_instance(
    simulator: SimulatorProcess, connect: Connect, label: str
) -> None:
    # Both look before either creates: only the idempotency key can tell them apart.
    simulator.add_fault("latency", seconds=0.5, method="POST", count=2)
    made: list[str] = []
    threads = [Thread(target=lambda: made.append(create(connect(simulator.url), label))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [instance["id"] for instance in simulator.instances(label)] == [made[0]]
    assert made[0] == made[1]


def test_a_creation_is_asked_for_again_after_a_500(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    simulator.add_fault("server_error", method="POST", count=2)
    provider_id = create(provider, label)
    assert [instance["id"] for instance in simulator.instances(label)] == [provider_id]


def test_a_creation_that_never_succeeds_has_an_unknown_outcome(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    simulator.add_fault("server_error", method="POST")
    with pytest.raises(OutcomeUnknown, match=rf"POST /instances at 127.0.0.1 answered 500.*{label}.*later"):
        create(provider, label)


def test_a_creation_whose_looks_fail_has_an_unknown_outcome_and_a_repeat_adopts(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    simulator.add_fault("cut_after_act", method="POST", count=1)
    simulator.add_fault("latency", seconds=0.3, method="POST", count=1)
    looks_failed = Thread(target=_break_looks_after_the_first, args=(simulator,))
    looks_failed.start()
    with pytest.raises(OutcomeUnknown, match=r"look.*failed too"):
        create(provider, label)
    looks_failed.join()
    simulator.clear_faults()
    assert [instance["id"] for instance in simulator.instances(label)] == [create(provider, label)]


def _break_looks_after_the_first(simulator: SimulatorProcess) -> None:
    # The POST is under way once its faults are used up; its latency leaves the time to break the look that follows.
    while simulator.faults():
        time.sleep(0.02)
    simulator.add_fault("server_error", method="GET")


def test_a_refusal_after_a_lost_answer_is_not_taken_for_nothing_done(
    simulator: SimulatorProcess, connect: Connect, label: str
) -> None:
    # Whatever became of the first request may be the very reason why the second one is refused.
    simulator.add_fault("server_error", method="POST", count=1)
    with pytest.raises(OutcomeUnknown, match="unknown_plan"):
        connect(simulator.url).create_instance(label=label, region="seattle", plan="ssd-99")


def test_a_deletion_cut_after_the_act_is_done(provider: RestProvider, simulator: SimulatorProcess, label: str) -> None:
    provider_id = create(provider, label)
    simulator.add_fault("cut_after_act", method="DELETE", count=1)
    provider.delete_instance(provider_id)
    assert simulator.instances(label) == []


def test_a_deletion_without_an_answer_has_an_unknown_outcome(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    provider_id = create(provider, label)
    simulator.add_fault("server_error", method="DELETE")
    with pytest.raises(OutcomeUnknown):
        provider.delete_instance(provider_id)


def test_a_deletion_cut_and_then_held_off_has_an_unknown_outcome(
    provider: RestProvider, simulator: SimulatorProcess, label: str
) -> None:
    provider_id = create(provider, label)
    simulator.add_fault("cut_after_act", method="DELETE", count=1)
    simulator.add_fault("latency", seconds=0.3, method="DELETE", count=1)
    held_off = Thread(target=_hold_off_deletions, args=(simulator,))
    held_off.start()
    with pytest.raises(OutcomeUnknown, match="429"):
        provider.delete_instance(provider_id)
    held_off.join()


def _hold_off_deletions(simulator: SimulatorProcess) -> None:
    while simulator.faults():
        time.sleep(0.02)
    simulator.add_fault("rate_limit", seconds=0, method="DELETE")


def test_a_provider_that_is_not_there_changed_nothing(connect: Connect, label: str) -> None:
    with pytest.raises(ProviderUnavailable, match="no connection") as caught:
        create(connect(f"http://127.0.0.1:{free_port()}"), label)
    assert not isinstance(caught.value, OutcomeUnknown)
