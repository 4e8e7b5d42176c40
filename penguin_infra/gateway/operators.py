"""What operators and other programs ask: nodes, the rotation, tokens, and complaints in ARF. By API key, by scope.

What is asked of one node, and the ledger, is `node_routes.py`'s. What they do stands in `operations/`; these routes run
in threads, apart from the agents' loop.
"""

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Depends, Header, Path, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from penguin_infra.domain.complaint import NotFeedback
from penguin_infra.domain.lifecycle import IllegalTransition
from penguin_infra.domain.node import Node, NodeStatus
from penguin_infra.domain.policies.leave_on_request import CannotLeave
from penguin_infra.domain.policies.resize_on_request import CannotResize
from penguin_infra.gateway.callers import Caller, caller_of
from penguin_infra.gateway.demand_routes import add_demand_routes
from penguin_infra.gateway.errors import ApiError, Unavailable, json_response
from penguin_infra.gateway.node_routes import add_action_routes, add_node_routes
from penguin_infra.gateway.report_routes import add_report_routes
from penguin_infra.operations.answer_once import KeyReused, answer_once
from penguin_infra.operations.approve_action import ActionNotFound, NotProposed, NowRefused
from penguin_infra.operations.carry_out_batch import CannotAct
from penguin_infra.operations.issue_credentials import issue_agent_token
from penguin_infra.operations.record_complaint import record_complaint
from penguin_infra.operations.request_nodes import BadRequest, request_nodes
from penguin_infra.store import nodes
from penguin_infra.store.database import lock_labels
from penguin_infra.wiring import Wiring

# A mail is bytes: OpenAPI has no other word for a body that is no JSON.
_RAW_MAIL = {
    "requestBody": {
        "required": True,
        "content": {"message/rfc822": {"schema": {"type": "string", "format": "binary"}}},
    }
}
Printable = r"^[!-~]+$"


class NodeRequest(BaseModel):
    """A request for one node."""

    model_config = ConfigDict(extra="forbid", strict=True)

    region: str = Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?$", description="The provider's region.")
    plan: str = Field(pattern=Printable, max_length=50, description="The provider's plan.")
    label: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?$",
        description="By default made from the region and a number.",
    )


class NodeOut(BaseModel):
    """A node; only a request has no address yet."""

    node_id: UUID
    label: str
    status: NodeStatus
    region: str
    plan: str
    ip_address: str | None
    hostname: str | None


class RotationNodeOut(NodeOut):
    """A node that may send; `hour_left` and `day_left` are null where no warm-up limits it."""

    hour_left: int | None = Field(description="Messages that it may still send in this hour (UTC).")
    day_left: int | None = Field(description="Messages that it may still send on this day (UTC).")


class NodesOut(BaseModel):
    """All nodes, by label."""

    nodes: list[NodeOut]


class RotationOut(BaseModel):
    """The nodes that may send now, by label."""

    nodes: list[RotationNodeOut]


class TokenOut(BaseModel):
    """A node's new token, shown this once."""

    node_id: UUID
    token: str


class ComplaintOut(BaseModel):
    """What became of a complaint."""

    attribution: str
    is_new: bool


