"""Waiting after failures: spread, capped, and never less than the gateway asked for."""

import random

from penguin_infra.agent.sender import LONGEST_WAIT_SECONDS, Backoff


def test_waits_are_spread_over_a_span_that_doubles_up_to_its_cap() -> None:
    spans = []
    for failures in range(1, 12):
        waits = []
        for seed in range(200):
            backoff = Backoff(1.0, 60.0, random.Random(seed))
            for _ in range(failures):
                wait = backoff.wait_seconds()
            waits.append(wait)
        span = min(60.0, 2.0**failures)
        assert max(waits) <= span
        assert min(waits) < span * 0.1
        assert max(waits) > span * 0.9
        spans.append(span)
    assert spans[-1] == 60.0


def test_a_success_begins_anew() -> None:
    backoff = Backoff(1.0, 60.0, random.Random(1))
    for _ in range(50):
        backoff.wait_seconds()
    backoff.success()
    assert backoff.wait_seconds() <= 2.0


def test_retry_after_is_a_floor_with_jitter_on_top_and_has_a_cap() -> None:
    waits = {Backoff(1.0, 60.0, random.Random(seed)).wait_seconds(30.0) for seed in range(20)}
    assert min(waits) >= 30.0
    assert len(waits) == 20
    assert Backoff(1.0, 60.0, random.Random(1)).wait_seconds(10.0**8) <= LONGEST_WAIT_SECONDS + 60
