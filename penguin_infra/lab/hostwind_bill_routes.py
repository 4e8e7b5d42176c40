"""The lab's own calls about the simulated Hostwind's money: its bill, its prices, and addresses that cost extra.

They (`/lab/...`) are no part of the contract, and no product code may use them.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penguin_infra.lab.hostwind_bill import HOURLY, MONTHLY, bill
from penguin_infra.lab.hostwind_instance import SimulatedInstance
from penguin_infra.lab.hostwind_plans import PLANS
from penguin_infra.lab.hostwind_prices import PriceChange
from penguin_infra.lab.hostwind_routes import MOST_EXTRA_ADDRESSES, Clock, Refusal, read_body
from penguin_infra.lab.hostwind_state import HostwindState


def bill_routes(state: HostwindState, clock: Clock) -> list[Route]:
    """The calls by method and path."""

    async def show_bill(request: Request) -> Response:
        cycle = request.query_params.get("cycle", HOURLY)
        if cycle not in {HOURLY, MONTHLY}:
            raise Refusal(422, "unknown_cycle", f"cycle is {HOURLY} or {MONTHLY}")
        return JSONResponse(bill(state.all_instances(), now=clock(), prices=state.prices.changes(), cycle=cycle))

    async def change_price(request: Request) -> Response:
        change = _price_change(await read_body(request), clock())
        state.prices.change(change)
        return JSONResponse({"plan": change.plan, "monthly_usd": str(change.monthly_usd)}, 201)

    async def change_addresses(request: Request) -> Response:
        instance = live(state, request)
        count = (await read_body(request)).get("count")
        if not isinstance(count, int) or not 0 <= count <= MOST_EXTRA_ADDRESSES:
            raise Refusal(422, "invalid_count", f"count is a whole number from 0 to {MOST_EXTRA_ADDRESSES}")
        state.change_addresses(instance, count=count, now=clock())
        return JSONResponse({"id": instance.provider_id, "count": count}, 201)

    return [
        Route("/lab/bill", show_bill, methods=["GET"]),
        Route("/lab/prices", change_price, methods=["POST"]),
        Route("/lab/instances/{id}/extra-addresses", change_addresses, methods=["POST"]),
    ]


def live(state: HostwindState, request: Request) -> SimulatedInstance:
    """The instance that the path names. Errors: `Refusal`."""
    instance = state.live_instance(request.path_params["id"])
    if instance is None:
        raise Refusal(404, "instance_not_found", "no such instance")
    return instance


def _price_change(asked: Mapping[str, object], now: datetime) -> PriceChange:
    plan, currency = asked.get("plan"), asked.get("currency")
    if plan not in PLANS:
        raise Refusal(422, "unknown_plan", f"plans are {', '.join(PLANS)}")
    try:
        monthly_usd = Decimal(str(asked.get("monthly_usd")))
        from_at = now if asked.get("from_at") is None else datetime.fromisoformat(str(asked["from_at"]))
    except (InvalidOperation, ValueError):
        raise Refusal(422, "invalid_price", "monthly_usd is an amount, from_at a moment in ISO 8601") from None
    if not monthly_usd.is_finite() or monthly_usd < 0 or from_at.tzinfo is None:
        raise Refusal(422, "invalid_price", "monthly_usd is not below 0, and from_at names its offset from UTC")
    return PriceChange(str(plan), monthly_usd, from_at.astimezone(UTC), str(currency) if currency else None)
