"""The lab nodes' control: routes on loopback by which scenarios are set, apart from what nodes say."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penguin_infra.lab.customers import MOST_PERCENT
from penguin_infra.lab.history import DEMAND_HOURS
from penguin_infra.lab.host_orders import HostRefused
from penguin_infra.lab.node_moods import Scenario

SetScenario = Callable[[str, Scenario], None]
AskForMore = Callable[[int], int]
DescribeNodes = Callable[[], list[Mapping[str, Any]]]


def control_routes(describe: DescribeNodes, set_scenario: SetScenario, ask_for_more: AskForMore) -> list[Route]:
    """`GET /nodes`, `POST /nodes/{label}/scenario` with `{"scenario"}`, `POST /demand` with `{"percent"}`.

    Errors: `HostRefused`.
    """

    async def list_nodes(_request: Request) -> JSONResponse:
        return JSONResponse({"nodes": [dict(node) for node in await run_in_threadpool(describe)]})

    async def change(request: Request) -> JSONResponse:
        try:
            scenario = Scenario((await request.json())["scenario"])
        except (ValueError, KeyError, TypeError):
            raise HostRefused(f"scenario: one of {', '.join(Scenario)}") from None
        await run_in_threadpool(set_scenario, request.path_params["label"], scenario)
        return JSONResponse({"label": request.path_params["label"], "scenario": scenario})

    async def raise_demand(request: Request) -> JSONResponse:
        try:
            percent = int((await request.json())["percent"])
        except (ValueError, KeyError, TypeError):
            percent = -1
        if not 0 <= percent <= MOST_PERCENT:
            raise HostRefused(f"percent: a whole number from 0 (as usual) to {MOST_PERCENT}")
        serving = await run_in_threadpool(ask_for_more, percent)
        return JSONResponse({"percent": percent, "nodes": serving, "hours": DEMAND_HOURS})

    return [
        Route("/nodes", list_nodes),
        Route("/demand", raise_demand, methods=["POST"]),
        Route("/nodes/{label}/scenario", change, methods=["POST"]),
    ]
