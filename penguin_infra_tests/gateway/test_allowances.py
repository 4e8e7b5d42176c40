"""What warming nodes are told that they may send, over HTTP, and that a real agent keeps to it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

from sqlalchemy import Engine, text

from penguin_infra.agent.agent import Agent, AgentConfig
from penguin_infra.domain.node import NodeStatus
from penguin_infra.domain.sending_allowance import SendingAllowance, allowance_now
from penguin_infra.domain.warmup_state import WarmupState
from penguin_infra.gateway.directory import are_allowances_old
from penguin_infra.messages.telemetry import Directive
from penguin_infra.operations.issue_credentials import issue_agent_token
from penguin_infra.store import warmups
from penguin_infra_tests.agent.conftest import PlainMta, PlainProbes, ShiftedClock
from penguin_infra_tests.agent.log_writer import append, delivery
from penguin_infra_tests.fleets import add_node
from penguin_infra_tests.gateway.conftest import HEARTBEAT, Gateway, batch, heartbeat, until
from penguin_infra_tests.gateway.processes import GatewayProcess

ROTATION = "/api/v1/infrastructure/rotation"
DELIVERIES = "/api/v1/agents/deliveries"


def stand_at(engine: Engine, node_id: UUID, daily: int) -> None:
    now = datetime.now(UTC)
    with engine.begin() as connection:
        warmups.save_state(connection, node_id, WarmupState("cautious", daily, now), now)


def told(gateway: Gateway, node_id: UUID, token: str | None = None) -> Directive:
    return Directive.from_json(gateway.post(HEARTBEAT, token or gateway.token(node_id), heartbeat(node_id)).json())


def allowed(directive: Directive) -> tuple[int | None, int | None]:
    return directive.hourly_allowance, directive.daily_allowance


def hourly_now(daily: int) -> int:
    return allowance_now(daily, 0, 0, datetime.now(UTC)).hour


def test_a_warming_node_is_told_its_hour_and_its_day_at_once(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    stand_at(gateway.engine, node_id, 2400)
    assert allowed(told(gateway, node_id)) == (hourly_now(2400), 2400)


def test_a_node_that_is_warmed_up_has_no_limit(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine, status=NodeStatus.ACTIVE)
    stand_at(gateway.engine, node_id, 2400)
    assert allowed(told(gateway, node_id)) == (None, None)


def test_a_node_whose_warm_up_nobody_began_may_send_nothing(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    with gateway.engine.begin() as connection:
        connection.execute(text("DELETE FROM fleet.node_warmups"))
    assert allowed(told(gateway, node_id)) == (0, 0)


def test_a_step_of_warm_up_reaches_the_node_under_the_same_version(gateway: Gateway) -> None:
    node_id = add_node(gateway.engine)
    stand_at(gateway.engine, node_id, 2400)
    token = gateway.token(node_id)
    before = told(gateway, node_id, token)
    stand_at(gateway.engine, node_id, 240)

    def stepped_back() -> Directive | None:
        # As often as a node may ask.
        time.sleep(0.5)
        now = told(gateway, node_id, token)
        return now if now.daily_allowance == 240 else None

    assert until("the step back arrives", stepped_back, 25).version == before.version


def test_what_was_read_is_read_again_after_15_seconds_in_a_new_hour_and_by_a_clock_set_back() -> None:
    assert are_allowances_old(None, 7200.0)
    assert not are_allowances_old(7200.0, 7214.9)
    assert are_allowances_old(7200.0, 7215.0)
    assert are_allowances_old(7199.5, 7200.1)
    assert are_allowances_old(7300.0, 7299.0)


def test_the_rotation_shows_what_is_left_and_no_limit_of_a_warmed_up_node(gateway: Gateway) -> None:
    warming, active = add_node(gateway.engine, 1), add_node(gateway.engine, 2, NodeStatus.ACTIVE)
    stand_at(gateway.engine, warming, 2400)
    gateway.post(DELIVERIES, gateway.token(warming), batch(warming, messages=7) | {"counts": [count_now(7)]})
    shown = {node["node_id"]: node for node in gateway.get(ROTATION, gateway.key("read")).json()["nodes"]}
    assert (shown[str(active)]["hour_left"], shown[str(active)]["day_left"]) == (None, None)
    left = SendingAllowance(shown[str(warming)]["hour_left"], shown[str(warming)]["day_left"])
    assert left == SendingAllowance(hourly_now(2400) - 7, 2400 - 7)


def test_a_real_agent_holds_once_its_hour_is_used_up_and_goes_on_in_the_next(engine: Engine, tmp_path: Path) -> None:
    node_id = add_node(engine)
    stand_at(engine, node_id, 72)
    clock, mta = ShiftedClock(), PlainMta()
    if datetime.now(UTC).minute >= 57:
        # The agent's own hour must not end meanwhile.
        clock.ahead_seconds = -600.0
    gateway = GatewayProcess(engine, tmp_path)
    gateway.start()
    try:
        with running_agent(engine, node_id, gateway.url, tmp_path, mta, clock) as mail_log:
            until("the agent is released", lambda: "release" in mta.calls)
            at = datetime.fromtimestamp(clock.now(), UTC)
            sent = 3 if at.hour == 0 else 6
            append(mail_log, *(delivery(number, at=at) for number in range(1, sent)))
            until("the mail is counted", lambda: sent_by(engine) == sent - 1)
            assert not mta.held
            append(mail_log, delivery(sent, at=at))
            until("the hour's allowance holds the agent", lambda: mta.held)
            clock.ahead_seconds += 3600
            until("the next hour releases it", lambda: not mta.held)
    finally:
        gateway.stop()


def count_now(messages: int) -> dict[str, object]:
    at = int(time.time()) // 300 * 300
    bucket_at = datetime.fromtimestamp(at, UTC).isoformat()
    return {"bucket_at": bucket_at, "mailbox_provider": "gmail", "result": "sent", "messages": messages}


def sent_by(engine: Engine) -> int:
    with engine.connect() as connection:
        return int(connection.scalar(text("SELECT coalesce(sum(sent), 0) FROM fleet.delivery_hours")) or 0)


@contextmanager
def running_agent(
    engine: Engine, node_id: UUID, url: str, folder: Path, mta: PlainMta, clock: ShiftedClock
) -> Iterator[Path]:
    """The agent that runs on nodes, in a thread; gives its mail log."""
    token_file, mail_log = folder / "token", folder / "mail.log"
    token_file.touch(mode=0o600)
    with engine.begin() as connection:
        token_file.write_text(issue_agent_token(connection, node_id, datetime.now(UTC)))
    mail_log.touch()
    config = AgentConfig(
        node_id=str(node_id),
        gateway_url=url,
        token_file=token_file,
        spool_folder=folder / "spool",
        mail_log=mail_log,
        # Not above what the gateway takes from one node.
        heartbeat_seconds=0.6,
        batch_seconds=0.2,
        log_poll_seconds=0.02,
    )
    stop = threading.Event()
    agent = Agent(config, probes=PlainProbes(), mta=mta, clock=clock)
    thread = threading.Thread(target=agent.run, args=(stop,))
    thread.start()
    try:
        yield mail_log
    finally:
        stop.set()
        thread.join(15)
        assert not thread.is_alive()
