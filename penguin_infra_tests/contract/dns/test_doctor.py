"""`penguin-infra doctor`, as it is typed, against resolvers and lists that are well and ill."""

import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from penguin_infra.cli.main import app
from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra.lab.dns_zones import Fault
from penguin_infra.settings import settings
from penguin_infra_tests.dns_process import DnsProcess, free_port

ZEN = "zen.spamhaus.org"
BARRACUDA = "b.barracudacentral.org"

Doctor = Callable[..., Result]


@pytest.fixture
def set_environment(
    lab_dns: DnsProcess, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., None]]:
    """The lab's fleet, unless the test says otherwise."""

    def change(**values: str) -> None:
        for name, value in values.items():
            monkeypatch.setenv(name, value)
        settings.cache_clear()

    for name in ("PENGUIN_POLICY_FILE", "PENGUIN_BLACKLIST_FILE", "PENGUIN_BLACKLIST_KEYS", "HOSTWIND_API_URL"):
        monkeypatch.delenv(name, raising=False)
    home = str(tmp_path_factory.mktemp("home"))
    change(PENGUIN_HOME=home, PENGUIN_RESOLVERS=str(lab_dns.resolver), PENGUIN_LAB="1")
    yield change
    settings.cache_clear()


@pytest.fixture
def doctor(set_environment: Callable[..., None]) -> Doctor:
    return lambda *arguments: CliRunner().invoke(app, ["doctor", *arguments])


def findings(done: Result, verdict: str) -> list[dict[str, Any]]:
    return [one for one in json.loads(done.stdout) if one["verdict"] == verdict]


def test_where_all_is_well_the_lists_are_named_and_the_exit_is_0(doctor: Doctor) -> None:
    done = doctor()
    assert done.exit_code == 0, done.output
    enabled = load_catalogue().select()
    assert f"{len(enabled)} lists pass their test points" in done.stdout
    for one in enabled:
        assert one.zone in done.stdout
    assert "the lab's own server" in done.stdout


def test_a_public_resolver_is_broken_and_says_what_helps(doctor: Doctor, lab_dns: DnsProcess) -> None:
    with lab_dns.broken(ZEN, Fault.OPEN_RESOLVER):
        done = doctor("--json")
    assert done.exit_code == 2
    (broken,) = findings(done, "broken")
    assert (broken["check"], broken["subject"]) == ("lists", str(lab_dns.resolver))
    assert ZEN in broken["words"]
    assert "127.255.255.254" in broken["words"]
    assert "deploy/unbound" in broken["remedy"]


def test_a_list_that_refuses_wants_a_look_and_says_what_its_operator_asks_for(
    doctor: Doctor, lab_dns: DnsProcess
) -> None:
    with lab_dns.broken(BARRACUDA, Fault.REFUSED):
        done = doctor("--json")
    assert done.exit_code == 1
    (look,) = findings(done, "look")
    assert BARRACUDA in look["words"]
    assert "registered with Barracuda" in look["remedy"]
    well = [one["words"] for one in findings(done, "well") if one["check"] == "lists"]
    assert BARRACUDA not in " ".join(well)


@pytest.mark.parametrize("fault", [Fault.WILDCARD, Fault.EMPTY, Fault.ERROR_CODE, Fault.SERVFAIL])
def test_a_list_that_fails_its_test_points_wants_a_look(doctor: Doctor, lab_dns: DnsProcess, fault: Fault) -> None:
    with lab_dns.broken("bl.spamcop.net", fault):
        done = doctor("--json")
    assert done.exit_code == 1
    (look,) = findings(done, "look")
    assert "bl.spamcop.net" in look["words"]
    assert look["remedy"]


def test_a_resolver_that_is_not_there_is_broken_and_the_others_are_asked_all_the_same(
    doctor: Doctor, set_environment: Callable[..., None], lab_dns: DnsProcess
) -> None:
    away = f"127.0.0.1:{free_port()}"
    set_environment(PENGUIN_RESOLVERS=f"{away},{lab_dns.resolver}")
    done = doctor("--json")
    assert done.exit_code == 2
    assert {one["subject"] for one in findings(done, "broken")} == {away}
    assert [one["subject"] for one in findings(done, "well") if one["check"] == "lists"] == [str(lab_dns.resolver)]


def test_where_no_list_works_through_any_resolver_it_is_said(
    doctor: Doctor, set_environment: Callable[..., None]
) -> None:
    set_environment(PENGUIN_RESOLVERS=f"127.0.0.1:{free_port()}")
    done = doctor()
    assert done.exit_code == 2
    assert "no listing would be noticed" in done.stdout


def test_a_server_that_does_not_recurse_is_no_resolver_outside_the_lab(
    doctor: Doctor, set_environment: Callable[..., None]
) -> None:
    set_environment(PENGUIN_LAB="0")
    done = doctor()
    assert done.exit_code == 1
    assert "does not recurse" in done.stdout


def test_a_silent_resolver_costs_a_bounded_wait(doctor: Doctor, set_environment: Callable[..., None]) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        set_environment(PENGUIN_RESOLVERS=f"127.0.0.1:{silent.getsockname()[1]}")
        done = doctor()
    assert done.exit_code == 2
    assert "no answer in time" in done.stdout


def test_wrong_settings_are_a_finding_and_nothing_else_is_looked_at(
    doctor: Doctor, set_environment: Callable[..., None]
) -> None:
    set_environment(PENGUIN_BLACKLIST_FILE="/nowhere/lists.toml")
    done = doctor("--json")
    assert done.exit_code == 2
    (only,) = json.loads(done.stdout)
    assert (only["check"], only["verdict"]) == ("settings", "broken")
    assert "/nowhere/lists.toml" in only["words"]


def test_a_keyed_list_that_answers_nothing_good_asks_for_its_key_and_shows_none(
    doctor: Doctor, set_environment: Callable[..., None]
) -> None:
    set_environment(PENGUIN_LAB="0", PENGUIN_BLACKLIST_KEYS="spamhaus=hush4711")
    for arguments in ((), ("--json",)):
        done = doctor(*arguments)
        assert "Its key may be wrong" in done.stdout
        assert "hush4711" not in done.output
