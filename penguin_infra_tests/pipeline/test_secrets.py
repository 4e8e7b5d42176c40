"""A failed provision tells everything about itself but the credentials: no tag, event, log or error holds one."""

import logging
from base64 import b64encode

import dagster as dg
import pytest

from penguin_infra.defs.remediation.provision import provision_sensor
from penguin_infra.wiring import Wiring
from penguin_infra_tests.pipeline.test_node_jobs import ask, request_node, run
from penguin_infra_tests.simulator_process import KEY, SECRET, SimulatorProcess


def secrets(fleet: Wiring) -> list[str]:
    password = fleet.database_url.password
    assert password
    basic = b64encode(f"{KEY}:{SECRET}".encode()).decode()
    # Their beginnings: half a secret is a secret too.
    return [KEY[:7], SECRET[:10], basic[:12], str(password)[:10]]


def everything_kept(instance: dg.DagsterInstance) -> str:
    """All that Dagster keeps of all runs, as text: tags, configuration, events with their errors."""
    kept = ""
    for run_record in instance.get_runs():
        kept += str(run_record) + dg.serialize_value(run_record) + str(run_record.tags) + str(run_record.run_config)
        for entry in instance.all_logs(run_record.run_id):
            kept += dg.serialize_value(entry) + str(entry)
    return kept


@pytest.mark.parametrize("trouble", ["html", "cut_after_act", "no_address", "wrong database"])
def test_a_failed_provision_leaves_no_secret_behind(
    fleet: Wiring,
    definitions: dg.Definitions,
    simulator: SimulatorProcess,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    request_node(fleet)
    with dg.instance_for_test() as instance, caplog.at_level(logging.DEBUG):
        (request,) = ask(provision_sensor, fleet, instance)
        hidden = secrets(fleet)
        if trouble == "wrong database":
            with fleet.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE fleet.provisioning_steps RENAME TO gone")
        else:
            simulator.add_fault(trouble)
        result = run("provision", request, definitions, instance)
        assert not result.success
        said = everything_kept(instance)
        with fleet.engine.connect() as connection:
            rows = connection.exec_driver_sql("SELECT to_jsonb(a)::text FROM fleet.node_actions a").scalars().all()
        said += "".join(rows)
    output = capfd.readouterr()
    said += caplog.text + output.out + output.err + str([vars(record) for record in caplog.records])
    assert "request_instance" in said
    assert [secret for secret in hidden if secret in said] == []
