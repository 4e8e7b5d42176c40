"""The installer over HTTP speaks its contract, repeats what is harmless, and keeps the token to itself."""

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from penguin_infra.installer.installer import (
    Host,
    HostKeyChanged,
    HostUnreachable,
    Installation,
    Installed,
    InstallError,
    InstallFailed,
    TestMail,
)
from penguin_infra.installer.remote_installer import ATTEMPTS, RemoteInstaller
from penguin_infra_tests.installer.conftest import HOST_KEY
from penguin_infra_tests.installer.service import Asked, Service, Told, service

TOKEN, KEY = "s3cret-token", "s3cret-key"
DONE = {"host_key": HOST_KEY, "dkim_selector": "penguin", "dkim_public_key": "MII", "changed": 3}
MAIL = TestMail("probe@node.test", "postbox@sink.test", "corr-1")


def client(url: str, api_key: str | None = KEY) -> RemoteInstaller:
    return RemoteInstaller(url=url, api_key=api_key, timeout_seconds=5, first_wait_seconds=0.01)


@contextmanager
def talk(answer: Callable[[Asked], Told], api_key: str | None = KEY) -> Iterator[tuple[Service, RemoteInstaller]]:
    with service(answer) as lab, client(lab.url, api_key) as installer:
        yield lab, installer


def order(host: Host) -> Installation:
    return Installation(replace(host, host_key=None), "http://127.0.0.1:4270", TOKEN)


def test_an_installation_is_asked_for_and_read(host: Host, said: list[str]) -> None:
    with talk(lambda _: Told(200, DONE)) as (lab, installer):
        assert installer.install(order(host), said.append) == Installed(HOST_KEY, "penguin", "MII", 3)
    body = {
        "node_id": str(host.node_id), "ip_address": "127.0.0.1", "hostname": "node-test-001.nodes.test",
        "gateway_url": "http://127.0.0.1:4270", "agent_token": TOKEN,
    }  # fmt: skip
    assert lab.asked == [Asked("PUT", "/hosts/node-test-001", body, f"Bearer {KEY}")]
    assert len(said) == 2
    assert TOKEN not in " ".join(said)


def test_a_token_that_stays_is_null(host: Host) -> None:
    with talk(lambda _: Told(200, DONE)) as (lab, installer):
        installer.install(replace(order(host), agent_token=None), lambda _: None)
    assert lab.asked[0].body is not None
    assert lab.asked[0].body["agent_token"] is None


def test_the_other_calls_have_paths_of_their_own(host: Host) -> None:
    answers = {"/restart": Told(204), "/mail": Told(202, {}), "/queue": Told(200, {"queued": 4})}
    with talk(lambda asked: answers[asked.path.removeprefix("/hosts/node-test-001")], None) as (lab, installer):
        installer.restart_services(host, lambda _: None)
        installer.send_mail(host, MAIL)
        assert installer.count_queued(host) == 4
    mail = {"sender": MAIL.sender, "recipient": MAIL.recipient, "correlation_id": "corr-1"}
    assert [(asked.method, asked.body) for asked in lab.asked] == [("POST", None), ("POST", mail), ("GET", None)]
    assert {asked.authorization for asked in lab.asked} == {None}


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (Told(404, {"error": "unknown"}), HostUnreachable),
        (Told(409, {"code": "host_key_changed", "error": "another key"}), HostKeyChanged),
        (Told(409, {"code": "busy", "error": "busy"}), InstallFailed),
        (Told(422, {"error": f"no room on {TOKEN} for {KEY}"}), InstallFailed),
        (Told(401, {"error": "who are you?"}), InstallFailed),
        (Told(500, {"error": f"died with {TOKEN}"}), HostUnreachable),
        (Told(is_lost=True), HostUnreachable),
    ],
)
def test_each_refusal_is_an_error_of_the_port_and_tells_no_secret(
    host: Host, told: Told, error: type[InstallError]
) -> None:
    with talk(lambda _: told) as (_, installer), pytest.raises(error) as raised:
        installer.install(order(host), lambda _: None)
    text = "".join(traceback.format_exception(raised.value)) + repr(installer)
    assert raised.type is error
    assert "/hosts/node-test-001" in text
    assert TOKEN not in text
    assert KEY not in text


def test_the_services_own_words_are_passed_on(host: Host) -> None:
    told = Told(422, {"error": "postfix: Set what differs: read-only file system"})
    with talk(lambda _: told) as (_, installer), pytest.raises(InstallFailed, match="read-only file system"):
        installer.install(order(host), lambda _: None)


def test_a_service_that_is_away_makes_the_host_unreachable(host: Host) -> None:
    with service(lambda _: Told()) as lab:
        url = lab.url
    with client(url) as installer, pytest.raises(HostUnreachable, match="is the service up"):
        installer.count_queued(host)


def test_an_installation_whose_answer_was_lost_is_asked_for_again(host: Host) -> None:
    answers = [Told(is_lost=True), Told(503), Told(200, DONE)]
    with talk(lambda _: answers.pop(0)) as (lab, installer):
        assert installer.install(order(host), lambda _: None).changed == 3
    assert len(lab.asked) == ATTEMPTS


def test_a_mail_is_never_asked_for_twice(host: Host) -> None:
    lost = pytest.raises(HostUnreachable, match="may have been carried out")
    with talk(lambda _: Told(is_lost=True)) as (lab, installer), lost:
        installer.send_mail(host, MAIL)
    assert len(lab.asked) == 1


@pytest.mark.parametrize("body", [None, {}, [], {**DONE, "dkim_public_key": ""}, {**DONE, "changed": "3"}])
def test_an_answer_of_another_shape_is_refused(host: Host, body: Any) -> None:
    with talk(lambda _: Told(200, body)) as (_, installer), pytest.raises(InstallFailed, match="PENGUIN_INSTALLER_URL"):
        installer.install(order(host), lambda _: None)


@pytest.mark.parametrize("queued", [-1, "4", True, None])
def test_a_queue_that_is_no_number_is_refused(host: Host, queued: Any) -> None:
    with talk(lambda _: Told(200, {"queued": queued})) as (_, installer), pytest.raises(InstallFailed):
        installer.count_queued(host)


def test_another_host_key_than_the_pinned_one_is_not_taken(host: Host) -> None:
    other = {**DONE, "host_key": "ssh-ed25519 AAAAother"}
    with talk(lambda _: Told(200, other)) as (_, installer), pytest.raises(HostKeyChanged):
        installer.install(replace(order(host), host=host), lambda _: None)
