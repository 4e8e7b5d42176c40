"""The blacklist asset end to end: real DNS, real TTLs, and checks that fail where a list is not to be believed."""

from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from sqlalchemy import text

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.pause import pause_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.lab.dns_zones import Fault
from penguin_infra.store import list_paces
from penguin_infra.wiring import Wiring
from penguin_infra_tests.dns_process import DnsProcess
from penguin_infra_tests.fleets import add_node, add_nodes, address, rotation, status_of
from penguin_infra_tests.pipeline.test_inventory import checks, figures, materialized

ZONE = "zen.spamhaus.org"
FIGURES = {
    "dagster/row_count",
    "addresses",
    "lists",
    "answers",
    "errors",
    "newly_confirmed",
    "newly_delisted",
    "suspected",
    "quarantined_lists",
    "clean",
    "suspect",
    "listed",
    "stale",
    "unasked",
}
HEALTH_FIGURES = {
    "dagster/row_count",
    "healthy",
    "quarantined",
    "refused",
    "resting",
    "questions_sent",
    "questions_in_24_hours",
}


@pytest.fixture
def listed(lab_dns: DnsProcess) -> Iterator[list[int]]:
    """Numbers of nodes whose addresses are listed during the test."""
    numbers: list[int] = []
    yield numbers
    for number in numbers:
        lab_dns.delist_ip(str(address(number)), ZONE)


def sweep(fleet: Wiring, instance: dg.DagsterInstance) -> dg.ExecuteInProcessResult:
    job = build_definitions(fleet).resolve_job_def("sweep_blacklists")
    return job.execute_in_process(instance=instance, raise_on_error=False)


def list_node(lab_dns: DnsProcess, listed: list[int], number: int) -> None:
    listed.append(number)
    lab_dns.list_ip(str(address(number)), ZONE, "127.0.0.2", "spam from here")


def test_a_listed_address_is_confirmed_in_one_sweep_and_leaves_the_rotation(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess, listed: list[int]
) -> None:
    fleet = sweeping_fleet
    bad, good = add_node(fleet.engine, 11), add_node(fleet.engine, 12)
    list_node(lab_dns, listed, 11)
    result = sweep(fleet, instance)
    assert result.success
    assert all(check.passed for check in checks(result).values())
    shown = materialized(result)["blacklist_status"]
    assert set(figures(shown)) == FIGURES
    assert figures(shown)["newly_confirmed"] == figures(shown)["dagster/row_count"] == 1
    assert figures(shown)["addresses"] == figures(shown)["lists"] == 2
    assert (figures(shown)["listed"], figures(shown)["clean"], figures(shown)["stale"]) == (1, 3, 0)
    assert "node-011" in str(shown.metadata["listed_nodes"].value)
    assert "spam from here" in str(shown.metadata["raw_answers"].value)
    assert ZONE in str(shown.metadata["listings_over_30_days"].value)
    assert rotation(fleet.engine) == {good}
    # Pausing is the sensor's and its job's.
    assert status_of(fleet.engine, bad) is NodeStatus.WARMING


def test_a_clean_fleet_shows_the_same_figures(sweeping_fleet: Wiring, instance: dg.DagsterInstance) -> None:
    add_node(sweeping_fleet.engine, 13)
    found = materialized(sweep(sweeping_fleet, instance))
    assert set(figures(found["blacklist_status"])) == FIGURES
    health = found["blacklist_health"]
    assert set(figures(health)) == HEALTH_FIGURES
    assert (figures(health)["healthy"], figures(health)["quarantined"]) == (2, 0)
    assert figures(health)["questions_sent"] == figures(health)["questions_in_24_hours"] == 8
    assert "4 of 300,000" in str(health.metadata["lists"].value)


def test_a_list_that_suddenly_lists_everybody_fails_the_blocking_check_and_pauses_nobody(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess, listed: list[int]
) -> None:
    add_nodes(sweeping_fleet.engine, 4)
    for number in range(1, 5):
        list_node(lab_dns, listed, number)
    result = sweep(sweeping_fleet, instance)
    check = checks(result)["no_list_lists_everybody"]
    assert (check.passed, check.severity, check.blocking) == (False, dg.AssetCheckSeverity.ERROR, True)
    assert check.metadata["frozen"].value == 1
    assert ZONE in str(check.metadata["why"].value)
    asked = pause_sensor(dg.build_sensor_context(instance=instance, resources={"fleet": sweeping_fleet}))
    assert isinstance(asked, dg.SkipReason)


