"""The simulated Hostwind as a process: the contract's calls behind Basic credentials, the lab's own calls, the server.

Reached over a loopback socket only, as the real API is over the network.
"""

import errno
import hmac
import socket
from base64 import b64encode
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from penguin_infra.lab.hostwind_addresses import AddressPool
from penguin_infra.lab.hostwind_bill_routes import bill_routes
from penguin_infra.lab.hostwind_faults import CuttableProtocol, FaultBoard, FaultMiddleware
from penguin_infra.lab.hostwind_lab_routes import lab_routes
from penguin_infra.lab.hostwind_reverse_dns import ReverseDnsServer, publishing_reverse_names
from penguin_infra.lab.hostwind_routes import Clock, HostwindRoutes, Refusal
from penguin_infra.lab.hostwind_state import HostwindState


class SimulatorNotStarted(Exception):
    """The simulator cannot serve; the message says why and what to do."""


def serve_hostwind(
    *,
    host: str,
    port: int,
    directory: Path,
    key: str,
    secret: str,
    boot_seconds: float,
    addresses: AddressPool | None = None,
    reverse_dns: ReverseDnsServer | None = None,
    reverse_dns_delay_seconds: float = 0,
) -> None:
    """Serve the simulated Hostwind until a signal ends it.

    `directory` keeps the instances from one start to the next. `reverse_dns`: where reverse names are published;
    without it they are kept only. Errors: `SimulatorNotStarted`.
    """
    if not ip_address(host).is_loopback:
        raise SimulatorNotStarted(f"the simulated Hostwind listens on a loopback address only, not on {host}")
    with _listening_socket(host, port) as listener, HostwindState(directory, addresses) as state:
        app = simulator_app(
            state,
            key=key,
            secret=secret,
            boot_seconds=boot_seconds,
            reverse_dns=reverse_dns,
            reverse_dns_delay_seconds=reverse_dns_delay_seconds,
        )
        config = uvicorn.Config(
            app,
            http=CuttableProtocol,
            loop="asyncio",
            ws="none",
            lifespan="on",
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        uvicorn.Server(config).run(sockets=[listener])


def now_utc() -> datetime:
    """The time, as this machine has it."""
    return datetime.now(UTC)


def simulator_app(
    state: HostwindState,
    *,
    key: str,
    secret: str,
    boot_seconds: float,
    reverse_dns: ReverseDnsServer | None,
    reverse_dns_delay_seconds: float,
    clock: Clock = now_utc,
) -> Starlette:
    """The contract's calls and the lab's over one state."""
    board = FaultBoard()
    calls = HostwindRoutes(
        state, boot_seconds=boot_seconds, reverse_dns_delay_seconds=reverse_dns_delay_seconds, clock=clock
    ).routes()
    return Starlette(
        routes=[*calls, *lab_routes(state, board), *bill_routes(state, clock)],
        middleware=[
            Middleware(BasicCredentials, key=key, secret=secret),
            Middleware(FaultMiddleware, board=board),
        ],
        exception_handlers={Refusal: _refuse, HTTPException: _refuse_route},
        lifespan=_lifespan(state, reverse_dns),
    )


def _lifespan(
    state: HostwindState, reverse_dns: ReverseDnsServer | None
) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    if reverse_dns is None:
        return lambda _: nullcontext()
    return lambda _: publishing_reverse_names(state.reverse_names, reverse_dns)


class BasicCredentials:
    """Lets through only requests with the one key and secret."""

    def __init__(self, app: ASGIApp, *, key: str, secret: str) -> None:
        self._app = app
        self._expected = b"basic " + b64encode(f"{key}:{secret}".encode())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 401."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        scheme, _, credentials = dict(scope["headers"]).get(b"authorization", b"").partition(b" ")
        if hmac.compare_digest(scheme.lower() + b" " + credentials, self._expected):
            await self._app(scope, receive, send)
        else:
            await _error(401, "unauthorized", "the key or the secret is wrong")(scope, receive, send)


async def _refuse(_: Request, error: Exception) -> Response:
    refusal = cast("Refusal", error)
    return _error(refusal.status, refusal.code, str(refusal))


async def _refuse_route(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return _error(status, "unknown_route", f"there is no {request.method} {request.url.path}")


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def _listening_socket(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named because asyncio sends small segments at once only then; else each answer takes 40 ms more.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # A restart must not wait for the former process's closed connections to time out.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        why = "another process holds it" if error.errno == errno.EADDRINUSE else str(error)
        raise SimulatorNotStarted(
            f"the simulated Hostwind cannot listen on {host}:{port}: {why}. Set PENGUIN_LAB_HOSTWIND_PORT"
        ) from None
    return listener
