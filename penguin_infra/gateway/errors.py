"""What a refused request is told: `{"error": {"code", "message", "field"?}}`, and never more than its sender may know.

ApiError             a refusal with its status
└── Unavailable      503: nothing was kept, the same request may come again after `retry_after` seconds
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response


class ApiError(Exception):
    """A request is refused; `field` is the path of what was wrong in its body."""

    def __init__(
        self, status: int, code: str, message: str, *, field: str | None = None, retry_after: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.retry_after = retry_after


class Unavailable(ApiError):
    """The gateway cannot commit anything now."""

    def __init__(self, message: str, *, retry_after: int = 2) -> None:
        super().__init__(503, "unavailable", message, retry_after=retry_after)


def unauthorized() -> ApiError:
    """Unknown, revoked and missing credentials are told the same."""
    return ApiError(401, "unauthorized", "send `Authorization: Bearer` with a token that is known and not revoked")


def render_error(error: ApiError) -> Response:
    """An error as a response."""
    told: dict[str, Any] = {"code": error.code, "message": error.message}
    if error.field is not None:
        told["field"] = error.field
    headers: dict[str, str] = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return json_response({"error": told}, status=error.status, headers=headers)


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A body as JSON."""
    return Response(msgspec.json.encode(body), status, headers, "application/json")