def test_a_list_that_fails_its_test_points_is_quarantined_with_the_reason(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess
) -> None:
    add_node(sweeping_fleet.engine, 21)
    with lab_dns.broken(ZONE, Fault.REFUSED):
        result = sweep(sweeping_fleet, instance)
    check = checks(result)["lists_are_healthy"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert ZONE in str(check.metadata["why"].value)
    assert figures(materialized(result)["blacklist_status"])["quarantined_lists"] == 1
    assert result.success


def test_an_address_is_swept_again_without_a_second_event(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess, listed: list[int]
) -> None:
    add_node(sweeping_fleet.engine, 31)
    list_node(lab_dns, listed, 31)
    sweep(sweeping_fleet, instance)
    shown = figures(materialized(sweep(sweeping_fleet, instance))["blacklist_status"])
    assert (shown["dagster/row_count"], shown["newly_confirmed"]) == (1, 0)


def test_a_list_whose_terms_the_fleet_breaks_fails_its_check_and_the_others_are_swept(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, policy_file: Path
) -> None:
    known = policy_file.read_text()
    policy_file.write_text(known + f'budgets = {{ "{ZONE}" = 20 }}\nlongest_interval_hours = 0.5\n')
    add_node(sweeping_fleet.engine, 41)
    result = sweep(sweeping_fleet, instance)
    check = checks(result)["terms_are_kept"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert f"{ZONE}: 1 addresses once in 0.5 h are 48 questions a day; the policy allows 20 a day" in str(
        check.metadata["why"].value
    )
    assert figures(materialized(result)["blacklist_status"])["answers"] == 1


def test_an_address_that_no_answer_came_for_in_three_turns_is_stale(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess
) -> None:
    add_node(sweeping_fleet.engine, 51)
    assert checks(sweep(sweeping_fleet, instance))["answers_are_fresh"].passed
    with sweeping_fleet.engine.begin() as connection:
        connection.execute(
            text(
                "UPDATE fleet.blacklist_states SET answered_at = now() - interval '16 minutes', facts = facts "
                "|| jsonb_build_object('answered_at', now() - interval '16 minutes')"
            )
        )
    with lab_dns.broken(ZONE, Fault.REFUSED):
        check = checks(sweep(sweeping_fleet, instance))["answers_are_fresh"]
    assert (check.passed, check.severity) == (False, dg.AssetCheckSeverity.WARN)
    # The other list's answer is not due: its turn is five minutes after the last.
    assert check.metadata["stale"].value == 2
    assert ZONE in str(check.metadata["which"].value)


def test_every_change_of_a_lists_health_is_shown(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess
) -> None:
    add_node(sweeping_fleet.engine, 61)
    with lab_dns.broken(ZONE, Fault.REFUSED):
        shown = materialized(sweep(sweeping_fleet, instance))["blacklist_health"]
    assert (figures(shown)["healthy"], figures(shown)["quarantined"]) == (1, 1)
    assert "refused" in str(shown.metadata["history"].value)


def test_a_list_that_has_nothing_left_of_its_day_says_so_and_is_left_alone(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance
) -> None:
    add_node(sweeping_fleet.engine, 71)
    with sweeping_fleet.engine.begin() as connection:
        list_paces.add_questions(connection, {ZONE: 300_000}, sweeping_fleet.clock.now())
    found = materialized(sweep(sweeping_fleet, instance))
    assert "nothing left until older questions are a day old" in str(
        found["blacklist_health"].metadata["budgets"].value
    )
    assert figures(found["blacklist_status"])["answers"] == 1


def test_a_quarantined_list_whose_turn_does_not_come_stays_so(
    sweeping_fleet: Wiring, instance: dg.DagsterInstance, lab_dns: DnsProcess
) -> None:
    add_node(sweeping_fleet.engine, 81)
    with lab_dns.broken(ZONE, Fault.ERROR_CODE):
        assert not checks(sweep(sweeping_fleet, instance))["lists_are_healthy"].passed
    result = sweep(sweeping_fleet, instance)
    # It rests after that answer, so that this sweep did not ask it.
    assert figures(materialized(result)["blacklist_health"])["resting"] == 1
    assert not checks(result)["lists_are_healthy"].passed
    assert figures(materialized(result)["blacklist_status"])["quarantined_lists"] == 1
