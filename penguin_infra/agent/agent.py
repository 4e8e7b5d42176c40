"""The agent: one loop, one thread, that follows the mail log, reports, and does what the gateway's answer says.

Its face for others: `Agent`, `AgentConfig`, `NodeProbes`, `MailTransport`, `Ended`. No signals, no globals, no
logging set-up: `__main__.py` does that.
"""

import json
import logging
import random
import sqlite3
import threading
from datetime import datetime, timezone
from enum import Enum

from penguin_infra.agent.buckets import Tally
from penguin_infra.agent.config import AGENT_VERSION, AgentConfig
from penguin_infra.agent.directives import Directives
from penguin_infra.agent.link import HEARTBEAT_PATH, GatewayAway, GatewayLink
from penguin_infra.agent.mail_log import LogFollower
from penguin_infra.agent.ports import Clock, MailTransport, NodeProbes
from penguin_infra.agent.postfix import Postfix
from penguin_infra.agent.postfix_queue import PostfixQueue
from penguin_infra.agent.probes import ProcProbes
from penguin_infra.agent.sender import Backoff, Replay
from penguin_infra.agent.spool import Spool
from penguin_infra.messages.telemetry import Heartbeat

__all__ = ["Agent", "AgentConfig", "Clock", "Ended", "MailTransport", "NodeProbes"]

_log = logging.getLogger(__name__)

# One step reads about 3,000 lines at most: a log of hours is caught up within minutes, and heartbeats go on meanwhile.
_READ_BYTES = 128 * 1024
_READS_A_STEP = 4

# A count is about 110 bytes, and one reading holds fewer than 1,300 deliveries: even if each had a bucket of its own,
# a batch stays below what a request may hold.
_MOST_COUNTS = 500

_JITTER = (0.9, 1.1)


class Ended(Enum):
    """Why `Agent.run` came back."""

    STOPPED = "stopped"
    RESTART = "restart"


class Agent:
    """One node's agent. Everything it keeps over a restart is in `config.spool_folder`."""

    def __init__(
        self,
        config: AgentConfig,
        *,
        probes: NodeProbes | None = None,
        mta: MailTransport | None = None,
        clock: Clock | None = None,
    ) -> None:
        """By default the node's own /proc and Postfix; raises `ConfigRefused` for a token or CA that cannot be used."""
        postfix = Postfix(config.queue_folder)
        self._config = config
        self._mta = mta or postfix
        self._probes = probes or ProcProbes(config.queue_folder, PostfixQueue(postfix.mta_state).read)
        self._clock = clock or Clock()
        self._link = GatewayLink(config)

    def run(self, stop: threading.Event) -> Ended:
        """Work until `stop` is set, or until told to restart; comes back within a request's time-out."""
        spool = Spool(
            self._config.spool_folder,
            node_id=self._config.node_id,
            boot_id=self._probes.boot_id(),
            cap_bytes=self._config.spool_cap_bytes,
        )
        loop = _Loop(self._config, spool, self._link, probes=self._probes, mta=self._mta, clock=self._clock)
        try:
            return loop.run(stop)
        finally:
            loop.close()


