"""When to send what: the heartbeat's rhythm, the spool's replay, and waiting after failures, with jitter.

Not here: requests themselves (`link.py`), and what an answer tells the node to do (`directives.py`).
"""

import logging
import random

from penguin_infra.agent.config import AgentConfig
from penguin_infra.agent.link import DELIVERIES_PATH, LONGEST_REQUEST, GatewayAway, GatewayLink
from penguin_infra.agent.spool import Spool

_log = logging.getLogger(__name__)

# A gateway may ask for patience, not for silence.
LONGEST_WAIT_SECONDS = 3600.0

# These say that this body will never be taken. Every other refusal (a revoked token, a gateway half configured) may
# end, and the batch waits for that.
_NEVER_TAKEN = frozenset({400, 413, 422})


class Backoff:
    """Exponential, with full jitter: a thousand agents that failed together do not come back together."""

    def __init__(self, first_seconds: float, cap_seconds: float, chance: random.Random) -> None:
        self._first_seconds = first_seconds
        self._cap_seconds = cap_seconds
        self._chance = chance
        self._failures = 0

    def success(self) -> None:
        """Begin anew."""
        self._failures = 0

    def wait_seconds(self, retry_after_seconds: float | None = None) -> float:
        """How long to wait after one more failure; never less than the gateway asked for."""
        self._failures = min(self._failures + 1, 30)
        span = min(self._cap_seconds, self._first_seconds * 2.0**self._failures)
        wait = self._chance.uniform(0.0, span)
        if retry_after_seconds is None:
            return wait
        return min(retry_after_seconds, LONGEST_WAIT_SECONDS) + wait


class Replay:
    """Sends the spool, oldest first, one batch at a time and at a bounded rate."""

    def __init__(self, config: AgentConfig, spool: Spool, link: GatewayLink, chance: random.Random) -> None:
        self._spool = spool
        self._link = link
        self._chance = chance
        self._interval_seconds = config.replay_interval_seconds
        self._backoff = Backoff(1.0, config.delivery_backoff_cap_seconds, chance)

    def send_one(self, now: float) -> float:
        """Send the oldest batch, if any waits; the seconds until the next may be sent."""
        batch = self._spool.oldest()
        if batch is None:
            return 0.0
        if len(batch.body) >= LONGEST_REQUEST:
            _log.error("a batch of %d bytes is too long to be sent: dropped", len(batch.body))
            self._spool.drop(batch)
            return 0.0
        try:
            answer = self._link.post(DELIVERIES_PATH, batch.body, now)
        except GatewayAway as away:
            wait = self._backoff.wait_seconds()
            _log.warning("deliveries wait %.0f s: %s", wait, away)
            return wait
        if answer.is_good:
            self._backoff.success()
            self._spool.acknowledge(batch)
            return self._interval_seconds * self._chance.uniform(0.5, 1.5)
        if answer.status in _NEVER_TAKEN:
            _log.error("the gateway refuses a batch for good (%d): dropped", answer.status)
            self._spool.drop(batch)
        wait = self._backoff.wait_seconds(answer.retry_after_seconds)
        _log.warning("deliveries wait %.0f s: the gateway answered %d", wait, answer.status)
        return wait
