"""Recover one ill node, gently first: a restart by its agent, then of its services by the installer, then a reboot.

What none of these helps is a person's. How a step is asked for, awaited and resumed is `recovery_steps.py`'s.
"""

from sqlalchemy import Connection

from penguin_infra.domain.actions import ActionStatus, Verdict
from penguin_infra.domain.heartbeat import Fault
from penguin_infra.domain.lifecycle import NodeEvent
from penguin_infra.domain.node_alerts import MAINTENANCE, held
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits, is_flapping
from penguin_infra.hostwind.provider import InstanceNotFound, ProviderRefused
from penguin_infra.installer.installer import Installer, InstallError
from penguin_infra.operations.install_node import host_of
from penguin_infra.operations.node_steps import StepImpossible
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.recovery_steps import (
    Asked,
    CannotAsk,
    ManySilent,
    Patient,
    RecoverError,
    closing_attempts,
    do_step,
    give_up,
    look_again,
)
from penguin_infra.operations.update_alerts import RESOLVED_BY_ITSELF
from penguin_infra.store import alert_facts, nodes, recoveries
from penguin_infra.store.alerts import lock_rule, save_alerts

DIRECTIVE = "directive"
SERVICES = "services"
REBOOT = "reboot"


def restart_by_directive(work: NodeWork, limits: HealthLimits) -> None:
    """Let the agent restart the MTA where that is down, else itself. A silent node hears of it once it speaks."""

    def ask(patient: Patient) -> Asked:
        _check_flapping(patient, limits)
        restart = "mta" if patient.fault is Fault.MTA_DOWN else "agent"

        def record(connection: Connection) -> None:
            recoveries.give_directive(connection, work.node_id, work.action.action_id, restart, work.clock.now())

        return Asked(f"restart of the {restart}", record)

    do_step(work, limits, DIRECTIVE, ask, timeout_seconds=limits.directive_timeout_seconds)


def restart_services(work: NodeWork, limits: HealthLimits, installer: Installer | None) -> None:
    """Restart the services from outside, and re-apply what the node should be. A host out of reach is the reboot's."""

    def ask(patient: Patient) -> Asked:
        _check_flapping(patient, limits)
        if installer is None:
            raise CannotAsk("no installer is configured to restart its services from outside")
        try:
            installer.restart_services(host_of(patient.node), work.say)
        except (InstallError, StepImpossible) as error:
            raise CannotAsk(f"no restart of the services: {error}") from None
        return Asked("restart of the services")

    do_step(work, limits, SERVICES, ask, timeout_seconds=limits.directive_timeout_seconds)


def reboot(work: NodeWork, limits: HealthLimits) -> None:
    """Let the provider reboot the instance. One that the provider does not know, or will not touch, is a person's."""

    def ask(patient: Patient) -> Asked:
        _check_flapping(patient, limits)
        provider_id = patient.node.provider_id
        if provider_id is None:
            raise CannotAsk(f"{patient.node.label} has no instance on record to reboot")
        try:
            work.provider.reboot_instance(provider_id)
        except (InstanceNotFound, ProviderRefused) as error:
            raise CannotAsk(f"no reboot: {error}") from None
        return Asked(f"reboot of instance {provider_id}")

    do_step(work, limits, REBOOT, ask, timeout_seconds=limits.reboot_timeout_seconds)


def begin_maintenance(work: NodeWork, limits: HealthLimits) -> None:
    """Give a node that nothing helped to a person, with a High alert in the same transaction.

    Raises `RecoverError` then, so that the run shows it too. A probe that failed stays in service: no node of a fleet
    that went silent together is to blame by itself.
    """
    with closing_attempts(work):
        patient = look_again(work, limits)
        if patient is None:
            return
        if patient.are_many_silent:
            raise ManySilent(f"the probe did not come back: {patient.reason}. Suspect the gateway or the provider")
        outcome = _give_to_a_person(work, patient)
    raise RecoverError(outcome)


def _give_to_a_person(work: NodeWork, patient: Patient) -> str:
    node, action = patient.node, work.action
    with work.engine.begin() as connection:
        lock_rule(connection, MAINTENANCE)
        tried = [f"{row.asked_for}: {row.outcome}" for row in recoveries.list_steps(connection, action.action_id)]
        tried = tried or [f"it fell ill {patient.falls_last_hour} times in an hour"]
        why = "; ".join([patient.reason, *tried])
        nodes.apply_event(
            connection,
            node.node_id,
            NodeEvent.MAINTENANCE_BEGUN,
            reason=why,
            requested_by=action.requested_by,
            now=work.clock.now(),
            action_id=action.action_id,
            run_id=action.run_id,
        )
        save_alerts(
            connection,
            MAINTENANCE,
            held(MAINTENANCE, alert_facts.held_nodes(connection)),
            now=work.clock.now(),
            run_id=action.run_id,
            resolution=RESOLVED_BY_ITSELF,
        )
        outcome = f"{node.label} is in maintenance: {why}"
        give_up(connection, work, Verdict(ActionStatus.FAILED, None), outcome)
    return outcome


def _check_flapping(patient: Patient, limits: HealthLimits) -> None:
    if is_flapping(patient.falls_last_hour, limits):
        raise CannotAsk(f"{patient.node.label} fell ill {patient.falls_last_hour} times in an hour: no more restarts")
