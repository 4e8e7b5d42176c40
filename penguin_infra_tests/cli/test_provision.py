"""`penguin-infra nodes provision`: requests, checked against what a real simulated provider has on offer."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine

from penguin_infra.store import nodes
from penguin_infra_tests.cli.conftest import Run, RunJson, failure
from penguin_infra_tests.simulator_process import SimulatorProcess


@pytest.fixture(autouse=True)
def at_the_simulator(
    set_environment: Callable[..., None], simulator: SimulatorProcess, run: Run, run_json: RunJson
) -> None:
    names = ("HOSTWIND_API_URL", "HOSTWIND_API_KEY", "HOSTWIND_API_SECRET")
    set_environment(HOSTWIND_REQUESTS_PER_SECOND="500", **{name: simulator.environment[name] for name in names})


def labels(engine: Engine) -> list[str]:
    with engine.connect() as connection:
        return [node.label for node in nodes.list_nodes(connection)]


def test_nodes_are_asked_for_with_their_price_and_nothing_is_bought_here(
    engine: Engine, run: Run, simulator: SimulatorProcess
) -> None:
    done = run("nodes", "provision", "--count", "2", "--region", "seattle")
    assert done.exit_code == 0
    asked = "Asked for node-seattle-001, node-seattle-002: ssd-1 in seattle, 4.99 USD a month each."
    assert asked in done.stdout
    assert labels(engine) == ["node-seattle-001", "node-seattle-002"]
    assert simulator.instances() == []


def test_scripts_get_the_nodes_as_json(engine: Engine, run_json: RunJson) -> None:
    (node,) = run_json("nodes", "provision", "--label", "mail-1", "--plan", "ssd-2")
    assert (node["label"], node["plan"], node["status"], node["requested_by"]) == (
        "mail-1", "ssd-2", "provisioning", "person:ada"
    )  # fmt: skip
    assert labels(engine) == ["mail-1"]


def test_a_dry_run_names_the_nodes_and_asks_for_none(engine: Engine, run: Run, run_json: RunJson) -> None:
    done = run("nodes", "provision", "--dry-run", "--wait")
    assert "Would ask for node-dallas-001: ssd-1 in dallas" in done.stdout
    assert [node["label"] for node in run_json("nodes", "provision", "--dry-run")] == ["node-dallas-001"]
    assert labels(engine) == []


def test_waiting_for_a_node_that_is_given_up_ends_as_a_failure(engine: Engine, run: Run) -> None:
    with engine.begin() as connection:
        # The database itself gives every request up at once, as a quick run would.
        connection.exec_driver_sql(
            """
            CREATE FUNCTION fleet.give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                NEW.status := 'decommissioned'; RETURN NEW;
            END $$;
            CREATE TRIGGER give_up BEFORE INSERT ON fleet.sending_nodes FOR EACH ROW EXECUTE FUNCTION fleet.give_up();
            """
        )
    done = run("nodes", "provision", "--wait")
    assert done.exit_code == 1
    assert "node-dallas-001: decommissioned" in done.stderr
    assert "given up: node-dallas-001; `penguin-infra nodes show node-dallas-001` says why" in done.stderr


def test_a_plan_that_is_not_on_offer_is_refused_with_those_that_are(engine: Engine, run: Run) -> None:
    message = failure(run("nodes", "provision", "--plan", "ssd-9"))
    assert "plan: the provider has no 'ssd-9'; it has" in message
    for words in ("ssd-1 (4.99 USD a month)", "ssd-2 (9.99 USD a month)", "ssd-4"):
        assert words in message
    assert labels(engine) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--label", "Mail_1"], "label: 'Mail_1' is no host name"),
        (["--label", "mail-1", "--count", "2"], "label: names one node"),
        (["--region", "Dallas, TX"], "region: 'Dallas, TX'"),
    ],
)
def test_a_bad_request_names_its_field(engine: Engine, run: Run, arguments: list[str], complaint: str) -> None:
    assert complaint in failure(run("nodes", "provision", *arguments))
    assert labels(engine) == []


def test_a_label_that_is_taken_is_named(run: Run) -> None:
    run("nodes", "provision", "--label", "mail-1")
    assert "label 'mail-1' is taken" in failure(run("nodes", "provision", "--label", "mail-1"))


def test_a_provider_that_does_not_answer_is_a_warning_that_no_script_reads(
    engine: Engine, run: Run, run_json: RunJson, simulator: SimulatorProcess
) -> None:
    simulator.add_fault("html")
    try:
        done = run("nodes", "provision")
        assert (done.exit_code, labels(engine)) == (0, ["node-dallas-001"])
        assert "The plan was not checked" in done.stderr
        assert [node["label"] for node in run_json("nodes", "provision")] == ["node-dallas-002"]
    finally:
        simulator.clear_faults()


def test_without_credentials_their_settings_are_named(set_environment: Callable[..., None], run: Run) -> None:
    set_environment(HOSTWIND_API_URL="", HOSTWIND_API_KEY="", HOSTWIND_API_SECRET="")
    assert "set HOSTWIND_API_URL, HOSTWIND_API_KEY and HOSTWIND_API_SECRET" in failure(run("nodes", "provision"))


def test_wrong_credentials_are_named_by_their_settings_and_not_shown(
    engine: Engine, set_environment: Callable[..., None], run: Run
) -> None:
    set_environment(HOSTWIND_API_SECRET="hush-hush")
    message = failure(run("nodes", "provision"))
    assert "HOSTWIND_API_SECRET" in message
    assert "hush" not in message
    assert labels(engine) == []
