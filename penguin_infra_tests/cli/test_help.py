"""Every command's help, found by walking the whole tree of commands."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from penguin_infra.cli.main import app


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """The visible commands below this one, with the words that lead there; a group may be a command too."""
    below = getattr(command, "commands", None)
    if below is None:
        yield path, command
        return
    if command.invoke_without_command:
        yield path, command
    for name, each in below.items():
        if not each.hidden:
            yield from commands(each, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))
PATHS = [pytest.param(path, id=" ".join(path)) for path in COMMANDS]


def test_the_walk_finds_the_commands_that_operators_know() -> None:
    assert {("nodes", "list"), ("actions", "show"), ("freeze",), ("check-ip",), ("db", "upgrade")} <= set(COMMANDS)


@pytest.mark.parametrize("path", PATHS)
def test_a_commands_help_says_what_it_does_and_shows_a_line_to_type(path: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, [*path, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert shown.exit_code == 0, shown.output
    # Once behind "Usage", and once more as an example.
    assert shown.stdout.count(" ".join(("penguin-infra", *path))) >= 2, shown.stdout
    assert (COMMANDS[path].help or "").strip()


@pytest.mark.parametrize("path", PATHS)
def test_every_option_says_what_it_is_for(path: tuple[str, ...]) -> None:
    silent = [each.name for each in COMMANDS[path].params if each.name != "help" and not getattr(each, "help", None)]
    assert silent == []


@pytest.mark.parametrize("group", [(), *sorted({path[:-1] for path in COMMANDS if len(path) > 1} - set(COMMANDS))])
def test_a_group_without_a_command_shows_its_help(group: tuple[str, ...]) -> None:
    shown = CliRunner().invoke(app, list(group))
    assert "Usage" in shown.output
    assert shown.exit_code == 2
