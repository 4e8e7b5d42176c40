"""The lab nodes' control: a small HTTP server on loopback by which scenarios are set, apart from what nodes say."""

from collections.abc import Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from penguin_infra.lab.node_moods import Scenario

SetScenario = Callable[[str, Scenario], None]
DescribeNodes = Callable[[], list[Mapping[str, Any]]]


class UnknownLabNode(Exception):
    """No lab node has that label; the message lists those there are."""


def control_app(describe: DescribeNodes, set_scenario: SetScenario) -> Starlette:
    """The routes: `GET /nodes`, `POST /nodes/{label}/scenario` with `{"scenario"}`."""

    async def list_nodes(_request: Request) -> JSONResponse:
        return JSONResponse({"nodes": [dict(node) for node in await run_in_threadpool(describe)]})

    async def change(request: Request) -> JSONResponse:
        try:
            scenario = Scenario((await request.json())["scenario"])
        except (ValueError, KeyError, TypeError):
            return JSONResponse({"error": f"scenario: one of {', '.join(Scenario)}"}, status_code=422)
        try:
            await run_in_threadpool(set_scenario, request.path_params["label"], scenario)
        except UnknownLabNode as error:
            return JSONResponse({"error": str(error)}, status_code=404)
        return JSONResponse({"label": request.path_params["label"], "scenario": scenario})

    return Starlette(
        routes=[
            Route("/nodes", list_nodes),
            Route("/nodes/{label}/scenario", change, methods=["POST"]),
        ]
    )
