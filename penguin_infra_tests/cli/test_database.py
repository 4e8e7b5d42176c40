"""`penguin-infra db`, and what any command says of a database that does not serve it."""

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import URL, Engine

from penguin_infra.store import schema
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.conftest import Databases, fresh_engine
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.fleets import add_node


@pytest.fixture
def empty(databases: Databases, set_environment: Callable[..., None]) -> Iterator[Engine]:
    """An empty database that the commands use."""
    for engine in fresh_engine(databases, is_migrated=False):
        url = engine.url.render_as_string(hide_password=False)
        # Its own twice: what Dagster keeps in its database is Dagster's.
        set_environment(PENGUIN_DATABASE_URL=url, PENGUIN_DAGSTER_DATABASE_URL=url)
        yield engine


def use(set_environment: Callable[..., None], url: URL) -> None:
    set_environment(PENGUIN_DATABASE_URL=url.render_as_string(hide_password=False))


def test_the_schemas_revision_is_shown_beside_the_newest(engine: Engine, run: Run, run_json: RunJson) -> None:
    revision, newest = schema.current(engine)
    assert run_json("db", "current") == {"revision": revision, "newest": newest}
    assert run("db", "current").stdout == f"The schema is at {revision}; the newest is {newest}.\n"


def test_an_empty_database_comes_up_and_a_second_time_changes_nothing(empty: Engine, run_bare: Run) -> None:
    newest = schema.current(empty)[1]
    assert run_bare("db", "current").stdout == f"The schema is at nothing; the newest is {newest}.\n"
    assert run_bare("db", "upgrade").stdout == f"The schema is at {newest}, from nothing.\n"
    assert run_bare("db", "upgrade").stdout == f"The schema is at {newest}, already.\n"
    assert schema.current(empty) == (newest, newest)


def test_a_schema_goes_down_only_when_that_is_meant(empty: Engine, run_bare: Run) -> None:
    run_bare("db", "upgrade")
    newest = schema.current(empty)[1]
    refused = run_bare("db", "downgrade", "base")
    assert refused.exit_code == 1
    assert schema.current(empty)[0] == newest
    assert "The schema is at nothing" in run_bare("db", "downgrade", "base", "--yes").stdout
    assert schema.current(empty)[0] is None


@pytest.mark.parametrize("command", [["db", "current"], ["db", "upgrade"], ["nodes", "list"], ["thaw"]])
def test_a_server_that_is_not_there_is_told_in_one_line(
    engine: Engine, run: Run, set_environment: Callable[..., None], command: list[str]
) -> None:
    port = free_port()
    use(set_environment, engine.url.set(port=port, password="hush-hush"))
    message = failure(run(*command))
    assert f"127.0.0.1:{port} does not serve us" in message
    assert "PENGUIN_DATABASE_URL" in message
    assert "hush" not in message


@pytest.mark.parametrize("command", [["db", "current"], ["db", "upgrade"], ["actions", "list"]])
def test_a_wrong_password_is_told_and_never_shown(
    engine: Engine, run: Run, set_environment: Callable[..., None], command: list[str]
) -> None:
    use(set_environment, engine.url.set(password="hush-hush"))
    message = failure(run(*command))
    assert "password authentication failed" in message
    assert "hush" not in message


@pytest.mark.parametrize("command", [["nodes", "list"], ["thaw"], ["lists", "show"]])
def test_a_database_without_the_schema_is_told_in_one_line(empty: Engine, run_bare: Run, command: list[str]) -> None:
    assert "does not exist" in failure(run_bare(*command))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("PENGUIN_UI_PORT", "0"), ("PENGUIN_DATABASE_URL", "mysql://u:hush@h/x"), ("PENGUIN_FLEET_NAME", "No Name")],
)
def test_a_wrong_setting_ends_a_command_with_its_name(
    set_environment: Callable[..., None], run_bare: Run, setting: str, value: str
) -> None:
    set_environment(**{setting: value})
    message = failure(run_bare("nodes", "list"))
    assert message.startswith(f"penguin-infra: {setting}: ")
    assert "hush" not in message


def test_a_wrong_policy_file_ends_a_command_with_its_name_and_field(
    engine: Engine, run: Run, set_environment: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    add_node(engine)
    path = tmp_path_factory.mktemp("policy") / "policy.toml"
    path.write_text("[guardrails]\nbudget = 3\n")
    set_environment(PENGUIN_POLICY_FILE=str(path))
    assert f"{path}: guardrails.budget: " in failure(run("nodes", "pause", "node-001"))
