"""Which programs a fleet has, on which ports, and in which order they come up."""

import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from penguin_infra.cli.programs import Program, list_ports, list_programs
from penguin_infra.settings import Settings, read_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("PENGUIN_", "HOSTWIND_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PENGUIN_HOME", str(tmp_path))


def known() -> Settings:
    return read_settings(with_fleet_env=False)


def find(programs: Sequence[Program], name: str) -> Program:
    (program,) = [program for program in programs if program.name == name]
    return program


def names(*, is_lab: bool) -> set[str]:
    return {program.name for program in list_programs(known(), is_lab=is_lab, is_embedded=True)}


def test_a_lab_has_its_three_programs_and_a_sink() -> None:
    assert {"lab-hostwind", "lab-dns", "lab-nodes", "sink", "gateway"} <= names(is_lab=True)


def test_a_real_fleet_has_no_lab_and_a_sink_only_where_it_has_a_mailbox(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {name for name in names(is_lab=False) if name.startswith(("lab-", "sink"))} == set()
    assert "PENGUIN_SINK_PORT" not in list_ports(known(), is_lab=False)
    monkeypatch.setenv("PENGUIN_SINK_MAILBOX", "verify@sink.example")
    monkeypatch.setenv("PENGUIN_SINK_PORT", "2525")
    assert {name for name in names(is_lab=False) if name.startswith(("lab-", "sink"))} == {"sink"}
    assert list_ports(known(), is_lab=False)["PENGUIN_SINK_PORT"] == 2525


def test_each_program_that_listens_has_the_port_that_is_checked_beforehand() -> None:
    programs = list_programs(known(), is_lab=True, is_embedded=True)
    listening = {program.port for program in programs if program.port is not None}
    assert listening | {known().supervisor_port} == set(list_ports(known(), is_lab=True).values())


def test_the_labs_programs_know_where_each_other_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENGUIN_LAB_DNS_PORT", "5301")
    monkeypatch.setenv("PENGUIN_SINK_PORT", "2501")
    programs = list_programs(known(), is_lab=True, is_embedded=True)
    for name, option, address in (
        ("lab-hostwind", "--reverse-dns", "127.0.0.1:5301"),
        ("lab-nodes", "--sink", "127.0.0.1:2501"),
    ):
        command = list(find(programs, name).command)
        assert command[command.index(option) + 1] == address
    command = list(find(programs, "sink").command)
    assert command[-4:] == ["sink", "serve", "--port", "2501"]


def test_the_sink_comes_up_beside_the_gateway_and_before_the_nodes() -> None:
    programs = list_programs(known(), is_lab=True, is_embedded=True)
    assert find(programs, "sink").priority == find(programs, "gateway").priority < find(programs, "lab-nodes").priority


def test_a_labs_nodes_tell_a_history_of_their_own_only_where_the_lab_has_no_past(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def options() -> Sequence[str]:
        return find(list_programs(known(), is_lab=True, is_embedded=True), "lab-nodes").command

    assert "--no-history" in options()
    monkeypatch.setenv("PENGUIN_LAB_PAST", "0")
    assert "--history" in options()
