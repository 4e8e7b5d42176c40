"""What every `NodeProvider` must do, over real HTTP against the simulated Hostwind."""

import time
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network
from uuid import uuid4

import pytest

from penguin_infra.hostwind import rest
from penguin_infra.hostwind.provider import (
    Instance,
    InstanceNotFound,
    InstanceStatus,
    NodeProvider,
    ProviderAuthFailed,
    ProviderRefused,
)
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.simulator_process import SimulatorProcess


def wait_until_running(provider: NodeProvider, provider_id: str) -> Instance:
    while (instance := provider.get_instance(provider_id)).status is not InstanceStatus.RUNNING:
        time.sleep(0.05)
    return instance


def test_a_created_instance_is_what_was_asked_for(provider: NodeProvider, label: str) -> None:
    instance = provider.create_instance(label=label, region="dallas", plan="ssd-2")
    assert (instance.label, instance.region, instance.plan) == (label, "dallas", "ssd-2")
    assert instance.created_at.tzinfo is not None


def test_an_instance_boots_and_then_has_an_address(provider: NodeProvider, label: str) -> None:
    instance = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    assert instance.status is InstanceStatus.PROVISIONING
    assert instance.ip_address is None
    assert wait_until_running(provider, instance.provider_id).ip_address in IPv4Network("127.77.0.0/16")


def test_the_ssh_keys_reach_the_provider(provider: NodeProvider, simulator: SimulatorProcess, label: str) -> None:
    instance = provider.create_instance(label=label, region="seattle", plan="ssd-1", ssh_keys=["ssh-ed25519 AAAA one"])
    shown = simulator.ask("GET", f"/lab/instances/{instance.provider_id}").json()
    assert (shown["ssh_keys"], shown["image"]) == (["ssh-ed25519 AAAA one"], "ubuntu-22.04")


def test_a_repeated_creation_returns_the_first_instance(provider: NodeProvider, label: str) -> None:
    first = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    again = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    assert again.provider_id == first.provider_id
    assert len(provider.find_instances(label)) == 1


def test_a_label_is_found_exactly(provider: NodeProvider, label: str) -> None:
    provider.create_instance(label=f"{label}-longer", region="seattle", plan="ssd-1")
    instance = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    assert [found.provider_id for found in provider.find_instances(label)] == [instance.provider_id]


def test_of_several_with_one_label_the_oldest_is_adopted(
    provider: NodeProvider, simulator: SimulatorProcess, label: str
) -> None:
    body = {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}
    ids = [simulator.ask("POST", "/instances", body=body).json()["id"] for _ in range(3)]
    assert [found.provider_id for found in provider.find_instances(label)] == ids
    assert provider.create_instance(label=label, region="seattle", plan="ssd-1").provider_id == ids[0]


