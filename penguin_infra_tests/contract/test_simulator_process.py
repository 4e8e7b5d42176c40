"""The simulator as a process: what survives a kill, and when it refuses to start."""

from pathlib import Path

import pytest

from penguin_infra.lab.hostwind_simulator import SimulatorNotStarted, serve_hostwind
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, running_simulator


def body(label: str) -> dict[str, object]:
    return {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}


def create(simulator: SimulatorProcess, number: int) -> dict[str, object]:
    key = {"Idempotency-Key": f"k{number}"}
    created: dict[str, object] = simulator.ask("POST", "/instances", body=body(f"n{number}"), headers=key).json()
    return created


def test_a_kill_loses_no_acknowledged_instance_and_no_key(tmp_path: Path) -> None:
    with running_simulator(tmp_path, boot_seconds=0) as simulator:
        made = [create(simulator, number) for number in range(4)]
        simulator.ask("DELETE", f"/instances/{made[0]['id']}")
        addresses = [instance["ip"] for instance in simulator.instances()]
        # Nothing but the kill follows the last creation: a later commit would save it too.
        made.append(create(simulator, 4))
        simulator.kill()
        simulator.start()
        assert [instance["id"] for instance in simulator.instances()] == [instance["id"] for instance in made[1:]]
        assert [instance["ip"] for instance in simulator.instances()][:-1] == addresses
        assert create(simulator, 4)["id"] == made[4]["id"]
        # The deleted one's id and address are not given to another.
        new = simulator.ask("POST", "/instances", body=body("new")).json()
        assert new["id"] not in {instance["id"] for instance in made}


def test_a_taken_port_is_named(simulator: SimulatorProcess, tmp_path: Path) -> None:
    with pytest.raises(SimulatorNotStarted, match=rf"127.0.0.1:{simulator.port}: another process holds it"):
        serve_hostwind(
            host="127.0.0.1", port=simulator.port, directory=tmp_path, key=KEY, secret=SECRET, boot_seconds=1
        )


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1"])
def test_only_a_loopback_address_is_served(tmp_path: Path, host: str) -> None:
    with pytest.raises(SimulatorNotStarted, match="loopback"):
        serve_hostwind(host=host, port=1, directory=tmp_path, key=KEY, secret=SECRET, boot_seconds=1)
