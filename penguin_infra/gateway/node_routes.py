"""What operators ask of one node (pause, resume, resize, maintenance, decommission), and the ledger with its decisions.

As the command line does it: through the guardrails into the ledger, in the key's name; the fleet's jobs do the work.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Body, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from penguin_infra.domain.actions import ActionKind, ActionStatus, PlannedAction
from penguin_infra.domain.lifecycle import NodeEvent, next_status
from penguin_infra.domain.node import Node
from penguin_infra.domain.policies.leave_on_request import MOST_DRAIN_MINUTES, ask_to_leave
from penguin_infra.domain.policies.resize_on_request import ask_to_resize
from penguin_infra.gateway import measures
from penguin_infra.gateway.callers import Caller, caller_of
from penguin_infra.gateway.errors import ApiError, json_response, render_error
from penguin_infra.operations.approve_action import ActionNotFound, approve_action, reject_action
from penguin_infra.operations.plan_actions import plan_actions_within
from penguin_infra.operations.resize_node import check_region_is_free
from penguin_infra.operations.resume_node import check_resumable
from penguin_infra.store import actions as ledger
from penguin_infra.store import nodes
from penguin_infra.store.plan_prices import read_offers
from penguin_infra.store.tables import AnyRow
from penguin_infra.wiring import Wiring

MOST_ACTIONS = 200

NodeId = Annotated[UUID, Path(description="The node's id.")]
ActionId = Annotated[UUID, Path(description="The action's id.")]


class Why(BaseModel):
    """Why something is asked for, or refused: one line, kept in the ledger."""

    model_config = ConfigDict(extra="forbid", strict=True)

    # PostgreSQL has no NUL in a text, and a reason is shown in tables.
    reason: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=500, description="Why.")


class Leave(Why):
    """A node's leaving."""

    drain_minutes: float | None = Field(
        default=None,
        ge=0,
        le=MOST_DRAIN_MINUTES,
        allow_inf_nan=False,
        description="How long it may deliver what it has; 0: at once; by default the policy's.",
    )


class Resize(Why):
    """Another plan for a node."""

    plan: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=50, description="The provider's plan.")
    allow_smaller: bool = Field(default=False, description="Also a smaller plan: it then waits for an approval.")


class Which(BaseModel):
    """Which actions are listed."""

    model_config = ConfigDict(extra="forbid")

    status: list[ActionStatus] = Field(default=[], description="Only these; may be repeated.")
    node_id: UUID | None = Field(default=None, description="Only this node's.")
    limit: int = Field(default=50, ge=1, le=MOST_ACTIONS, description="How many at most.")


class ActionOut(BaseModel):
    """An action of the ledger. Proposed ones wait for an approval; `decided_by` says who gave it, or did not."""

    action_id: UUID
    node_id: UUID
    label: str
    kind: ActionKind
    status: ActionStatus
    reason: str
    requested_by: str
    decided_by: str | None
    attempt: int
    run_id: str | None
    outcome: str | None
    planned_at: datetime
    finished_at: datetime | None


class ActionsOut(BaseModel):
    """Actions: those that wait for approval first, then the newest."""

    actions: list[ActionOut]


def add_node_routes(router: APIRouter, fleet: Wiring) -> None:
    """Pause, resume, resize, maintenance and decommission of one node."""

    @router.post(
        "/infrastructure/nodes/{node_id}/pause", tags=["infrastructure"], status_code=202, response_model=ActionOut
    )
    def post_pause(caller: Annotated[Caller, caller_of(fleet, "operate")], node_id: NodeId, asked: Why) -> Response:
        """Take a node out of service until somebody resumes it."""

        def build(node: Node) -> PlannedAction:
            next_status(node.status, NodeEvent.PAUSED)
            return PlannedAction(node.node_id, ActionKind.PAUSE, asked.reason, caller.name)

        return _ask(fleet, caller, node_id, build)

    @router.post(
        "/infrastructure/nodes/{node_id}/resume", tags=["infrastructure"], status_code=202, response_model=ActionOut
    )
    def post_resume(
        caller: Annotated[Caller, caller_of(fleet, "operate")],
        node_id: NodeId,
        asked: Annotated[Why | None, Body()] = None,
    ) -> Response:
        """Bring a node back: a paused one to the status it had left, a maintained one through warm-up."""

        def build(node: Node) -> PlannedAction:
            check_resumable(caller.connection, node)
            reason = asked.reason if asked else "asked for by the API"
            return PlannedAction(node.node_id, ActionKind.RESUME, reason, caller.name)

        return _ask(fleet, caller, node_id, build)

    @router.post(
        "/infrastructure/nodes/{node_id}/resize", tags=["infrastructure"], status_code=202, response_model=ActionOut
    )
    def post_resize(caller: Annotated[Caller, caller_of(fleet, "operate")], node_id: NodeId, asked: Resize) -> Response:
        """Give a node another plan of the provider's price list, as it was last seen."""

        def build(node: Node) -> PlannedAction:
            check_region_is_free(caller.connection, node)
            return ask_to_resize(
                node,
                asked.plan,
                ladder=fleet.policy.throughput.ladder(read_offers(caller.connection)),
                reason=asked.reason,
                requested_by=caller.name,
                drain_minutes=fleet.policy.resize.drain_minutes,
                may_shrink=asked.allow_smaller,
            )

        return _ask(fleet, caller, node_id, build)

    @router.post(
        "/infrastructure/nodes/{node_id}/maintenance", tags=["infrastructure"],
        status_code=202, response_model=ActionOut,
    )  # fmt: skip
    def post_maintenance(
        caller: Annotated[Caller, caller_of(fleet, "operate")], node_id: NodeId, asked: Leave
    ) -> Response:
        """Drain a node and hold it for work on it; refused where too few nodes would be left to send."""
        return _ask(fleet, caller, node_id, _leaving(fleet, caller, ActionKind.MAINTENANCE, asked))

    @router.post(
        "/infrastructure/nodes/{node_id}/decommission", tags=["infrastructure"],
        status_code=202, response_model=ActionOut,
    )  # fmt: skip
    def post_decommission(
        caller: Annotated[Caller, caller_of(fleet, "admin")], node_id: NodeId, asked: Leave
    ) -> Response:
        """Take a node out of service for good. By default the action is proposed, and waits for an approval."""
        return _ask(fleet, caller, node_id, _leaving(fleet, caller, ActionKind.DECOMMISSION, asked))


