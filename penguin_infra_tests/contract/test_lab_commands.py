"""The lab's commands speak to the running simulator, and to nothing else."""

from collections.abc import Callable, Iterator

import pytest
from typer.testing import CliRunner

from penguin_infra.cli.lab_hostwind import app
from penguin_infra.settings import settings
from penguin_infra_tests.simulator_process import SECRET, SimulatorProcess, free_port
from penguin_infra_tests.waiting import until

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(simulator: SimulatorProcess, monkeypatch: pytest.MonkeyPatch) -> Iterator[Run]:
    """Run a command against the simulator, or under changed settings; its exit code and all its output."""

    def invoke(*arguments: str, **changes: str) -> tuple[int, str]:
        for name, value in {**simulator.environment, "COLUMNS": "200", **changes}.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()
        result = CliRunner().invoke(app, list(arguments))
        assert SECRET not in result.output
        return result.exit_code, result.output

    yield invoke
    settings.cache_clear()


def test_a_fault_is_set_listed_and_cleared(run: Run, simulator: SimulatorProcess) -> None:
    code, _ = run("fault", "rate_limit", "--seconds", "2", "--count", "3", "--method", "POST", "--path-prefix", "/in")
    assert code == 0
    [fault] = simulator.faults()
    fault.pop("number")
    assert fault == {"kind": "rate_limit", "seconds": 2, "count": 3, "method": "POST", "path_prefix": "/in"}
    assert "rate_limit" in run("faults")[1]
    assert run("clear-faults")[0] == 0
    assert "No faults" in run("faults")[1]


def test_the_bill_is_shown_with_its_total(run: Run, simulator: SimulatorProcess, label: str) -> None:
    body = {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}
    simulator.ask("POST", "/instances", body=body)
    code, output = run("bill")
    assert code == 0
    assert label in output
    assert f"total {simulator.bill()['total_usd']} USD" in output


def test_the_bill_is_printed_for_the_fleet_s_reconciliation(run: Run, simulator: SimulatorProcess, label: str) -> None:
    body = {"label": label, "region": "seattle", "plan": "ssd-2", "image": "ubuntu-22.04", "ssh_keys": []}
    made = simulator.ask("POST", "/instances", body=body).json()
    assert f"{made['id']},0.013875" in run("bill", "--csv")[1].splitlines()
    # A month's first hour, by the month's length.
    assert f"{made['id']},0.01" in run("bill", "--csv", "--cycle", "monthly")[1]
    assert run("bill", "--cycle", "yearly")[0] == 2


def test_the_next_address_is_told_beforehand(run: Run, simulator: SimulatorProcess, label: str) -> None:
    code, told = run("next-address")
    assert code == 0
    body = {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}
    simulator.ask("POST", "/instances", body=body)
    until("it has booted", lambda: simulator.instances(label)[0]["ip"])
    assert simulator.instances(label)[0]["ip"] == told.strip()


@pytest.mark.parametrize(
    ("option", "value"), [("--addresses", "10.0.0.1,ten"), ("--reverse-dns", "ns.example:53"), ("--reverse-dns", "53")]
)
def test_a_wrong_option_of_the_simulator_is_named(run: Run, option: str, value: str) -> None:
    code, output = run("serve-hostwind", option, value)
    assert code == 1
    assert option in output


def test_a_provider_that_is_not_the_lab_is_left_alone(run: Run) -> None:
    code, output = run("fault", "html", HOSTWIND_API_URL="https://hostwind.example.net")
    assert code == 1
    assert "not the lab" in output


def test_a_simulator_that_does_not_run_is_said_so(run: Run) -> None:
    code, output = run("bill", HOSTWIND_API_URL=f"http://127.0.0.1:{free_port()}")
    assert code == 1
    assert "penguin-infra up" in output


def test_missing_credentials_are_named(run: Run) -> None:
    code, output = run("bill", HOSTWIND_API_URL="", HOSTWIND_API_KEY="", HOSTWIND_API_SECRET="")
    assert code == 1
    assert "HOSTWIND_API_KEY" in output


def test_wrong_credentials_are_said_so(run: Run) -> None:
    code, output = run("faults", HOSTWIND_API_KEY="another")
    assert code == 1
    assert "401" in output


def test_a_second_simulator_on_the_port_is_refused(run: Run, simulator: SimulatorProcess) -> None:
    code, output = run("serve-hostwind", "--port", str(simulator.port))
    assert code == 1
    assert "another process holds it" in output
