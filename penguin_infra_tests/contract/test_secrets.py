"""The credentials appear nowhere: in no error, no chain of errors, no log, no output, no repr."""

import json
import logging
import traceback
from base64 import b64decode, b64encode

import pytest

from penguin_infra.hostwind.provider import ProviderError
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.scripted_server import Answer, Asked, scripted_server
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess, free_port

BASIC = b64encode(f"{KEY}:{SECRET}".encode()).decode()
# Their beginnings: half a secret is a secret too.
HIDDEN = (KEY[:7], SECRET[:10], BASIC[:12], "user-in-the-url", "password-in-the-url")


def everything_said_of(error: BaseException | None) -> str:
    """An error as text, with every error behind it, suppressed ones too, and their requests' headers."""
    said = ""
    while error is not None:
        said += repr(error) + str(error) + "".join(traceback.format_exception(error)) + str(vars(error))
        request = getattr(error, "_request", None)
        said += str(dict(request.headers)) if request is not None else ""
        error = error.__cause__ or error.__context__
    return said


def assert_nothing_leaks(
    provider: RestProvider, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    calls = (
        provider.list_instances,
        provider.list_plans,
        lambda: provider.get_instance("hw-1"),
        lambda: provider.delete_instance("hw-1"),
        lambda: provider.create_instance(label="secret-test", region="seattle", plan="ssd-1"),
    )
    said = repr(provider)
    with caplog.at_level(logging.DEBUG):
        for call in calls:
            try:
                call()
            except ProviderError as error:
                said += everything_said_of(error)
    output = capfd.readouterr()
    said += caplog.text + output.out + output.err + str([vars(record) for record in caplog.records])
    assert len(said) > 500
    assert [value for value in HIDDEN if value in said] == []


@pytest.mark.parametrize("kind", ["rate_limit", "server_error", "cut_after_act", "html", "latency"])
def test_no_fault_brings_the_credentials_out(
    simulator: SimulatorProcess,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    kind: str,
) -> None:
    simulator.add_fault(kind, seconds=0 if kind == "rate_limit" else 0.2)
    assert_nothing_leaks(connect(simulator.url, attempts=2, timeout_seconds=0.05), caplog, capfd)


def test_a_dead_address_does_not_bring_the_credentials_out(
    connect: Connect, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    url = f"http://user-in-the-url:password-in-the-url@127.0.0.1:{free_port()}"
    assert_nothing_leaks(connect(url), caplog, capfd)


@pytest.mark.parametrize("status", [200, 400, 401, 404, 429, 500])
@pytest.mark.parametrize("is_json", [True, False], ids=["json", "page"])
def test_an_echo_of_the_credentials_is_redacted(
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    status: int,
    is_json: bool,
) -> None:
    def echo(asked: Asked) -> Answer:
        basic = asked.headers["authorization"].removeprefix("Basic ")
        # So placed that a cut at 80 characters would leave half a secret.
        text = f"{'x' * 68}{SECRET} {basic} {b64decode(basic).decode()}"
        error = {"code": f"code_{SECRET}", "message": text}
        return Answer(status, json.dumps({"error": error, "instances": text}) if is_json else text)

    with scripted_server(echo) as server:
        assert_nothing_leaks(connect(server.url, attempts=2), caplog, capfd)


def test_a_secret_that_is_escaped_in_an_echo_is_redacted(connect: Connect) -> None:
    awkward = 'half"and\\half\u00e9'

    def echo(asked: Asked) -> Answer:
        text = b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
        return Answer(200, json.dumps({"plans": text.removeprefix(f"{KEY}:")}))

    with scripted_server(echo) as server, pytest.raises(ProviderError) as caught:
        connect(server.url, secret=awkward).list_plans()
    assert "half" not in str(caught.value)
    assert "[redacted]" in str(caught.value)


def test_an_echo_inside_an_answer_of_the_wrong_shape_is_redacted(
    connect: Connect, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    # The list's errors name the field's value, after some 110 characters, and are cut at 300.
    body = json.dumps({"id": SECRET, "label": KEY, "instances": "x" * 67 + SECRET, "plans": "x" * 217 + SECRET})
    with scripted_server(lambda _: Answer(200, body)) as server:
        assert_nothing_leaks(connect(server.url), caplog, capfd)
