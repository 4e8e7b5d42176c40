"""The document says what the gateway does: generated requests meet no surprise, and its shapes are the decoders'."""

from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from itertools import cycle
from typing import Any
from uuid import UUID

import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from jsonschema_rs import validator_for
from schemathesis import GenerationMode
from schemathesis.checks import ignored_auth
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import positive_data_acceptance

from penguin_infra.gateway.errors import ApiError
from penguin_infra.gateway.shapes import BATCHES, HEARTBEATS, component_schemas, decode
from penguin_infra_tests.fleets import add_nodes
from penguin_infra_tests.gateway.conftest import Gateway, batch, heartbeat

NODE = UUID("00000000-0000-4000-8000-000000000001")


# Schemathesis knows how to send bytes, but not that a mail is some.
schemathesis.serializer.alias("message/rfc822", "application/octet-stream")

# Both what the document allows and what it does not.
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


def test_generated_requests_meet_what_the_document_says(gateway: Gateway) -> None:
    """Statuses, media types and shapes are documented ones, and nothing fails inside."""
    # Enough nodes that none of them meets its rate limit, which would hide every other answer.
    tokens = cycle([gateway.token(node_id) for node_id in add_nodes(gateway.engine, 12)])
    keys = cycle([gateway.key("admin")])
    schema = schemathesis.openapi.from_url(f"{gateway.url}/openapi.json")
    tried: Counter[str] = Counter()
    for found in schema.get_all_operations():
        assert isinstance(found, Ok)
        operation = found.ok()
        for mode in MODES:
            _try_operation(operation, mode, tokens if "/agents/" in operation.path else keys, tried)
    assert set(tried) == set(schema.raw_schema["paths"])


def _try_operation(operation: Any, mode: GenerationMode, secrets: Iterator[str], tried: Counter[str]) -> None:
    @settings(
        max_examples=15, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        tried[operation.path] += 1
        case.body = _with_plain_integers(case.body)
        if mode is GenerationMode.POSITIVE and case.headers:
            # One key with two bodies is refused, and rightly: what the document cannot say.
            case.headers.pop("idempotency-key", None)
        # Credentials have tests of their own; this check would take the one that is sent here away.
        case.call_and_validate(headers={"Authorization": f"Bearer {next(secrets)}"}, excluded_checks=excluded)

    # Which bytes are a feedback report, no schema says.
    excluded = [ignored_auth, *([positive_data_acceptance] if operation.path.endswith("/arf") else [])]
    with suppress(Unsatisfiable):
        check()


def _with_plain_integers(value: Any) -> Any:
    """JSON Schema calls 7.0 an integer, which the decoder does not take, and no agent writes."""
    if isinstance(value, dict):
        return {name: _with_plain_integers(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_with_plain_integers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def documented(name: str) -> Any:
    """A shape's schema with all that it refers to."""
    return {"$ref": f"#/components/schemas/{name}", "components": {"schemas": component_schemas()}}


@pytest.mark.parametrize(("name", "build"), [("HeartbeatIn", heartbeat), ("DeliveryBatchIn", batch)])
def test_what_an_agent_builds_is_what_the_document_takes(name: str, build: Any) -> None:
    assert validator_for(documented(name)).is_valid(build(NODE))
    assert not validator_for(documented(name)).is_valid(build(NODE, surprise=1))


@pytest.mark.parametrize(
    ("name", "decoder", "build"), [("HeartbeatIn", HEARTBEATS, heartbeat), ("DeliveryBatchIn", BATCHES, batch)]
)
def test_the_document_and_the_decoder_take_the_same(name: str, decoder: Any, build: Any) -> None:
    """One field of a good message at a time is made something else: both must take it, or neither."""
    validator = validator_for(documented(name), validate_formats=True)
    values: list[Any] = [
        None, True, 0, -1, 1, 1.5, 101, 2**31, 2**63, "", "x", "x" * 400, "a b", [], {}, "gmail", "up", "held",
        str(NODE),
    ]  # fmt: skip

    def takes(message: Any) -> bool:
        try:
            decode(decoder, msgspec.json.encode(message))
        except ApiError:
            return False
        return True

    def variants(message: Any) -> Iterator[Any]:
        for key, inner in message.items():
            yield {name: value for name, value in message.items() if name != key}
            yield from ({**message, key: value} for value in values)
            if isinstance(inner, dict):
                yield from ({**message, key: variant} for variant in variants(inner))

    seen = {True: 0, False: 0}
    for message in variants(build(NODE)):
        assert takes(message) == validator.is_valid(message), message
        seen[takes(message)] += 1
    assert min(seen.values()) > 5