def add_action_routes(router: APIRouter, fleet: Wiring) -> None:
    """The ledger, and what persons decide about it."""

    @router.get("/infrastructure/actions", tags=["infrastructure"], response_model=ActionsOut)
    def get_actions(
        caller: Annotated[Caller, caller_of(fleet, "read")],
        asked: Annotated[Which, Query()],
    ) -> Response:
        """The newest actions, those that wait for approval before all others."""
        rows = ledger.list_actions(caller.connection, statuses=asked.status, node_id=asked.node_id, limit=asked.limit)
        return json_response({"actions": [_told(row) for row in rows]})

    @router.get("/infrastructure/actions/{action_id}", tags=["infrastructure"], response_model=ActionOut)
    def get_action(caller: Annotated[Caller, caller_of(fleet, "read")], action_id: ActionId) -> Response:
        """One action."""
        return json_response(_told(_find(caller, action_id)))

    @router.post("/infrastructure/actions/{action_id}/approve", tags=["infrastructure"], response_model=ActionOut)
    def post_approval(caller: Annotated[Caller, caller_of(fleet, "admin")], action_id: ActionId) -> Response:
        """Let a proposal be carried out. Whether the fleet can do without the node is looked at again."""
        approve_action(
            caller.connection,
            action_id,
            decided_by=caller.name,
            limits=fleet.policy.guardrails,
            now=fleet.clock.now(),
        )
        return json_response(_told(_find(caller, action_id)))

    @router.post("/infrastructure/actions/{action_id}/reject", tags=["infrastructure"], response_model=ActionOut)
    def post_rejection(
        caller: Annotated[Caller, caller_of(fleet, "admin")], action_id: ActionId, asked: Why
    ) -> Response:
        """Close a proposal undone."""
        reject_action(caller.connection, action_id, decided_by=caller.name, reason=asked.reason, now=fleet.clock.now())
        return json_response(_told(_find(caller, action_id)))


def _leaving(fleet: Wiring, caller: Caller, kind: ActionKind, asked: Leave) -> Callable[[Node], PlannedAction]:
    minutes = fleet.policy.provisioning.drain_minutes if asked.drain_minutes is None else asked.drain_minutes

    def build(node: Node) -> PlannedAction:
        return ask_to_leave(node, kind, reason=asked.reason, requested_by=caller.name, drain_minutes=minutes)

    return build


def _ask(fleet: Wiring, caller: Caller, node_id: UUID, build: Callable[[Node], PlannedAction]) -> Response:
    action = build(nodes.get_node(caller.connection, node_id))
    plan = plan_actions_within(
        caller.connection, lambda _connection: [action], limits=fleet.policy.guardrails, now=fleet.clock.now()
    )
    if plan.refused:
        # Answered rather than raised: the refusal stays in the ledger.
        measures.REFUSED.labels("refused").inc()
        return render_error(ApiError(409, "refused", f"{plan.refused[0].rule}: {plan.refused[0].explanation}"))
    (action_id,) = (*plan.action_ids, *plan.proposed_ids)
    return json_response(_told(_find(caller, action_id)), status=202)


def _find(caller: Caller, action_id: UUID) -> AnyRow:
    found = ledger.find_actions(caller.connection, str(action_id))
    if not found:
        raise ActionNotFound(f"the ledger has no action {action_id}")
    return found[0]


def _told(row: AnyRow) -> dict[str, Any]:
    named = dict(row._mapping) | {"action_id": row.id}
    return {name: named[name] for name in ActionOut.model_fields}
