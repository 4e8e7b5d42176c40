"""The outermost layer: reads every body within its bound, and answers the agents' routes without the framework.

Whatever is refused is told in the API's own words, whoever refuses it. No route is defined here.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from penguin_infra.gateway import measures
from penguin_infra.gateway.errors import ApiError, render_error

logger = logging.getLogger(__name__)

BODY_LIMIT_BYTES = 256 * 1024
# An agent on a poor line needs seconds for 256 kB; who needs longer holds a connection for nothing.
_BODY_SECONDS = 20

INTERNAL = ApiError(500, "internal", "the gateway failed; its log says where")

HotRoute = Callable[[str | None, bytes], Awaitable[Response]]


class Front:
    """An ASGI application before another one; `hot` maps paths to the POST routes that are answered here."""

    def __init__(self, app: ASGIApp, hot: Mapping[str, HotRoute]) -> None:
        self._app = app
        self._hot = hot

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            headers = _single_headers(scope)
            body = await _read_body(receive, headers)
            route = self._hot.get(scope["path"]) if scope["method"] == "POST" else None
            if route is None:
                await self._pass_on(body, scope, receive, send)
                return
            response = await answer_hot(route, headers.get(b"content-type"), headers.get(b"authorization"), body)
        except ApiError as error:
            measures.REFUSED.labels(error.code).inc()
            response = render_error(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, its sender gets no stack trace
            log_failure(error)
            response = render_error(INTERNAL)
        await response(scope, receive, send)

    async def _pass_on(self, body: bytes, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._app(scope, _replay(body, receive), send)
        except Exception as error:  # noqa: BLE001 - the application has answered, and raises it for whoever logs
            log_failure(error)


def log_failure(error: Exception) -> None:
    """Log what failed and where. Not its text, which may quote the request."""
    where = error.__traceback__
    while where and where.tb_next:
        where = where.tb_next
    cause = getattr(error, "orig", None)
    name = type(error).__name__ if cause is None else f"{type(error).__name__} ({type(cause).__name__})"
    logger.error("%s in %s, line %s", name, where and where.tb_frame.f_code.co_name, where and where.tb_lineno)


async def answer_hot(route: HotRoute, content_type: bytes | None, authorization: bytes | None, body: bytes) -> Response:
    """A hot route's answer; raises `ApiError`."""
    if content_type is None or content_type.split(b";", 1)[0].strip().lower() != b"application/json":
        raise ApiError(415, "unsupported_media_type", "send JSON as `Content-Type: application/json`")
    return await route(None if authorization is None else authorization.decode("latin-1"), body)


def _single_headers(scope: Scope) -> dict[bytes, bytes]:
    return dict(scope["headers"])


async def _read_body(receive: Receive, headers: Mapping[bytes, bytes]) -> bytes:
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        # A small body that unpacks into a huge one: none is unpacked here.
        raise ApiError(415, "unsupported_media_type", "compressed bodies are not taken: leave out Content-Encoding")
    length = headers.get(b"content-length", b"0")
    if length.isdigit() and int(length) > BODY_LIMIT_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(_BODY_SECONDS):
            message = await _next(receive)
            body: bytes = message.get("body", b"")
            while message.get("more_body") and len(body) <= BODY_LIMIT_BYTES:
                message = await _next(receive)
                body += message.get("body", b"")
    except TimeoutError:
        raise ApiError(408, "timeout", f"the body did not come within {_BODY_SECONDS} s") from None
    if len(body) > BODY_LIMIT_BYTES:
        raise _too_large()
    return body


async def _next(receive: Receive) -> Message:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ApiError(400, "disconnected", "the body ended before its length")
    return message


def _too_large() -> ApiError:
    return ApiError(413, "too_large", f"a body may have {BODY_LIMIT_BYTES // 1024} KiB")


def _replay(body: bytes, receive: Receive) -> Receive:
    is_read = False

    async def replayed() -> Message:
        nonlocal is_read
        if is_read:
            return await receive()
        is_read = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed
