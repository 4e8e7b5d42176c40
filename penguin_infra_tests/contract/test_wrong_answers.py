"""Answers that are not the contract's: said so, never taken for an instance, an absence or a success."""

import json
from collections.abc import Callable

import pytest

from penguin_infra.hostwind.provider import (
    InstanceNotFound,
    OutcomeUnknown,
    ProviderAuthFailed,
    ProviderRefused,
    ProviderUnavailable,
)
from penguin_infra.hostwind.rest import RestProvider
from penguin_infra_tests.contract.conftest import Connect
from penguin_infra_tests.scripted_server import Answer, Asked, scripted_server
from penguin_infra_tests.simulator_process import SimulatorProcess

HTML = {"Content-Type": "text/html"}
PAGE = "<html><title>Welcome to nginx</title></html>"
INSTANCE = {
    "id": "hw-1",
    "label": "one",
    "region": "seattle",
    "plan": "ssd-1",
    "status": "running",
    "ip": "127.77.0.1",
    "created_at": "2026-11-24T10:00:00+00:00",
}


def get_one(provider: RestProvider) -> None:
    provider.get_instance("hw-1")


def delete_one(provider: RestProvider) -> None:
    provider.delete_instance("hw-1")


def list_all(provider: RestProvider) -> None:
    provider.list_instances()


def list_plans(provider: RestProvider) -> None:
    provider.list_plans()


def create_one(provider: RestProvider) -> None:
    provider.create_instance(label="one", region="seattle", plan="ssd-1")


@pytest.mark.parametrize("call", [get_one, delete_one, list_all, list_plans, create_one])
@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, PAGE, HTML),
        Answer(404, PAGE, HTML),
        Answer(301, "", {"Location": "http://127.0.0.1:9/"}),
        Answer(200, json.dumps({"error": {"code": "sorry", "message": "200 is not success here"}})),
    ],
    ids=["page", "404 page", "redirect", "error as 200"],
)
def test_what_is_not_the_api_is_unavailable(
    connect: Connect, call: Callable[[RestProvider], None], answer: Answer
) -> None:
    with (
        scripted_server(lambda _: answer) as server,
        pytest.raises(ProviderUnavailable, match=r"does not answer as the Hostwind API does.*HOSTWIND_API_URL"),
    ):
        call(connect(server.url))


def test_the_page_is_quoted_in_short(simulator: SimulatorProcess, provider: RestProvider) -> None:
    simulator.add_fault("html")
    with pytest.raises(ProviderUnavailable, match="<title>Hostwind") as caught:
        provider.list_instances()
    assert "back in an hour" not in str(caught.value)


@pytest.mark.parametrize("field", sorted(INSTANCE))
def test_a_missing_field_is_named(connect: Connect, field: str) -> None:
    answer = Answer(200, json.dumps({name: value for name, value in INSTANCE.items() if name != field}))
    with scripted_server(lambda _: answer) as server, pytest.raises(ProviderUnavailable, match=f"`{field}`"):
        get_one(connect(server.url))


def test_one_unknown_status_in_a_list_is_named_with_its_instance(connect: Connect) -> None:
    odd = {**INSTANCE, "id": "hw-2", "status": "hibernating"}
    answer = Answer(200, json.dumps({"instances": [INSTANCE, odd], "next_page": None}))
    with (
        scripted_server(lambda _: answer) as server,
        pytest.raises(ProviderUnavailable, match=r"instance hw-2 .*`status`.*hibernating"),
    ):
        list_all(connect(server.url))


def test_unknown_fields_are_ignored(connect: Connect) -> None:
    answer = Answer(200, json.dumps({**INSTANCE, "colour": "blue", "disks": [{}]}))
    with scripted_server(lambda _: answer) as server:
        assert connect(server.url).get_instance("hw-1").label == "one"


@pytest.mark.parametrize("next_page", [1, 2], ids=["the same page", "the same instances for ever"])
def test_a_list_without_an_end_is_given_up(connect: Connect, next_page: int) -> None:
    asked: list[Asked] = []

    def answer(request: Asked) -> Answer:
        asked.append(request)
        # It does end, far too late, so that a client without a guard fails this test instead of hanging in it.
        return Answer(200, json.dumps({"instances": [INSTANCE], "next_page": next_page if len(asked) < 9 else None}))

    with scripted_server(answer) as server:
        with pytest.raises(ProviderUnavailable, match="has no end"):
            list_all(connect(server.url))
        assert len(server.asked) <= 2


def test_a_creation_answered_with_another_label_is_not_adopted(connect: Connect) -> None:
    def answer(asked: Asked) -> Answer:
        if asked.method == "POST":
            return Answer(202, json.dumps({**INSTANCE, "label": "ONE"}))
        return Answer(200, json.dumps({"instances": [], "next_page": None}))

    with scripted_server(answer) as server, pytest.raises(OutcomeUnknown, match=r"'one'.*'ONE', id hw-1"):
        create_one(connect(server.url))


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_login_is_one_whatever_its_page_looks_like(connect: Connect, status: int) -> None:
    with (
        scripted_server(lambda _: Answer(status, PAGE, HTML)) as server,
        pytest.raises(ProviderAuthFailed, match="HOSTWIND_API_SECRET"),
    ):
        get_one(connect(server.url))


def test_only_the_apis_own_404_means_that_an_instance_is_gone(connect: Connect) -> None:
    gone = Answer(404, json.dumps({"error": {"code": "not_found", "message": "no such instance"}}))
    with scripted_server(lambda _: gone) as server:
        with pytest.raises(InstanceNotFound, match="no such instance"):
            get_one(connect(server.url))
        delete_one(connect(server.url))
        with pytest.raises(ProviderRefused, match=r"GET /instances at 127.0.0.1 answered 404"):
            list_all(connect(server.url))


def test_an_empty_answer_to_a_deletion_is_a_success(connect: Connect) -> None:
    with scripted_server(lambda _: Answer(202, "", {})) as server:
        delete_one(connect(server.url))


def test_a_long_message_is_cut(connect: Connect) -> None:
    answer = Answer(400, json.dumps({"error": {"code": "verbose", "message": "x" * 10_000}}))
    with scripted_server(lambda _: answer) as server, pytest.raises(ProviderRefused) as caught:
        list_plans(connect(server.url))
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("url", ["http://example.net", "ftp://127.0.0.1", "nonsense", ""])
def test_an_address_that_would_leak_or_cannot_work_is_refused(connect: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="HOSTWIND_API_URL"):
        connect(url)
