"""Ask for new nodes: each becomes a row in `provisioning`, which the provision sensor finds. Nothing is bought here."""

from collections.abc import Iterator
from datetime import datetime
from itertools import count

from sqlalchemy import Connection

from penguin_infra.domain.node import LABEL_PATTERN, Node
from penguin_infra.store import nodes


class BadRequest(Exception):
    """A request that cannot be taken; the message names the field."""


def request_nodes(
    connection: Connection,
    *,
    node_count: int,
    region: str,
    plan: str,
    requested_by: str,
    now: datetime,
    label: str | None = None,
    reason: str | None = None,
) -> list[Node]:
    """Register requests for `node_count` nodes; a label is given for one, or made from the region and a number.

    `reason`: why, where more is to be said than who asked for what.
    """
    if node_count < 1:
        raise BadRequest("count: must be 1 or more")
    if label is not None and node_count != 1:
        raise BadRequest("label: names one node; leave it out to request several")
    if label is not None and not LABEL_PATTERN.match(label):
        raise BadRequest(f"label: {label!r} is no host name: use 1 to 33 lower-case letters, digits and hyphens")
    if not LABEL_PATTERN.match(region):
        raise BadRequest(f"region: {region!r} is no region's name (dallas, for instance)")
    if not plan.strip():
        raise BadRequest("plan: names no plan (ssd-1, for instance)")
    # Shortened, so that a number still fits behind a long name.
    prefix = f"node-{region[:20]}-"
    labels = iter([label]) if label else _free_labels(prefix, nodes.taken_labels(connection, prefix))
    ids = [
        nodes.insert_request(
            connection,
            label=next(labels),
            region=region,
            plan=plan,
            requested_by=requested_by,
            now=now,
            reason=reason,
        )
        for _ in range(node_count)
    ]
    return [nodes.get_node(connection, node_id) for node_id in ids]


def _free_labels(prefix: str, taken: set[str]) -> Iterator[str]:
    return (label for number in count(1) if (label := f"{prefix}{number:03}") not in taken)
