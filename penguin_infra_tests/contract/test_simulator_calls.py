"""The simulated Hostwind held to the written contract, field by field, with raw HTTP (reference: hostwind-api.md)."""

import time
from datetime import datetime
from ipaddress import IPv4Address, IPv4Network

import httpx
import pytest

from penguin_infra_tests.simulator_process import KEY, SimulatorProcess

FIELDS = {"id", "label", "region", "plan", "status", "ip", "created_at"}


def asked_for(wanted: str, **changes: object) -> dict[str, object]:
    body = {"label": wanted, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}
    return {**body, **changes}


def create(simulator: SimulatorProcess, label: str) -> dict[str, object]:
    created: dict[str, object] = simulator.ask("POST", "/instances", body=asked_for(label)).json()
    return created


def wait_for(simulator: SimulatorProcess, instance_id: object, status: str) -> dict[str, object]:
    while True:
        shown: dict[str, object] = simulator.ask("GET", f"/instances/{instance_id}/status").json()
        if shown["status"] == status:
            return shown
        time.sleep(0.05)


def create_running(simulator: SimulatorProcess, label: str) -> dict[str, object]:
    return wait_for(simulator, create(simulator, label)["id"], "running")


def refused(response: httpx.Response) -> tuple[int, str]:
    """The status and code of an answer in the contract's error shape, and in no other."""
    body = response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"code", "message"}
    return response.status_code, body["error"]["code"]


def test_a_creation_is_accepted_and_provisions(simulator: SimulatorProcess, label: str) -> None:
    response = simulator.ask("POST", "/instances", body=asked_for(label, region="amsterdam", plan="ssd-2"))
    created = response.json()
    assert response.status_code == 202
    assert set(created) == FIELDS
    assert (created["label"], created["region"], created["plan"]) == (label, "amsterdam", "ssd-2")
    assert (created["status"], created["ip"]) == ("provisioning", None)
    assert datetime.fromisoformat(created["created_at"]).tzinfo is not None


def test_a_booted_instance_shows_a_loopback_address_of_its_own(simulator: SimulatorProcess, label: str) -> None:
    one, other = create(simulator, label), create(simulator, label)
    addresses = {wait_for(simulator, instance["id"], "running")["ip"] for instance in (one, other)}
    assert len(addresses) == 2
    assert all(IPv4Address(str(address)) in IPv4Network("127.77.0.0/16") for address in addresses)


def test_the_list_is_paged(simulator: SimulatorProcess, label: str) -> None:
    made = [create(simulator, label)["id"] for _ in range(3)]
    first = simulator.ask("GET", "/instances?page=1&per_page=2").json()
    assert set(first) == {"instances", "next_page"}
    assert (len(first["instances"]), first["next_page"]) == (2, 2)
    assert set(first["instances"][0]) == FIELDS
    assert {instance["id"] for instance in simulator.instances(label)} == set(made)


@pytest.mark.parametrize("query", ["page=0", "page=x", "per_page=0", "page=-1"])
def test_a_page_that_cannot_be_is_refused(simulator: SimulatorProcess, query: str) -> None:
    assert refused(simulator.ask("GET", f"/instances?{query}"))[0] == 422


def test_a_resize_takes_its_time_and_then_has_the_plan(simulator: SimulatorProcess, label: str) -> None:
    instance = create_running(simulator, label)
    response = simulator.ask("POST", f"/instances/{instance['id']}/resize", body={"plan": "ssd-2"})
    assert (response.status_code, set(response.json())) == (202, FIELDS)
    assert (response.json()["status"], response.json()["plan"]) == ("resizing", "ssd-1")
    resized = wait_for(simulator, instance["id"], "running")
    assert (resized["plan"], resized["ip"]) == ("ssd-2", instance["ip"])


def test_a_resize_to_an_unknown_plan_is_refused(simulator: SimulatorProcess, label: str) -> None:
    instance = create_running(simulator, label)
    response = simulator.ask("POST", f"/instances/{instance['id']}/resize", body={"plan": "ssd-99"})
    assert refused(response) == (422, "unknown_plan")


@pytest.mark.parametrize("act", [("POST", "resize"), ("POST", "reboot"), ("PUT", "rdns")])
def test_an_instance_that_is_not_running_is_busy(simulator: SimulatorProcess, label: str, act: tuple[str, str]) -> None:
    simulator.add_fault("no_address", count=1)
    instance = create(simulator, label)
    response = simulator.ask(act[0], f"/instances/{instance['id']}/{act[1]}", body={"plan": "ssd-2"})
    assert refused(response) == (409, "instance_busy")


def test_a_reboot_is_accepted_and_counted(simulator: SimulatorProcess, label: str) -> None:
    instance = create_running(simulator, label)
    assert simulator.ask("POST", f"/instances/{instance['id']}/reboot").status_code == 202
    assert simulator.ask("GET", f"/lab/instances/{instance['id']}").json()["reboots"] == 1


