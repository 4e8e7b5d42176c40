"""Install a node: a token for its agent, everything that makes it a sending node, and the key that it signs with."""

from dataclasses import replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from penguin_infra.domain.node import Node
from penguin_infra.domain.node_names import dkim_record
from penguin_infra.installer.installer import Host, HostUnreachable, Installation, Installed, Say
from penguin_infra.operations.issue_credentials import issue_agent_token
from penguin_infra.operations.node_steps import Done, StepError, StepImpossible, do_step, in_seconds, say_progress, wait
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_node import INSTALL_NODE
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.operations.publish_names import publish_records
from penguin_infra.store import node_places, published_names


def install_node(work: NodeWork, parts: ProvisionParts) -> None:
    """Install the host and publish its DKIM key. A host that does not answer yet is waited for."""

    def act(node: Node, _since: datetime) -> Done:
        host = host_of(node)
        with work.engine.begin() as connection:
            token = issue_agent_token(connection, node.node_id, work.clock.now())
        installed = _install(work, parts, Installation(host, parts.gateway_url, token))
        _pin(work, host, installed.host_key)
        key = dkim_record(host.hostname, installed.dkim_selector, installed.dkim_public_key)
        publish_records(work, parts, [key])

        def record(connection: Connection) -> None:
            published_names.mark_published(connection, node.node_id, [key], work.clock.now())

        return Done({"changed": installed.changed, "dkim_selector": installed.dkim_selector}, record)

    do_step(work, INSTALL_NODE, act)


def host_of(node: Node) -> Host:
    """The node as an installer knows it; raises `StepImpossible` before it has an address and a name."""
    if node.ip_address is None or node.hostname is None:
        raise StepImpossible(f"{node.label} has no address or no name on record")
    return Host(node.node_id, node.label, node.ip_address, node.hostname, node.host_key)


def _install(work: NodeWork, parts: ProvisionParts, installation: Installation) -> Installed:
    begun_at = work.clock.now()
    deadline_at = begun_at + timedelta(minutes=work.limits.install_timeout_minutes)

    def say(line: str) -> None:
        say_progress(work, INSTALL_NODE, line)

    while True:
        try:
            if installation.host.host_key is None:
                installation = _meet(work, parts, installation, say)
            return parts.installer.install(installation, say)
        except HostUnreachable as error:
            waited = work.clock.now() - begun_at
            if work.clock.now() >= deadline_at:
                raise StepError(f"{error}; tried for {in_seconds(waited)}") from None
            wait(work, INSTALL_NODE, f"{error}; tried for {in_seconds(waited)}")


def _meet(work: NodeWork, parts: ProvisionParts, installation: Installation, say: Say) -> Installation:
    """Pin the key of the first contact at once: an installation that breaks off leaves no second first contact."""
    host = installation.host
    key = parts.installer.identify(host, say)
    if key is None:
        return installation
    _pin(work, host, key)
    return replace(installation, host=replace(host, host_key=key))


def _pin(work: NodeWork, host: Host, key: str) -> None:
    with work.engine.begin() as connection:
        node_places.record_host_key(connection, host.node_id, key, work.clock.now())
