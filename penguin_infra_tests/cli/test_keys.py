"""`penguin-infra keys`: what is printed, once, and what is kept of it."""

from hashlib import sha256

from sqlalchemy import Engine, text

from penguin_infra.domain.node import NodeStatus
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.fleets import add_node


def dump(engine: Engine) -> str:
    with engine.connect() as connection:
        rows = [
            *connection.execute(text("SELECT k::text FROM fleet.api_keys AS k")).scalars(),
            *connection.execute(text("SELECT t::text FROM fleet.agent_tokens AS t")).scalars(),
        ]
    return "\n".join(rows)


def test_a_key_is_printed_alone_and_kept_as_a_hash(engine: Engine, run: Run) -> None:
    done = run("keys", "create", "dispatcher", "--scope", "read")
    assert done.exit_code == 0, done.output
    (key,) = done.stdout.splitlines()
    assert len(key) >= 43
    assert key not in dump(engine)
    assert sha256(key.encode()).hexdigest() in dump(engine)


def test_the_list_names_keys_and_shows_no_secret(run: Run, run_json: RunJson) -> None:
    made = run_json("keys", "create", "dispatcher", "--scope", "operate")
    (row,) = run_json("keys", "list")
    assert (row["name"], row["scope"], row["created_by"], row["revoked_at"]) == (
        "dispatcher", "operate", "person:ada", None,
    )  # fmt: skip
    assert made["key"] not in run("keys", "list").output


def test_a_name_is_used_by_one_key_until_it_is_revoked(run: Run, run_json: RunJson) -> None:
    run_json("keys", "create", "dispatcher", "--scope", "read")
    assert "revoke it first" in failure(run("keys", "create", "dispatcher", "--scope", "read"))
    assert run("keys", "revoke", "dispatcher").exit_code == 0
    assert "keys list" in failure(run("keys", "revoke", "dispatcher"))
    run_json("keys", "create", "dispatcher", "--scope", "admin")
    assert [(row["scope"], row["revoked_at"] is None) for row in run_json("keys", "list")] == [
        ("admin", True), ("read", False),
    ]  # fmt: skip


def test_a_name_that_could_not_be_written_down_is_refused(run: Run) -> None:
    assert "name: 'Key One'" in failure(run("keys", "create", "Key One", "--scope", "read"))


def test_a_rotated_token_leaves_the_old_one_five_minutes(engine: Engine, run_json: RunJson) -> None:
    node_id = add_node(engine)
    first = run_json("keys", "token", "node-001")
    second = run_json("keys", "token", "node-001")
    assert (first["node_id"], first["token"] != second["token"]) == (str(node_id), True)
    with engine.connect() as connection:
        lives = connection.execute(
            text("SELECT token_hash, revoked_at - now() FROM fleet.agent_tokens ORDER BY created_at")
        ).all()
    assert [row[0] for row in lives] == [sha256(made["token"].encode()).digest() for made in (first, second)]
    assert 290 < lives[0][1].total_seconds() <= 300
    assert lives[1][1] is None


def test_rotating_twice_does_not_lengthen_the_first_tokens_life(engine: Engine, run_json: RunJson) -> None:
    add_node(engine)
    run_json("keys", "token", "node-001")
    with engine.begin() as connection:
        connection.execute(text("UPDATE fleet.agent_tokens SET revoked_at = now() + interval '10 seconds'"))
    run_json("keys", "token", "node-001")
    with engine.connect() as connection:
        left = connection.execute(text("SELECT min(revoked_at) - now() FROM fleet.agent_tokens")).scalar_one()
    assert left.total_seconds() <= 10


def test_stolen_tokens_end_at_once(engine: Engine, run: Run, run_json: RunJson) -> None:
    add_node(engine)
    run_json("keys", "token", "node-001")
    assert "Ended 1 tokens" in run("keys", "token", "node-001", "--revoke").stdout
    with engine.connect() as connection:
        assert connection.execute(text("SELECT bool_and(revoked_at <= now()) FROM fleet.agent_tokens")).scalar_one()


def test_nothing_speaks_for_a_decommissioned_node(engine: Engine, run: Run) -> None:
    add_node(engine, 1, NodeStatus.DECOMMISSIONED)
    assert "decommissioned" in failure(run("keys", "token", "node-001"))