class _Loop:
    """What one run of an agent holds: made in the thread that runs it, as SQLite wants it."""

    def __init__(
        self,
        config: AgentConfig,
        spool: Spool,
        link: GatewayLink,
        *,
        probes: NodeProbes,
        mta: MailTransport,
        clock: Clock,
    ) -> None:
        # Not for secrets: for spreading.
        self._chance = random.Random()  # noqa: S311
        self._config = config
        self._probes = probes
        self._clock = clock
        self._link = link
        self._spool = spool
        self._boot_id = probes.boot_id()
        self._directives = Directives(spool, mta)
        self._follower = LogFollower(config.mail_log, spool.position(), skip_present=spool.has_lost_position)
        self._tally = Tally(spool.deferrals())
        self._sent_by_hour = spool.sent_by_hour()
        self._replay = Replay(config, spool, link, self._chance)
        self._backoff = Backoff(5.0, config.heartbeat_backoff_cap_seconds, self._chance)
        started = clock.monotonic()
        # The first at once: it keeps which file the log is, so that a rotation from now on is followed.
        self._batch_due = started
        self._replay_due = started
        # A thousand agents that a deployment starts at once speak at different moments from the first on.
        self._heartbeat_due = started + self._chance.uniform(0.0, min(5.0, config.heartbeat_seconds))

    def run(self, stop: threading.Event) -> Ended:
        ended: Ended | None = None
        while ended is None and not stop.is_set():
            try:
                ended = self._step()
            except sqlite3.Error as error:
                _log.error("the spool cannot be used, trying on: %s", error)
            if ended is None:
                stop.wait(self._config.log_poll_seconds)
        self._close_batch()
        return ended or Ended.STOPPED

    def close(self) -> None:
        self._follower.close()
        self._spool.close()

    def _step(self) -> Ended | None:
        now, ticks = self._clock.now(), self._clock.monotonic()
        self._follow_log(now)
        if ticks >= self._batch_due and self._follower.position is not None:
            self._batch_due = ticks + self._config.batch_seconds * self._chance.uniform(*_JITTER)
            self._close_batch()
        self._directives.enforce(self._sent(), now, is_check=False)
        if ticks >= self._heartbeat_due:
            self._heartbeat_due = ticks + self._config.heartbeat_seconds
            self._heartbeat_due = ticks + self._beat(now)
            self._directives.enforce(self._sent(), now, is_check=True)
            if self._restart_if_told(now):
                return Ended.RESTART
        if ticks >= self._replay_due:
            self._replay_due = ticks + self._config.log_poll_seconds
            self._replay_due = ticks + self._replay.send_one(now)
        return None

    def _follow_log(self, now: float) -> None:
        for _ in range(_READS_A_STEP):
            if self._tally.size >= _MOST_COUNTS and not self._close_batch():
                return
            read = self._follower.read(_READ_BYTES)
            self._tally.unread_lines += read.overlong
            for line in read.lines:
                self._tally.add(line, now)
            if read.is_end:
                return

    def _close_batch(self) -> bool:
        """Whether it could be written. If not (a full disk), sums and log wait, and heartbeats go on and tell."""
        try:
            self._spool.close_batch(self._tally, self._follower.position)
        except sqlite3.Error as error:
            _log.error("a batch cannot be written, its lines wait in the log: %s", error)
            return False
        self._sent_by_hour = self._spool.sent_by_hour()
        return True

    def _sent(self) -> dict[int, int]:
        """Mails sent by hour, what is not yet in a batch included."""
        sent = dict(self._sent_by_hour)
        for hour, messages in self._tally.sent_by_hour.items():
            sent[hour] = sent.get(hour, 0) + messages
        return sent

    def _beat(self, now: float) -> float:
        """Send one heartbeat, take its directive; the seconds to wait until the next."""
        heartbeat = Heartbeat(
            node_id=self._config.node_id,
            sent_at=datetime.fromtimestamp(now, timezone.utc).isoformat(),
            boot_id=self._boot_id,
            agent_version=AGENT_VERSION,
            transport=self._directives.transport(),
            probes=self._probes.read(),
            spool=self._spool.state(),
            directive_version=self._directives.version,
            restart_done_id=self._directives.restart_done_id,
        )
        try:
            answer = self._link.post(HEARTBEAT_PATH, json.dumps(heartbeat.to_json()).encode(), now)
        except GatewayAway as away:
            wait = self._backoff.wait_seconds()
            _log.warning("the next heartbeat waits %.0f s: %s", wait, away)
            return wait
        if not answer.is_good:
            wait = self._backoff.wait_seconds(answer.retry_after_seconds)
            _log.warning("the next heartbeat waits %.0f s: the gateway answered %d", wait, answer.status)
            return wait
        self._backoff.success()
        self._directives.take(answer.body, now)
        return self._config.heartbeat_seconds * self._chance.uniform(*_JITTER)

    def _restart_if_told(self, now: float) -> bool:
        """Restart the MTA here; True when the agent itself is to end, after it has reported so."""
        wanted = self._directives.restart_wanted()
        if wanted == "mta":
            self._directives.restart_mta()
            self._directives.enforce(self._sent(), now, is_check=True)
        elif wanted == "agent":
            self._directives.restart_done()
            self._beat(now)
        return wanted == "agent"
