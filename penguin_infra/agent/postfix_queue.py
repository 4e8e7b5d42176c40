"""The mail queue by `postqueue -j`: counts, the oldest mail's age and why mails wait, without any address.

Read as a stream, with a time-out and a cap: a queue of a million mails costs no more than one of ten thousand.
"""

import contextlib
import json
import logging
import os
import re
import select
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from penguin_infra.agent.postfix import SEARCH_PATH
from penguin_infra.messages.telemetry import DelayReason, Mta

_log = logging.getLogger(__name__)

MOST_MAILS = 10_000
TIMEOUT_SECONDS = 10.0
_LONGEST_ENTRY = 256 * 1024

# With one reading in 300 times its own cost, the queue takes a third of the budget of 1 % at most.
_REST_PER_COST = 300

_MOST_REASONS = 5
_REASON_LENGTH = 120

# What may name a person: anything in angle brackets or quotes, or with an at sign, also the encoded ones of return
# paths. Numbers and hosts' addresses only keep reasons from being counted together.
_ADDRESSES = re.compile(r"<[^>]*>?|\"[^\"]*\"?|'[^']*'?|\S*(?:@|=|%40|\+)\S*")
_PARTICULARS = re.compile(r"\[[0-9a-fA-F.:]*\](?::\d+)?|\b(?=\w*\d)\w{6,}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|https?://\S+")
_SPACES = re.compile(r"\s+")


class PostfixQueue:
    """Reads the queue, no oftener than its size allows; `mta_state` tells up, down or absent."""

    def __init__(
        self,
        mta_state: Callable[[], str],
        search_path: str = SEARCH_PATH,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> None:
        self._timeout_seconds = timeout_seconds
        self._mta_state = mta_state
        self._search_path = search_path
        self._last = Mta("absent")
        self._rest_until = 0.0

    def read(self) -> Mta:
        """The MTA as it is now."""
        state = self._mta_state()
        program = shutil.which("postqueue", path=self._search_path)
        if state == "absent" or program is None:
            return Mta(state)
        began = time.monotonic()
        if state == self._last.state and began < self._rest_until:
            return self._last
        self._last = self._read_queue(state, program)
        ended = time.monotonic()
        self._rest_until = ended + (ended - began) * _REST_PER_COST if ended - began > 0.1 else 0.0
        return self._last

    def _read_queue(self, state: str, program: str) -> Mta:
        summary = _Summary(time.time())
        try:
            with subprocess.Popen(
                (program, "-j"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
            ) as process:
                assert process.stdout is not None  # noqa: S101 - it is a pipe
                try:
                    lines = _lines(process.stdout.fileno(), time.monotonic() + self._timeout_seconds)
                    summary.is_whole = all(summary.add(line) for line in lines)
                except _TooLate:
                    _log.warning("postqueue took over %.0f s: counted so far as it came", self._timeout_seconds)
                finally:
                    if not summary.is_whole:
                        process.kill()
        except OSError:
            return Mta(state)
        if summary.is_whole and process.returncode != 0:
            # It could not look into the queue: unknown is not empty.
            return Mta(state)
        return summary.mta(state)


@dataclass
class _Summary:
    now: float
    is_whole: bool = False
    mails: int = 0
    oldest_at: float | None = None
    by_queue: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, line: bytes) -> bool:
        """Count one entry; False when there are too many. An entry that cannot be read is counted nowhere."""
        if self.mails >= MOST_MAILS:
            return False
        self.mails += 1
        with contextlib.suppress(ValueError, TypeError, KeyError, AttributeError, RecursionError):
            entry = json.loads(line)
            queue = str(entry["queue_name"])
            # A bounded vocabulary; what was just handed in is work to do as well.
            self.by_queue[{"incoming": "active", "maildrop": "active"}.get(queue, queue)] += 1
            arrived_at = float(entry["arrival_time"])
            self.oldest_at = arrived_at if self.oldest_at is None else min(self.oldest_at, arrived_at)
            reasons = {plain_reason(str(to["delay_reason"])) for to in entry["recipients"] if to.get("delay_reason")}
            self.reasons.update(reasons)
        return True

    def mta(self, state: str) -> Mta:
        return Mta(
            state,
            active=self.by_queue["active"],
            deferred=self.by_queue["deferred"],
            held=self.by_queue["hold"],
            oldest_age_seconds=None if self.oldest_at is None else max(0, int(self.now - self.oldest_at)),
            is_truncated=not self.is_whole,
            delay_reasons=tuple(
                DelayReason(reason, count) for reason, count in self.reasons.most_common(_MOST_REASONS)
            ),
        )


def plain_reason(reason: str) -> str:
    """A delay reason that names nobody, short, and alike for mails that wait for the same reason."""
    plain = _PARTICULARS.sub("#", _ADDRESSES.sub("...", reason[:1000]))
    return _SPACES.sub(" ", plain).strip()[:_REASON_LENGTH]


class _TooLate(Exception):
    """The queue could not be read in time."""


def _lines(pipe: int, deadline: float) -> Iterator[bytes]:
    """Whole lines until the end of the pipe, without blocking beyond the deadline."""
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    partial = b""
    while poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        chunk = os.read(pipe, 64 * 1024)
        if not chunk:
            return
        *lines, partial = (partial + chunk).split(b"\n")
        yield from lines
        if len(partial) > _LONGEST_ENTRY:
            partial = b""
    raise _TooLate