def test_reverse_dns_is_stored(simulator: SimulatorProcess, label: str) -> None:
    instance = create_running(simulator, label)
    body = {"ip": instance["ip"], "hostname": "mail1.example.net"}
    assert simulator.ask("PUT", f"/instances/{instance['id']}/rdns", body=body).status_code == 200
    shown = simulator.ask("GET", f"/lab/instances/{instance['id']}").json()
    assert shown["rdns"] == {instance["ip"]: "mail1.example.net"}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"ip": "127.77.255.9"}, "invalid_ip"),
        ({"hostname": "no dots"}, "invalid_hostname"),
        ({"hostname": None}, "invalid_hostname"),
    ],
)
def test_reverse_dns_that_cannot_be_is_refused(
    simulator: SimulatorProcess, label: str, changes: dict[str, object], code: str
) -> None:
    instance = create_running(simulator, label)
    body = {"ip": instance["ip"], "hostname": "mail1.example.net", **changes}
    assert refused(simulator.ask("PUT", f"/instances/{instance['id']}/rdns", body=body)) == (422, code)


def test_a_second_deletion_finds_nothing(simulator: SimulatorProcess, label: str) -> None:
    path = f"/instances/{create(simulator, label)['id']}"
    assert simulator.ask("DELETE", path).status_code == 202
    assert refused(simulator.ask("DELETE", path)) == (404, "instance_not_found")
    assert refused(simulator.ask("GET", f"{path}/status")) == (404, "instance_not_found")


def test_plans_are_the_contracts(simulator: SimulatorProcess) -> None:
    response = simulator.ask("GET", "/plans")
    assert response.status_code == 200
    assert response.json()["plans"][:2] == [
        {
            "id": "ssd-1",
            "cpu": 1,
            "memory_mb": 1024,
            "disk_gb": 30,
            "transfer_gb": 1000,
            "monthly_usd": "4.99",
            "hourly_usd": "0.006931",
        },
        {
            "id": "ssd-2",
            "cpu": 1,
            "memory_mb": 2048,
            "disk_gb": 50,
            "transfer_gb": 2000,
            "monthly_usd": "9.99",
            "hourly_usd": "0.013875",
        },
    ]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"plan": "ssd-99"}, "unknown_plan"),
        ({"plan": None}, "unknown_plan"),
        ({"region": "atlantis"}, "unknown_region"),
        ({"image": "windows"}, "unknown_image"),
        ({"label": ""}, "invalid_label"),
        ({"label": "with spaces"}, "invalid_label"),
        ({"label": 7}, "invalid_label"),
        ({"ssh_keys": "one"}, "invalid_ssh_keys"),
    ],
)
def test_a_creation_that_cannot_be_is_refused(
    simulator: SimulatorProcess, label: str, changes: dict[str, object], code: str
) -> None:
    assert refused(simulator.ask("POST", "/instances", body=asked_for(label, **changes))) == (422, code)


def test_a_body_that_is_no_object_is_refused(simulator: SimulatorProcess) -> None:
    assert refused(simulator.ask("POST", "/instances", body=[])) == (400, "invalid_json")


def test_one_idempotency_key_makes_one_instance(simulator: SimulatorProcess, label: str) -> None:
    key = {"Idempotency-Key": f"key-{label}"}
    first = simulator.ask("POST", "/instances", body=asked_for(label), headers=key)
    again = simulator.ask("POST", "/instances", body=asked_for(label), headers=key)
    assert (again.status_code, again.json()["id"]) == (202, first.json()["id"])
    assert len(simulator.instances(label)) == 1


def test_an_idempotency_key_with_another_request_is_refused(simulator: SimulatorProcess, label: str) -> None:
    key = {"Idempotency-Key": f"key-{label}"}
    simulator.ask("POST", "/instances", body=asked_for(label), headers=key)
    response = simulator.ask("POST", "/instances", body=asked_for(label, plan="ssd-2"), headers=key)
    assert refused(response) == (422, "idempotency_key_reused")


def test_an_idempotency_key_does_not_bring_back_the_deleted(simulator: SimulatorProcess, label: str) -> None:
    key = {"Idempotency-Key": f"key-{label}"}
    created = simulator.ask("POST", "/instances", body=asked_for(label), headers=key).json()
    simulator.ask("DELETE", f"/instances/{created['id']}")
    response = simulator.ask("POST", "/instances", body=asked_for(label), headers=key)
    assert refused(response) == (409, "idempotency_key_spent")


def test_without_a_key_one_label_may_be_used_twice(simulator: SimulatorProcess, label: str) -> None:
    assert create(simulator, label)["id"] != create(simulator, label)["id"]


@pytest.mark.parametrize("auth", [None, (KEY, "wrong"), ("wrong", "wrong"), ("", "")])
@pytest.mark.parametrize("path", ["/instances", "/lab/faults", "/nowhere"])
def test_wrong_credentials_are_refused(simulator: SimulatorProcess, path: str, auth: tuple[str, str] | None) -> None:
    assert refused(httpx.get(simulator.url + path, auth=auth, trust_env=False)) == (401, "unauthorized")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/nowhere", 404), ("GET", "/instances/hw-1", 405), ("PATCH", "/instances", 405)],
)
def test_an_unknown_route_is_refused_in_the_contracts_shape(
    simulator: SimulatorProcess, method: str, path: str, status: int
) -> None:
    assert refused(simulator.ask(method, path)) == (status, "unknown_route")


def test_the_bill_counts_started_hours_of_deleted_instances_too(simulator: SimulatorProcess, label: str) -> None:
    instance = create(simulator, label)
    simulator.ask("DELETE", f"/instances/{instance['id']}")
    lines = simulator.bill()["instances"]
    assert isinstance(lines, list)
    line = next(line for line in lines if line["id"] == instance["id"])
    assert (line["hours"], line["amount_usd"], line["plan"]) == (1, "0.006931", "ssd-1")
    assert line["deleted_at"]