def test_the_list_is_followed_to_its_last_page(
    provider: NodeProvider, label: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = [
        provider.create_instance(label=f"{label}-{number}", region="seattle", plan="ssd-1").provider_id
        for number in range(5)
    ]
    monkeypatch.setattr(rest, "PAGE_SIZE", 2)
    listed = [instance.provider_id for instance in provider.list_instances()]
    assert set(made) <= set(listed)
    assert len(listed) == len(set(listed))


def test_a_deleted_instance_is_gone(provider: NodeProvider, label: str) -> None:
    instance = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    provider.delete_instance(instance.provider_id)
    assert provider.find_instances(label) == []
    with pytest.raises(InstanceNotFound, match=instance.provider_id):
        provider.get_instance(instance.provider_id)


def test_a_second_deletion_counts_as_done(provider: NodeProvider, label: str) -> None:
    instance = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    provider.delete_instance(instance.provider_id)
    provider.delete_instance(instance.provider_id)


def test_a_reboot_reaches_the_instance_and_no_other(
    provider: NodeProvider, simulator: SimulatorProcess, label: str
) -> None:
    asked, other = (
        provider.create_instance(label=f"{label}-{name}", region="seattle", plan="ssd-1").provider_id
        for name in ("asked", "other")
    )
    wait_until_running(provider, asked)
    provider.reboot_instance(asked)
    reboots = [simulator.ask("GET", f"/lab/instances/{each}").json()["reboots"] for each in (asked, other)]
    assert reboots == [1, 0]


def test_a_reboot_of_nothing_is_not_found(provider: NodeProvider) -> None:
    with pytest.raises(InstanceNotFound, match="hw-999999999"):
        provider.reboot_instance("hw-999999999")


def test_a_reverse_name_reaches_the_instance_and_may_be_changed(
    provider: NodeProvider, simulator: SimulatorProcess, label: str
) -> None:
    provider_id = provider.create_instance(label=label, region="seattle", plan="ssd-1").provider_id
    ip_address = wait_until_running(provider, provider_id).ip_address
    assert ip_address is not None
    for hostname in ("n1.nodes.lab.test", "n2.nodes.lab.test"):
        provider.set_reverse_name(provider_id, ip_address, hostname)
        shown = simulator.ask("GET", f"/lab/instances/{provider_id}").json()
        assert shown["rdns"] == {str(ip_address): hostname}


def test_a_reverse_name_of_another_address_is_refused_by_name(provider: NodeProvider, label: str) -> None:
    provider_id = provider.create_instance(label=label, region="seattle", plan="ssd-1").provider_id
    wait_until_running(provider, provider_id)
    with pytest.raises(ProviderRefused) as caught:
        provider.set_reverse_name(provider_id, IPv4Address("127.77.255.9"), "n1.nodes.lab.test")
    assert caught.value.code == "invalid_ip"


def test_a_reverse_name_of_nothing_is_not_found(provider: NodeProvider) -> None:
    with pytest.raises(InstanceNotFound, match="hw-999999999"):
        provider.set_reverse_name("hw-999999999", IPv4Address("127.77.0.1"), "n1.nodes.lab.test")


@pytest.mark.parametrize("provider_id", ["hw-999999999", "no such", "../plans", "hw-1/../../plans", "hw-1?x=1"])
def test_an_unknown_instance_is_not_found(provider: NodeProvider, provider_id: str) -> None:
    with pytest.raises(InstanceNotFound):
        provider.get_instance(provider_id)


@pytest.mark.parametrize("provider_id", ["", ".", ".."])
def test_an_id_that_would_name_another_resource_is_refused(provider: NodeProvider, provider_id: str) -> None:
    with pytest.raises(ProviderRefused):
        provider.delete_instance(provider_id)


def test_plans_carry_exact_prices(provider: NodeProvider) -> None:
    plans = {plan.plan: plan for plan in provider.list_plans()}
    small = plans["ssd-1"]
    assert (small.cpu_count, small.memory_mb, small.disk_gb, small.transfer_gb) == (1, 1024, 30, 1000)
    assert (small.monthly_usd, small.hourly_usd) == (Decimal("4.99"), Decimal("0.006931"))
    assert plans["ssd-2"].monthly_usd == Decimal("9.99")


def test_an_unknown_plan_is_refused_by_name(provider: NodeProvider, label: str) -> None:
    with pytest.raises(ProviderRefused, match="ssd-99") as caught:
        provider.create_instance(label=label, region="seattle", plan="ssd-99")
    assert (caught.value.code, caught.value.field) == ("unknown_plan", "plan")


def test_an_unknown_region_is_refused_by_name(provider: NodeProvider, label: str) -> None:
    with pytest.raises(ProviderRefused, match="atlantis") as caught:
        provider.create_instance(label=label, region="atlantis", plan="ssd-1")
    assert (caught.value.code, caught.value.field) == ("unknown_region", "region")


def test_an_invalid_label_is_refused_by_name(provider: NodeProvider) -> None:
    with pytest.raises(ProviderRefused) as caught:
        provider.create_instance(label=f"under_score {uuid4()}", region="seattle", plan="ssd-1")
    assert caught.value.field == "label"


def test_wrong_credentials_name_their_settings(simulator: SimulatorProcess, connect: Connect) -> None:
    with pytest.raises(ProviderAuthFailed, match="HOSTWIND_API_KEY and HOSTWIND_API_SECRET"):
        connect(simulator.url, secret="wrong").list_instances()
