"""The blacklist asset end to end: real DNS, real TTLs, and checks that fail where a list is not to be believed."""

from collections.abc import Iterator

import dagster as dg
import pytest

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.pause import pause_sensor
from penguin_infra.domain.node import NodeStatus
from penguin_infra.lab.dns_zones import Fault
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
    assert "node-011" in str(shown.metadata["listed_nodes"].value)
    assert rotation(fleet.engine) == {good}
    # Pausing is the sensor's and its job's.
    assert status_of(fleet.engine, bad) is NodeStatus.WARMING


def test_a_clean_fleet_shows_the_same_figures(sweeping_fleet: Wiring, instance: dg.DagsterInstance) -> None:
    shown = materialized(sweep(sweeping_fleet, instance))["blacklist_status"]
    assert set(figures(shown)) == FIGURES


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
