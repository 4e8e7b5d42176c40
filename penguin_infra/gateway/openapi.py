"""The OpenAPI document where it is not FastAPI's own: the agents' shapes, and the refusals that any route may give."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from penguin_infra.gateway.shapes import component_schemas

_ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/ErrorOut"}}}
_REFUSALS = {
    "400": "The body ended before its length",
    "401": "No token, or none that is known",
    "403": "Not what this token may do",
    "404": "No such thing",
    "405": "No such method here",
    "408": "The body did not come",
    "409": "Taken already, or not possible as things are",
    "413": "The body is too large",
    "415": "Not this media type, or compressed",
    "422": "The request is wrong; the error names the field",
    "429": "Too often; Retry-After says how long to wait",
    "500": "The gateway failed",
    "503": "Nothing was kept; send it again after Retry-After seconds",
}


def _agent_route(request: str, answer: str) -> dict[str, Any]:
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{request}"}}},
        },
        "responses": {
            "200": {
                "description": "Committed",
                "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{answer}"}}},
            }
        },
        "security": [{"HTTPBearer": []}],
    }


AGENT_ROUTES = {
    "/api/v1/agents/heartbeat": _agent_route("HeartbeatIn", "HeartbeatOut"),
    "/api/v1/agents/deliveries": _agent_route("DeliveryBatchIn", "DeliveriesOut"),
}


def describe(app: FastAPI) -> None:
    """Let the application's document name the agents' shapes and every route's refusals."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            made = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            made["components"]["schemas"].update(component_schemas())
            for path, operations in made["paths"].items():
                for operation in operations.values():
                    _add_refusals(path, operation["responses"])
            app.openapi_schema = made
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _add_refusals(path: str, responses: dict[str, Any]) -> None:
    if path in AGENT_ROUTES:
        # FastAPI's default beside what `openapi_extra` says.
        responses["200"] = AGENT_ROUTES[path]["responses"]["200"]
    for status, description in _REFUSALS.items():
        responses[status] = {"description": description, "content": _ERROR}
