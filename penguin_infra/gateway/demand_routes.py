"""What the platform's mail dispatcher tells of demand: messages that it turned away for want of allowance.

Who may send is `operators.py`'s rotation; what the sums lead to, the fleet's growth.
"""

from typing import Annotated, Any

from fastapi import APIRouter, Header
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from penguin_infra.gateway.callers import Caller, caller_of
from penguin_infra.gateway.errors import json_response
from penguin_infra.operations.answer_once import answer_once
from penguin_infra.store.demand import add_refused
from penguin_infra.wiring import Wiring

# A day of the largest fleet many times over: more in one message is a fault, and would buy nodes.
MOST_REFUSED = 100_000_000


class RefusedDemand(BaseModel):
    """Messages that found no node with an allowance left."""

    model_config = ConfigDict(extra="forbid", strict=True)

    region: str = Field(
        pattern=r"^[a-z0-9]([a-z0-9-]{0,31}[a-z0-9])?$", description="The provider's region they were to leave from."
    )
    messages: int = Field(ge=1, le=MOST_REFUSED, description="How many, since this was told last.")


class RefusedDemandOut(BaseModel):
    """What was counted, into the present hour (UTC)."""

    region: str
    messages: int


def add_demand_routes(router: APIRouter, fleet: Wiring) -> None:
    """Add them to the operators' routes."""

    @router.post("/infrastructure/rotation/refusals", tags=["infrastructure"], response_model=RefusedDemandOut)
    def post_refusals(
        caller: Annotated[Caller, caller_of(fleet, "operate")],
        told: RefusedDemand,
        idempotency_key: Annotated[str | None, Header(pattern=r"^[!-~]+$", max_length=200)] = None,
    ) -> Response:
        """Tell of mail that was turned away for want of allowance: it is demand, and the fleet grows for it.

        Tell only what was not told before, once a minute or less often. With an `Idempotency-Key`, the same message
        again counts once.
        """
        now = fleet.clock.now()

        def count() -> dict[str, Any]:
            add_refused(caller.connection, region=told.region, messages=told.messages, at=now)
            return told.model_dump()

        answer = answer_once(
            caller.connection,
            key_id=caller.key.key_id,
            idempotency_key=idempotency_key,
            # Other routes take keys too: the same one with the same words there is another request.
            request=b"refusals " + told.model_dump_json().encode(),
            now=now,
            act=count,
        )
        return json_response({name: answer[name] for name in RefusedDemandOut.model_fields})