def build_router(fleet: Wiring) -> APIRouter:
    """The routes, on this fleet."""
    router = APIRouter(prefix="/api/v1")

    @router.get("/infrastructure/rotation", tags=["infrastructure"], response_model=RotationOut)
    def get_rotation(caller: Annotated[Caller, caller_of(fleet, "read")]) -> Response:
        """Who may send now, and how much warming ones still may in this hour and on this day."""
        found = [
            _row(row._mapping) | {"hour_left": row.hour_left, "day_left": row.day_left}
            for row in nodes.rotation(caller.connection)
        ]
        return json_response({"nodes": found})

    @router.get("/infrastructure/nodes", tags=["infrastructure"], response_model=NodesOut)
    def get_nodes(caller: Annotated[Caller, caller_of(fleet, "read")]) -> Response:
        """All nodes."""
        return json_response({"nodes": [_node(node) for node in nodes.list_nodes(caller.connection)]})

    @router.post("/infrastructure/nodes", tags=["infrastructure"], status_code=202, response_model=NodeOut)
    def post_node(
        caller: Annotated[Caller, caller_of(fleet, "operate")],
        asked: NodeRequest,
        idempotency_key: Annotated[str | None, Header(pattern=Printable, max_length=200)] = None,
    ) -> Response:
        """Ask for a node. With an `Idempotency-Key`, the same request again asks for no second one."""
        now = fleet.clock.now()

        answer = answer_once(
            caller.connection,
            key_id=caller.key.key_id,
            idempotency_key=idempotency_key,
            request=asked.model_dump_json().encode(),
            now=now,
            act=lambda: _request_node(caller, asked, now),
        )
        # In the shape's order: the database keeps no order of its own.
        return json_response({name: answer[name] for name in NodeOut.model_fields}, status=202)

    @router.post(
        "/infrastructure/nodes/{node_id}/agent-token",
        tags=["infrastructure"], status_code=201, response_model=TokenOut,
    )  # fmt: skip
    def post_agent_token(
        caller: Annotated[Caller, caller_of(fleet, "admin")],
        node_id: Annotated[UUID, Path(description="The node's id.")],
    ) -> Response:
        """Make a node's token; the former one ends in five minutes."""
        token = issue_agent_token(caller.connection, node_id, fleet.clock.now())
        return json_response({"node_id": node_id, "token": token}, status=201, headers={"Cache-Control": "no-store"})

    @router.post("/feedback/arf", tags=["feedback"], response_model=ComplaintOut, openapi_extra=_RAW_MAIL)
    def post_complaint(
        caller: Annotated[Caller, caller_of(fleet, "operate")],
        raw: Annotated[bytes, Depends(_raw_mail)],
    ) -> Response:
        """Take a complaint as the mail that a mailbox provider sent (RFC 5965), raw."""
        found = record_complaint(caller.connection, raw, fleet.clock.now())
        return json_response({"attribution": found.attribution, "is_new": found.is_new})

    add_demand_routes(router, fleet)
    add_node_routes(router, fleet)
    add_action_routes(router, fleet)
    add_report_routes(router, fleet)
    return router


async def _raw_mail(request: Request) -> bytes:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "message/rfc822":
        raise ApiError(415, "unsupported_media_type", "send the mail raw, as `Content-Type: message/rfc822`")
    return await request.body()


def _request_node(caller: Caller, asked: NodeRequest, now: datetime) -> dict[str, Any]:
    lock_labels(caller.connection)
    (node,) = request_nodes(
        caller.connection,
        node_count=1,
        region=asked.region,
        plan=asked.plan,
        label=asked.label,
        requested_by=caller.name,
        now=now,
    )
    return _node(node)


# What an operation's error means to its caller: status, code, and the field where it is always the same.
_MEANINGS: dict[type[Exception], tuple[int, str, str | None]] = {
    BadRequest: (422, "invalid", None),
    nodes.LabelTaken: (409, "conflict", "label"),
    nodes.NodeNotFound: (404, "not_found", None),
    NotFeedback: (422, "invalid", None),
    IllegalTransition: (409, "conflict", None),
    CannotAct: (409, "conflict", None),
    CannotLeave: (409, "conflict", None),
    CannotResize: (409, "conflict", None),
    ActionNotFound: (404, "not_found", None),
    NotProposed: (409, "conflict", None),
    NowRefused: (409, "refused", None),
    KeyReused: (422, "idempotency_key_reused", None),
}
REFUSALS: tuple[type[Exception], ...] = (ApiError, OperationalError, PoolTimeout, *_MEANINGS)


def as_refusal(error: Exception) -> ApiError:
    """One of `REFUSALS` in the API's words."""
    if isinstance(error, ApiError):
        return error
    if type(error) in _MEANINGS:
        status, code, field = _MEANINGS[type(error)]
        return ApiError(status, code, str(error), field=field)
    return Unavailable("the database did not answer; send this again")


def _node(node: Node) -> dict[str, Any]:
    return _row({name: getattr(node, name) for name in NodeOut.model_fields})


def _row(row: Any) -> dict[str, Any]:
    named = {name: row[name] for name in NodeOut.model_fields}
    address = named["ip_address"]
    return named | {
        "node_id": str(named["node_id"]),
        "status": str(named["status"]),
        "ip_address": None if address is None else str(address),
    }
