"""The plan as it is typed: a table for people, everything for scripts, and nothing done by looking."""

from sqlalchemy import Engine

from penguin_infra.store import nodes
from penguin_infra_tests.cli.conftest import Run, RunJson
from penguin_infra_tests.fleets import NOW, add_nodes, list_address, plan


def test_a_fleet_with_nothing_to_do_says_so(run: Run) -> None:
    done = run("plan")
    assert done.exit_code == 0
    assert "Nothing is to be done, and nothing is open." in done.stdout
    assert "not reckoned: no price list with ssd-1 is known yet" in done.stdout


def test_what_would_be_done_and_what_not_is_one_table(run: Run, run_json: RunJson, engine: Engine) -> None:
    first, second, third = add_nodes(engine, 3)
    for number, node_id in ((1, first), (2, second)):
        list_address(engine, node_id, number, at=NOW)
    plan(engine, [third])
    done = run("plan")
    assert done.exit_code == 0
    for said in ("would do", "refused by", "planned", "node-003"):
        assert said in done.stdout, done.stdout
    told = run_json("plan")
    assert {line["verdict"] for line in told["lines"]} == {"refused by disruption_budget", "planned"} | (
        {"would do"} if told["counts"]["would do"] else set()
    )
    with engine.connect() as connection:
        assert len(nodes.list_nodes(connection)) == 3


def test_its_help_teaches_the_verdicts(run: Run) -> None:
    shown = run("plan", "--help").stdout
    for word in ("would do", "waits for approval", "refused by RULE", "left alone"):
        assert word in shown
