"""What is repeated and how long is waited: only what can change nothing twice, and as long as the provider says."""

import json
import time
from collections import Counter

import pytest

from penguin_infra.hostwind.provider import InstanceStatus, ProviderUnavailable
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.scripted_server import Answer, Asked, scripted_server
from penguin_infra_tests.simulator_process import SimulatorProcess

NO_PLANS = Answer(200, json.dumps({"plans": []}))
SERVER_ERROR = Answer(500, json.dumps({"error": {"code": "internal_error", "message": "broken"}}))


def test_a_read_is_repeated_after_a_500(provider: RestProvider, simulator: SimulatorProcess) -> None:
    simulator.add_fault("server_error", method="GET", count=3)
    assert provider.list_plans()


def test_a_read_is_given_up_after_so_many_attempts(connect: Connect) -> None:
    with scripted_server(lambda _: SERVER_ERROR) as server:
        with pytest.raises(ProviderUnavailable, match=r"GET /plans at 127.0.0.1 answered 500 .*internal_error"):
            connect(server.url, attempts=3).list_plans()
        assert len(server.asked) == 3


def test_a_read_is_repeated_after_its_time_out(simulator: SimulatorProcess, connect: Connect) -> None:
    simulator.add_fault("latency", seconds=3, method="GET", path_prefix="/plans", count=1)
    assert connect(simulator.url, timeout_seconds=0.3, attempts=8).list_plans()


def test_a_read_that_always_times_out_is_unavailable(simulator: SimulatorProcess, connect: Connect) -> None:
    simulator.add_fault("latency", seconds=3, method="GET")
    with pytest.raises(ProviderUnavailable, match="ReadTimeout"):
        connect(simulator.url, timeout_seconds=0.1, attempts=2).list_plans()


def test_a_refusal_is_not_repeated(connect: Connect) -> None:
    refusal = Answer(422, json.dumps({"error": {"code": "unknown_plan", "message": "no"}}))
    with scripted_server(
        lambda asked: Answer(200, '{"instances": [], "next_page": null}') if asked.method == "GET" else refusal
    ) as server:
        with pytest.raises(Exception, match="unknown_plan"):
            connect(server.url).create_instance(label="once", region="seattle", plan="ssd-1")
        assert Counter(asked.method for asked in server.asked) == {"GET": 1, "POST": 1}


def test_a_creation_is_never_repeated_without_a_look_between(connect: Connect) -> None:
    with scripted_server(
        lambda asked: Answer(200, '{"instances": [], "next_page": null}') if asked.method == "GET" else SERVER_ERROR
    ) as server:
        with pytest.raises(ProviderUnavailable):
            connect(server.url).create_instance(label="once", region="seattle", plan="ssd-1")
        methods = "".join(asked.method[0] for asked in server.asked)
        assert methods.count("P") > 1
        assert "PP" not in methods
        posts = [asked for asked in server.asked if asked.method == "POST"]
        assert len({post.headers["idempotency-key"] for post in posts}) == 1


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_retry_after_is_waited_for(
    simulator: SimulatorProcess, provider: RestProvider, label: str, method: str
) -> None:
    simulator.add_fault("rate_limit", seconds=1, method=method, count=1)
    began = time.monotonic()
    provider.create_instance(label=label, region="seattle", plan="ssd-1")
    assert time.monotonic() - began >= 1
    assert len(simulator.instances(label)) == 1


def _gap_after(first: Answer, connect: Connect, **options: object) -> float:
    arrived: list[float] = []

    def answer(_: Asked) -> Answer:
        arrived.append(time.monotonic())
        return first if len(arrived) == 1 else NO_PLANS

    with scripted_server(answer) as server:
        connect(server.url, **options).list_plans()
    return arrived[1] - arrived[0]


def test_a_retry_after_may_be_a_date_by_the_providers_own_clock(connect: Connect) -> None:
    # Both dates are long past: this machine's clock must not matter.
    dates = {"Retry-After": "Tue, 24 Nov 2020 10:00:02 GMT", "Date": "Tue, 24 Nov 2020 10:00:01 GMT"}
    assert _gap_after(Answer(429, "{}", dates), connect) >= 1


def test_a_retry_after_beyond_the_longest_wait_is_cut_short(connect: Connect) -> None:
    gap = _gap_after(Answer(429, "{}", {"Retry-After": "86400"}), connect, longest_wait_seconds=0.3)
    assert 0.3 <= gap < 86400


def test_a_429_that_outlasts_the_repeats_says_what_to_lower(connect: Connect) -> None:
    with (
        scripted_server(lambda _: Answer(429, "{}", {"Retry-After": "0"})) as server,
        pytest.raises(ProviderUnavailable, match="HOSTWIND_REQUESTS_PER_SECOND"),
    ):
        connect(server.url).list_plans()


def test_all_calls_share_one_pace(simulator: SimulatorProcess, connect: Connect) -> None:
    provider = connect(simulator.url, requests_per_second=4)
    began = time.monotonic()
    for call in (provider.list_plans, provider.list_instances, provider.list_plans) * 2:
        call()
    # No more than four in any second; the limiter counts in whole milliseconds.
    assert time.monotonic() - began >= 0.99


def test_an_instance_that_never_gets_an_address_stays_in_provisioning(
    simulator: SimulatorProcess, provider: RestProvider, label: str
) -> None:
    simulator.add_fault("no_address", count=1)
    stuck = provider.create_instance(label=label, region="seattle", plan="ssd-1")
    sound = provider.create_instance(label=f"{label}-sound", region="seattle", plan="ssd-1")
    while provider.get_instance(sound.provider_id).ip_address is None:
        time.sleep(0.05)
    # It was asked for first, so that it would have booted first.
    assert provider.get_instance(stuck.provider_id).status is InstanceStatus.PROVISIONING
    assert provider.get_instance(stuck.provider_id).ip_address is None
