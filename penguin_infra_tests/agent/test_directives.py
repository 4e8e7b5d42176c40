"""What an agent does with the gateway's answers, over real HTTP."""

from datetime import UTC, datetime
from typing import Any

import pytest

from penguin_infra.agent.agent import AgentConfig, Ended
from penguin_infra_tests.agent.conftest import PlainMta, ShiftedClock, StartAgent
from penguin_infra_tests.agent.log_writer import append, delivery
from penguin_infra_tests.agent.stub_gateway import Reply, StubGateway, wait_until


def directive(version: int, transport: str = "release", **more: Any) -> dict[str, Any]:
    return {"version": version, "transport": transport, **more}


def last(gateway: StubGateway, name: str) -> Any:
    return gateway.heartbeats[-1][name] if gateway.heartbeats else None


def test_without_a_directive_the_transport_is_left_alone(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta = PlainMta(held=True)
    start(config, mta=mta)
    wait_until(lambda: len(gateway.heartbeats) >= 3)
    assert mta.calls == []
    assert last(gateway, "transport") == "held"


def test_a_hold_and_a_release_are_carried_out_and_reported(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta = PlainMta()
    gateway.directive = directive(1, "hold")
    start(config, mta=mta)
    wait_until(lambda: last(gateway, "transport") == "held" and last(gateway, "directive_version") == 1)
    gateway.directive = directive(2, "release")
    wait_until(lambda: last(gateway, "transport") == "released" and last(gateway, "directive_version") == 2)
    assert mta.calls == ["hold", "release"]


def test_an_older_directive_changes_nothing(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    mta = PlainMta()
    gateway.directive = directive(7, "hold")
    start(config, mta=mta)
    wait_until(lambda: last(gateway, "directive_version") == 7)
    gateway.directive = directive(6, "release")
    seen = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) >= seen + 3)
    assert mta.held
    assert last(gateway, "directive_version") == 7


@pytest.mark.parametrize(
    "body", [{}, [], "text", {"directive": None}, {"directive": {"version": 2, "transport": "up"}}]
)
def test_an_answer_that_is_no_directive_changes_nothing(
    config: AgentConfig, gateway: StubGateway, start: StartAgent, body: Any
) -> None:
    mta = PlainMta()
    gateway.directive = directive(1, "hold")
    start(config, mta=mta)
    wait_until(lambda: mta.held and last(gateway, "directive_version") == 1)
    gateway.answer = lambda path, told, token: Reply(body=body)
    seen = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) >= seen + 2)
    assert mta.held
    assert last(gateway, "directive_version") == 1


def test_a_directive_is_in_force_again_after_a_restart_while_the_gateway_is_away(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    gateway.directive = directive(3, "hold")
    first = start(config)
    wait_until(lambda: last(gateway, "directive_version") == 3)
    first.stop()
    gateway.answer = lambda path, body, token: Reply(503)
    mta = PlainMta()
    start(config, mta=mta)
    wait_until(lambda: mta.held)


def test_a_hold_that_fails_is_reported_as_unknown_and_tried_again(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta = PlainMta(fails=True)
    gateway.directive = directive(1, "hold")
    start(config, mta=mta)
    wait_until(lambda: last(gateway, "transport") == "unknown")
    mta.fails = False
    wait_until(lambda: last(gateway, "transport") == "held")


def test_a_hold_that_somebody_undid_on_the_node_is_done_again(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta = PlainMta()
    gateway.directive = directive(1, "hold")
    start(config, mta=mta)
    wait_until(lambda: mta.held)
    mta.held = False
    wait_until(lambda: mta.held)


def test_a_used_up_allowance_holds_until_the_next_hour(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta, clock = PlainMta(), ShiftedClock()
    # Half past, on the agent's clock: the test's own hour must not end meanwhile.
    now = datetime.now(UTC)
    clock.ahead_seconds = ((30 - now.minute) % 60) * 60.0
    gateway.directive = directive(1, hourly_allowance=3, expires_in_seconds=100_000)
    start(config, mta=mta, clock=clock)
    wait_until(lambda: last(gateway, "directive_version") == 1)
    at = datetime.fromtimestamp(clock.now(), UTC)
    append(config.mail_log, delivery(1, at=at), delivery(2, at=at))
    wait_until(lambda: gateway.total() == 2)
    assert not mta.held
    append(config.mail_log, delivery(3, at=at))
    wait_until(lambda: mta.held)
    clock.ahead_seconds += 3600
    wait_until(lambda: not mta.held)


def test_an_allowance_is_held_over_a_restart(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    gateway.directive = directive(1, daily_allowance=2, expires_in_seconds=100_000)
    clock = ShiftedClock()
    # Noon, on the agent's clock.
    clock.ahead_seconds = (12 - datetime.now(UTC).hour) * 3600.0
    at = datetime.fromtimestamp(clock.now(), UTC)
    append(config.mail_log, delivery(1, at=at), delivery(2, at=at))
    first = start(config, clock=clock)
    wait_until(lambda: gateway.total() == 2 and last(gateway, "directive_version") == 1)
    first.stop()
    mta = PlainMta()
    start(config, mta=mta, clock=clock)
    wait_until(lambda: mta.held)


def test_an_allowance_that_is_not_renewed_ends_in_a_hold(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta, clock = PlainMta(), ShiftedClock()
    gateway.directive = directive(1, hourly_allowance=100, expires_in_seconds=900)
    start(config, mta=mta, clock=clock)
    wait_until(lambda: "release" in mta.calls)
    gateway.answer = lambda path, body, token: Reply(503)
    clock.ahead_seconds = 900 * 8
    wait_until(lambda: mta.held)
    gateway.answer = None
    wait_until(lambda: not mta.held)


def test_the_mta_is_restarted_once_for_each_id(config: AgentConfig, gateway: StubGateway, start: StartAgent) -> None:
    mta = PlainMta()
    gateway.directive = directive(1, restart="mta", restart_id="r-1")
    first = start(config, mta=mta)
    wait_until(lambda: last(gateway, "restart_done_id") == "r-1")
    first.stop()
    start(config, mta=mta)
    seen = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) >= seen + 2)
    assert mta.calls.count("restart") == 1
    gateway.directive = directive(2, restart="mta", restart_id="r-2")
    wait_until(lambda: last(gateway, "restart_done_id") == "r-2")
    assert mta.calls.count("restart") == 2


def test_a_restart_that_failed_is_not_reported_as_done(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    mta = PlainMta(fails=True)
    gateway.directive = directive(1, restart="mta", restart_id="r-1")
    start(config, mta=mta)
    wait_until(lambda: "restart" in mta.calls)
    seen = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) >= seen + 2)
    assert last(gateway, "restart_done_id") is None
    assert mta.calls.count("restart") == 1


def test_the_agent_reports_its_own_restart_and_ends(
    config: AgentConfig, gateway: StubGateway, start: StartAgent
) -> None:
    gateway.directive = directive(1, restart="agent", restart_id="r-9")
    first = start(config)
    wait_until(lambda: first.ended == [Ended.RESTART])
    assert last(gateway, "restart_done_id") == "r-9"
    second = start(config)
    seen = len(gateway.heartbeats)
    wait_until(lambda: len(gateway.heartbeats) >= seen + 2)
    assert second.ended == []
