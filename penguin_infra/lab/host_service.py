"""The lab's installer service: nodes are installed and looked into over HTTP, in an installer's place.

The routes below `/hosts`, for whoever has the lab's API key. What is done is `nodes.py`'s.
"""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Protocol, cast

from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from penguin_infra.lab.host_orders import HostOrder, HostRefused, MailOrder, read_host_order, read_mail_order
from penguin_infra.lab.node_keys import DKIM_SELECTOR, NodeKeys


class Hosts(Protocol):
    """What the service needs of the nodes; everything raises `HostRefused`."""

    def install(self, order: HostOrder, token: str | None) -> tuple[NodeKeys, int]:
        """Bring a node to what was ordered; its keys, and how many steps changed anything."""
        ...

    def restart(self, label: str) -> None:
        """Restart a node's services."""
        ...

    def send_mail(self, label: str, order: MailOrder) -> None:
        """Hand a mail to a node's mail server."""
        ...

    def count_queued(self, label: str) -> int:
        """How many mails wait in a node's queue."""
        ...


def host_routes(hosts: Hosts, *, api_key: str) -> Mount:
    """`PUT /hosts/{label}`, `POST /hosts/{label}/restart`, `POST /hosts/{label}/mail`, `GET /hosts/{label}/queue`."""

    async def install(request: Request) -> Response:
        order, token = read_host_order(request.path_params["label"], await _read_body(request))
        keys, changed = await run_in_threadpool(hosts.install, order, token)
        return JSONResponse(
            {
                "host_key": keys.host_key,
                "dkim_selector": DKIM_SELECTOR,
                "dkim_public_key": keys.dkim_public_key,
                "changed": changed,
            }
        )

    async def restart(request: Request) -> Response:
        await run_in_threadpool(hosts.restart, request.path_params["label"])
        return Response(status_code=204)

    async def send_mail(request: Request) -> Response:
        order = read_mail_order(await _read_body(request))
        await run_in_threadpool(hosts.send_mail, request.path_params["label"], order)
        return JSONResponse({}, status_code=202)

    async def count_queued(request: Request) -> Response:
        return JSONResponse({"queued": await run_in_threadpool(hosts.count_queued, request.path_params["label"])})

    return Mount(
        "/hosts",
        routes=[
            Route("/{label}", install, methods=["PUT"]),
            Route("/{label}/restart", restart, methods=["POST"]),
            Route("/{label}/mail", send_mail, methods=["POST"]),
            Route("/{label}/queue", count_queued),
        ],
        middleware=[Middleware(_BearerKey, api_key=api_key)],
    )


async def answer_refusal(_: Request, error: Exception) -> Response:
    """A `HostRefused` as the service says it."""
    refused = cast("HostRefused", error)
    return _refusal(refused.status, refused.code, str(refused))


class _BearerKey:
    def __init__(self, app: ASGIApp, *, api_key: str) -> None:
        self._app = app
        self._expected = b"bearer " + api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scheme, _, key = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if compare_digest(scheme.lower() + b" " + key, self._expected):
            await self._app(scope, receive, send)
        else:
            await _refusal(401, "unauthorized", "send the lab's API key as a bearer token")(scope, receive, send)


async def _read_body(request: Request) -> Mapping[str, object]:
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise HostRefused("the body is not a JSON object")
    return body


def _refusal(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": message, "code": code}, status_code=status)
