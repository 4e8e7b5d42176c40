"""Who asks the operators' routes: an API key of the scope that a route needs, in a transaction that ends with it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Depends
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection

from penguin_infra.domain.actions import API_PREFIX
from penguin_infra.gateway.errors import ApiError, unauthorized
from penguin_infra.operations.issue_credentials import SCOPES, Scope, hash_secret
from penguin_infra.store import credentials
from penguin_infra.store.credentials import ApiKey
from penguin_infra.wiring import Wiring

_bearer = HTTPBearer(auto_error=False, description="An API key; `penguin-infra keys create` makes one.")
Bearer = Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)]


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in a transaction that ends with the request."""

    connection: Connection
    key: ApiKey

    @property
    def name(self) -> str:
        """As the ledger names whoever asks."""
        return f"{API_PREFIX}{self.key.name}"


def caller_of(fleet: Wiring, scope: Scope) -> Any:
    """The dependency of a route that needs the scope; raises a 401 or a 403."""

    def authorized(bearer: Bearer) -> Iterator[Caller]:
        if bearer is None:
            raise unauthorized()
        with fleet.engine.begin() as connection:
            key = credentials.find_key(connection, hash_secret(bearer.credentials))
            if key is None:
                raise unauthorized()
            if SCOPES.index(key.scope) < SCOPES.index(scope):
                raise ApiError(403, "forbidden", f"this key may {key.scope}; this takes the scope {scope}")
            yield Caller(connection, key)

    # The transaction ends before the answer leaves: nothing is told that was not committed.
    return Depends(authorized, scope="function")
