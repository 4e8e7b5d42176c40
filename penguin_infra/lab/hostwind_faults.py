"""Faults of the simulated Hostwind on demand: which there are, when each applies, and the middleware that does them.

Faults live in memory: a restarted simulator is a healthy one. The commands that set them are in `cli/lab_hostwind.py`.
"""

import asyncio
import itertools
import math
from dataclasses import asdict, dataclass
from enum import StrEnum

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

LAB_PREFIX = "/lab/"


class FaultKind(StrEnum):
    """What can go wrong."""

    LATENCY = "latency"  # waits `seconds` before the request is looked at, which then is carried out
    RATE_LIMIT = "rate_limit"  # 429 with `Retry-After`, which knows whole seconds only
    SERVER_ERROR = "server_error"  # 500, nothing done
    CUT_AFTER_ACT = "cut_after_act"  # does what was asked, then closes the connection without an answer
    HTML = "html"  # a web page where the API should be
    NO_ADDRESS = "no_address"  # an instance created now never boots


@dataclass(slots=True)
class Fault:
    """One fault in force; `count` is how many requests it still meets, None until it is cleared."""

    number: int
    kind: FaultKind
    seconds: float = 1.0
    count: int | None = None
    method: str | None = None
    path_prefix: str | None = None

    def answer(self) -> dict[str, object]:
        """The fault as `GET /lab/faults` lists it."""
        return asdict(self)

    def meets(self, method: str, path: str) -> bool:
        """Whether a request of this method and path is in for it."""
        if self.kind is FaultKind.NO_ADDRESS and (method, path) != ("POST", "/instances"):
            return False
        return self.method in {None, method} and path.startswith(self.path_prefix or "")


class FaultBoard:
    """The faults in force."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def add(
        self, kind: FaultKind, *, seconds: float, count: int | None, method: str | None, path_prefix: str | None
    ) -> Fault:
        """Put a fault in force."""
        fault = Fault(next(self._numbers), kind, seconds, count, method, path_prefix)
        self._faults.append(fault)
        return fault

    def list(self) -> list[Fault]:
        """The faults in force, oldest first."""
        return [*self._faults]

    def clear(self) -> None:
        """End all faults."""
        self._faults.clear()

    def take(self, method: str, path: str) -> dict[FaultKind, Fault]:
        """The faults that this request meets, one a kind, each counted down."""
        met: dict[FaultKind, Fault] = {}
        for fault in self._faults:
            if fault.kind not in met and fault.meets(method, path):
                met[fault.kind] = fault
        for fault in met.values():
            if fault.count is not None:
                fault.count -= 1
        self._faults = [fault for fault in self._faults if fault.count != 0]
        return met


class FaultMiddleware:
    """Does the faults to the contract's calls; the lab's own calls are spared."""

    def __init__(self, app: ASGIApp, board: FaultBoard) -> None:
        self._app = app
        self._board = board

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or not, as the board says."""
        if scope["type"] != "http" or scope["path"].startswith(LAB_PREFIX):
            await self._app(scope, receive, send)
            return
        faults = self._board.take(scope["method"], scope["path"])
        if latency := faults.get(FaultKind.LATENCY):
            # The whole request is taken in first: a client that gives up meanwhile does not stop it.
            receive = await _received(receive)
            await asyncio.sleep(latency.seconds)
        if response := _response_instead(faults):
            await response(scope, receive, send)
            return
        request = Request(scope)
        request.state.is_address_withheld = FaultKind.NO_ADDRESS in faults
        if FaultKind.CUT_AFTER_ACT not in faults:
            await self._app(scope, receive, send)
            return
        await self._app(scope, receive, _swallow)
        request.state.cut_connection()
        # Returning before the server has noticed the cut would make it write a 500 first.
        while (await receive())["type"] != "http.disconnect":
            pass


class CuttableProtocol(H11Protocol):
    """uvicorn's HTTP protocol, whose requests can close their connection without an answer.

    An exception will not do: uvicorn answers it with a 500.
    """

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hand each request of this connection the means to cut it, as `request.state.cut_connection`."""
        self.app_state = {**self.app_state, "cut_connection": transport.abort}
        super().connection_made(transport)


def _response_instead(faults: dict[FaultKind, Fault]) -> Response | None:
    if limit := faults.get(FaultKind.RATE_LIMIT):
        body = {"error": {"code": "rate_limited", "message": "too many requests"}}
        return JSONResponse(body, 429, headers={"Retry-After": str(math.ceil(limit.seconds))})
    if FaultKind.SERVER_ERROR in faults:
        return JSONResponse({"error": {"code": "internal_error", "message": "something broke"}}, 500)
    if FaultKind.HTML in faults:
        return HTMLResponse(
            "<!doctype html><title>Hostwind</title><p>Down for maintenance. Please come back in an hour."
        )
    return None


async def _received(receive: Receive) -> Receive:
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())

    async def replay() -> Message:
        return messages.pop(0) if messages else await receive()

    return replay


async def _swallow(message: Message) -> None:
    """Drop an answer."""
