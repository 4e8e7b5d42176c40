"""The lab nodes' control: routes on loopback by which scenarios are set, apart from what nodes say."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penguin_infra.lab.host_orders import HostRefused
from penguin_infra.lab.node_moods import Scenario

SetScenario = Callable[[str, Scenario], None]
DescribeNodes = Callable[[], list[Mapping[str, Any]]]


def control_routes(describe: DescribeNodes, set_scenario: SetScenario) -> list[Route]:
    """`GET /nodes`, `POST /nodes/{label}/scenario` with `{"scenario"}`; raise `HostRefused`."""

    async def list_nodes(_request: Request) -> JSONResponse:
        return JSONResponse({"nodes": [dict(node) for node in await run_in_threadpool(describe)]})

    async def change(request: Request) -> JSONResponse:
        try:
            scenario = Scenario((await request.json())["scenario"])
        except (ValueError, KeyError, TypeError):
            raise HostRefused(f"scenario: one of {', '.join(Scenario)}") from None
        await run_in_threadpool(set_scenario, request.path_params["label"], scenario)
        return JSONResponse({"label": request.path_params["label"], "scenario": scenario})

    return [
        Route("/nodes", list_nodes),
        Route("/nodes/{label}/scenario", change, methods=["POST"]),
    ]
