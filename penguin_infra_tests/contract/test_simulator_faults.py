"""The simulator's faults do what they say, to the requests they are meant for, as often as they were told."""

import socket
from base64 import b64encode

import httpx
import pytest

from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess

BODY = '{{"label": "{label}", "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04", "ssh_keys": []}}'


def test_a_cut_connection_carries_not_one_byte_back(simulator: SimulatorProcess, label: str) -> None:
    simulator.add_fault("cut_after_act", count=1)
    body = BODY.format(label=label)
    request = (
        f"POST /instances HTTP/1.1\r\nHost: lab\r\nContent-Length: {len(body)}\r\n"
        f"Authorization: Basic {b64encode(f'{KEY}:{SECRET}'.encode()).decode()}\r\n\r\n{body}"
    )
    with socket.create_connection(("127.0.0.1", simulator.port), timeout=30) as connection:
        connection.sendall(request.encode())
        try:
            received = connection.recv(1)
        except ConnectionResetError:
            received = b""
    assert received == b""
    assert len(simulator.instances(label)) == 1


def test_a_rate_limit_says_when_to_come_back_and_does_nothing(simulator: SimulatorProcess, label: str) -> None:
    simulator.add_fault("rate_limit", seconds=2.5, count=1)
    response = simulator.ask("POST", "/instances", body={"label": label})
    assert (response.status_code, response.headers["Retry-After"]) == (429, "3")
    assert response.json()["error"]["code"] == "rate_limited"


def test_a_server_error_does_nothing(simulator: SimulatorProcess, label: str) -> None:
    simulator.add_fault("server_error", count=1)
    body = {"label": label, "region": "seattle", "plan": "ssd-1", "image": "ubuntu-22.04"}
    assert simulator.ask("POST", "/instances", body=body).status_code == 500
    assert simulator.instances(label) == []


def test_a_page_comes_as_a_success(simulator: SimulatorProcess) -> None:
    simulator.add_fault("html", count=1)
    response = simulator.ask("GET", "/instances")
    assert (response.status_code, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")


def test_latency_outlasts_a_short_time_out(simulator: SimulatorProcess) -> None:
    simulator.add_fault("latency", seconds=1, count=1)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{simulator.url}/plans", auth=(KEY, SECRET), timeout=0.2, trust_env=False)


def test_a_fault_meets_so_many_requests(simulator: SimulatorProcess) -> None:
    simulator.add_fault("server_error", count=2)
    assert [simulator.ask("GET", "/plans").status_code for _ in range(3)] == [500, 500, 200]


def test_a_fault_without_a_count_lasts_until_it_is_cleared(simulator: SimulatorProcess) -> None:
    simulator.add_fault("server_error")
    assert [simulator.ask("GET", "/plans").status_code for _ in range(3)] == [500, 500, 500]
    simulator.clear_faults()
    assert simulator.ask("GET", "/plans").status_code == 200


def test_a_fault_keeps_to_its_method_and_path(simulator: SimulatorProcess) -> None:
    simulator.add_fault("server_error", method="get", path_prefix="/plans")
    assert simulator.ask("GET", "/instances").status_code == 200
    assert simulator.ask("POST", "/plans").status_code == 405
    assert simulator.ask("GET", "/plans").status_code == 500


def test_the_labs_own_calls_meet_no_fault(simulator: SimulatorProcess) -> None:
    simulator.add_fault("server_error")
    assert simulator.faults()
    assert simulator.bill()


def test_faults_in_force_are_listed_with_what_is_left(simulator: SimulatorProcess) -> None:
    simulator.add_fault("latency", seconds=0.01, count=2, path_prefix="/plans")
    simulator.ask("GET", "/plans")
    [fault] = simulator.faults()
    assert (fault["kind"], fault["count"], fault["path_prefix"], fault["seconds"]) == ("latency", 1, "/plans", 0.01)


@pytest.mark.parametrize(
    "asked",
    [
        {"kind": "earthquake"},
        {"kind": ["latency"]},
        {},
        [],
        {"kind": "latency", "seconds": -1},
        {"kind": "html", "count": 0},
    ],
)
def test_a_fault_that_cannot_be_is_refused(simulator: SimulatorProcess, asked: object) -> None:
    assert simulator.ask("POST", "/lab/faults", body=asked).status_code in {400, 422}
    assert simulator.faults() == []
