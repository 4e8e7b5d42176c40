"""The gateway's application: routes, documents and tasks put together, and every error in the API's own words."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp

from penguin_infra.gateway import measures
from penguin_infra.gateway.agents import Agents
from penguin_infra.gateway.directory import Directory
from penguin_infra.gateway.errors import ApiError, Unavailable, json_response, render_error
from penguin_infra.gateway.front import INTERNAL, Front, HotRoute, answer_hot
from penguin_infra.gateway.links import Link
from penguin_infra.gateway.openapi import AGENT_ROUTES, describe
from penguin_infra.gateway.operators import REFUSALS, as_refusal, build_router
from penguin_infra.gateway.upkeep import Upkeep
from penguin_infra.messages.telemetry import VERSION
from penguin_infra.settings import settings
from penguin_infra.wiring import Wiring

APPLICATION_NAME = "penguin-infra-gateway"


def from_environment() -> ASGIApp:
    """The application of this process's settings: what uvicorn's workers call."""
    return build_app(Wiring(settings(), application_name=APPLICATION_NAME))


def build_app(fleet: Wiring) -> ASGIApp:
    """The application on this fleet; it connects when it is started."""
    links = [Link(fleet.database_url, application_name=APPLICATION_NAME) for _ in range(3)]
    heartbeat_link, delivery_link, reading_link = links
    directory = Directory(reading_link)
    agents = Agents(directory, heartbeat_link, delivery_link)
    upkeep = Upkeep(reading_link, directory)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        with suppress(TimeoutError):
            # Ready before the first request, where there is a database; without one the gateway serves 503s.
            async with asyncio.timeout(5):
                await reading_link.restore()
                await upkeep.once()
        runs = (agents.heartbeat_writer.run(), agents.delivery_writer.run(), upkeep.run())
        tasks = [asyncio.create_task(run) for run in runs]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for link in links:
            await link.close()
        fleet.engine.dispose()

    app = FastAPIOffline(
        redoc_url=None,
        title="penguin-infra gateway",
        version=str(VERSION),
        description="Telemetry in, the rotation out, and operators' requests.",
        lifespan=lifespan,
        # A path that is not known is told so, rather than sent elsewhere with its token.
        redirect_slashes=False,
    )
    hot: dict[str, HotRoute] = {
        "/api/v1/agents/heartbeat": agents.heartbeat,
        "/api/v1/agents/deliveries": agents.deliveries,
    }
    for path, route in hot.items():
        app.add_api_route(path, _framed(route), methods=["POST"], tags=["agents"], openapi_extra=AGENT_ROUTES[path])
    app.include_router(build_router(fleet))
    _add_probes(app, upkeep)
    _add_error_handlers(app)
    describe(app)
    return Front(app, hot)


def _framed(route: HotRoute) -> Any:
    """A hot route as FastAPI serves it: for the document, and for the day when the short way is left out."""

    async def framed(request: Request) -> Response:
        headers = dict(request.scope["headers"])
        body = await request.body()
        return await answer_hot(route, headers.get(b"content-type"), headers.get(b"authorization"), body)

    framed.__name__ = route.__name__
    framed.__doc__ = route.__doc__
    return framed


def _add_probes(app: FastAPI, upkeep: Upkeep) -> None:
    @app.get("/healthz", tags=["probes"])
    async def healthz() -> dict[str, str]:
        """Whether the process serves."""
        return {"status": "ok"}

    @app.get("/readyz", tags=["probes"])
    async def readyz() -> dict[str, str]:
        """Whether the database answered within the last seconds."""
        if not upkeep.is_ready:
            raise Unavailable("the database has not answered for some seconds")
        return {"status": "ready"}

    @app.get("/metrics", tags=["probes"], response_class=Response)
    def metrics() -> Response:
        """Measures in Prometheus's text format, of all workers."""
        return Response(measures.render_metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_error_handlers(app: FastAPI) -> None:
    async def refuse(_request: Request, error: Exception) -> Response:
        refusal = as_refusal(error)
        measures.REFUSED.labels(refusal.code).inc()
        return render_error(refusal)

    async def refuse_shape(_request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"][1:])
        code = "malformed" if first["type"] == "json_invalid" else "invalid"
        measures.REFUSED.labels(code).inc()
        return render_error(ApiError(422, code, first["msg"], field=path or None))

    async def refuse_route(_request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        code = {404: "not_found", 405: "method_not_allowed"}.get(error.status_code, "refused")
        body = {"error": {"code": code, "message": error.detail}}
        return json_response(body, status=error.status_code, headers=error.headers)

    async def fail(_request: Request, _error: Exception) -> Response:
        return render_error(INTERNAL)

    app.add_exception_handler(Exception, fail)
    for kind in REFUSALS:
        app.add_exception_handler(kind, refuse)
    app.add_exception_handler(RequestValidationError, refuse_shape)
    app.add_exception_handler(HTTPException, refuse_route)
