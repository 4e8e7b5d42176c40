"""A service that installs hosts, as far as a test needs one: it writes down what it is asked, and answers as told."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from penguin_infra_tests import scripted_server


@dataclass(frozen=True)
class Asked:
    """One request. `body` None: there was none."""

    method: str
    path: str
    body: dict[str, Any] | None
    authorization: str | None


@dataclass(frozen=True)
class Told:
    """One answer. `is_lost`: the connection breaks off before it."""

    status: int = 200
    body: Any = None
    is_lost: bool = False


@dataclass
class Service:
    """Where it listens, and what it was asked."""

    url: str
    asked: list[Asked]


@contextmanager
def service(answer: Callable[[Asked], Told]) -> Iterator[Service]:
    """Serve on a free loopback port for the length of a block."""
    asked: list[Asked] = []

    def in_text(request: scripted_server.Asked) -> scripted_server.Answer:
        body = json.loads(request.body) if request.body else None
        asked.append(Asked(request.method, request.target, body, request.headers.get("authorization")))
        told = answer(asked[-1])
        return scripted_server.Answer(
            told.status, "" if told.body is None else json.dumps(told.body), is_lost=told.is_lost, headers={}
        )

    with scripted_server.scripted_server(in_text) as server:
        yield Service(server.url, asked)
