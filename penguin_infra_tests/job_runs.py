"""The jobs on one node as plain calls, in the order of their ops: for tests that need no Dagster around them."""

from penguin_infra.operations import leave_node, provision_node, reinstall_node
from penguin_infra.operations.begin_warmups import WarmupRules
from penguin_infra.operations.install_node import install_node
from penguin_infra.operations.node_work import NodeWork
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.operations.publish_names import publish_dns
from penguin_infra.operations.release_node import close_request
from penguin_infra.operations.screen_address import screen_address
from penguin_infra.operations.verify_delivery import verify_delivery


def provision(work: NodeWork, parts: ProvisionParts) -> None:
    provision_node.request_instance(work, parts)
    provision_node.await_address(work)
    screen_address(work, parts)
    publish_dns(work, parts)
    install_node(work, parts)
    verify_delivery(work, parts)
    provision_node.admit_node(work, WarmupRules())


def release(work: NodeWork, parts: ProvisionParts) -> None:
    leave_node.revoke_access(work)
    leave_node.remove_records(work, parts.dns)
    leave_node.destroy_instance(work)
    close_request(work)


def reinstall(work: NodeWork, parts: ProvisionParts) -> None:
    reinstall_node.begin_reinstall(work)
    provision_node.await_address(work)
    publish_dns(work, parts)
    install_node(work, parts)
    verify_delivery(work, parts)
    reinstall_node.end_reinstall(work)
