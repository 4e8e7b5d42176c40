"""The limits in force, as an operator sees them: each with its default and where it comes from."""

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra_tests.cli.conftest import Run, RunJson


def test_without_a_file_every_limit_is_its_default(run_json: RunJson) -> None:
    rows = run_json("policy")
    assert {row["source"] for row in rows} == {"default"}
    assert all(row["value"] == row["default"] for row in rows)
    assert {"guardrails", "retry", "provisioning", "blacklists", "delivery"} <= {row["section"] for row in rows}


def test_every_limit_of_delivery_is_shown(run_json: RunJson) -> None:
    shown = {row["name"] for row in run_json("policy") if row["section"] == "delivery"}
    assert shown == {each.name for each in fields(DeliveryLimits)}


def test_what_the_file_sets_is_shown_beside_its_default(
    run_json: RunJson, set_environment: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[delivery]\nbounce_pause_rate = 0.2\n[retry]\nmax_attempts = 3\n")
    set_environment(PENGUIN_POLICY_FILE=str(path))
    rows = {(row["section"], row["name"]): row for row in run_json("policy")}
    set_by_file = [key for key, row in rows.items() if row["source"] == str(path)]
    assert set_by_file == [("retry", "max_attempts"), ("delivery", "bounce_pause_rate")]
    changed = rows["delivery", "bounce_pause_rate"]
    assert (changed["value"], changed["default"]) == (0.2, 0.1)


def test_what_lists_may_be_asked_is_shown_beside_the_other_limits(
    run_json: RunJson, set_environment: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[blacklists.budgets]\n"zen.spamhaus.org" = 200000\n')
    set_environment(PENGUIN_POLICY_FILE=str(path))
    shown = {row["name"]: row for row in run_json("policy") if row["section"] == "blacklists"}
    assert shown["budgets"]["value"] == {"zen.spamhaus.org": 200_000}
    assert shown["default_budget_per_day"]["value"] == 100_000
    assert shown["longest_interval_hours"]["value"] == 24


def test_a_budget_beyond_the_lists_terms_is_refused_with_the_sum(
    run: Run, set_environment: Callable[..., None], tmp_path: Path
) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('[blacklists.budgets]\n"zen.spamhaus.org" = 400000\n')
    set_environment(PENGUIN_POLICY_FILE=str(path))
    done = run("policy")
    assert done.exit_code == 1
    assert "zen.spamhaus.org: 400,000 a day, but its terms allow 300,000 a day" in done.stderr


def test_a_faulty_file_is_named(run: Run, set_environment: Callable[..., None], tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text("[delivery]\nbounce_pause_rate = 2\n")
    set_environment(PENGUIN_POLICY_FILE=str(path))
    done = run("policy")
    assert done.exit_code == 1
    assert "delivery.bounce_pause_rate" in done.stderr


def test_people_see_a_table_without_a_database(run_bare: Run) -> None:
    done = run_bare("policy")
    assert done.exit_code == 0
    assert "bounce_pause_rate" in done.stdout
