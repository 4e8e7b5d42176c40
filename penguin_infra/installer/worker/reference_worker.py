#!/usr/bin/env python3
"""Takes mail jobs from a Redis list and hands them to Postfix. One file, standard library only, Python 3.10.

A job is a JSON object: `sender` (may be empty), `recipients` (a list), `message` (a whole mail), and `encoding`:
`text` (the default) or `base64`. Producers LPUSH it to `penguin:jobs`. While it is handed over it stands in
`penguin:jobs:taken`, so that no crash loses it: it leaves that list only after Postfix has it, and a crash just then
hands it over twice. What can never be sent goes to `penguin:jobs:dead`, with the reason.
"""

import base64
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any

JOBS, TAKEN, DEAD = "penguin:jobs", "penguin:jobs:taken", "penguin:jobs:dead"

# Enough to see what went wrong; a faulty producer must not fill the memory.
MOST_DEAD = 1000

# How long Redis keeps a question open; a stop waits that long at most.
BLOCK_SECONDS = 2
ANSWER_SECONDS = 10.0
SENDMAIL_SECONDS = 60.0
REST_SECONDS = 5.0

# sysexits.h: usage, data, no such user, no such host. Everything else may pass.
FINAL_CODES = frozenset({64, 65, 67, 68})

log = logging.getLogger("penguin-worker")


class RedisAway(Exception):
    """No connection, or it broke, or Redis cannot do it now."""


class JobRefused(Exception):
    """The job can never be sent."""


class NotTakenNow(Exception):
    """Postfix does not take mail now."""


class Redis:
    """One connection, by Redis's own protocol. BRPOPLPUSH and not BLMOVE: Ubuntu 22.04 has Redis 6.0."""

    def __init__(self, host: str, port: int) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=ANSWER_SECONDS)
        except OSError as error:
            raise RedisAway(f"no Redis at {host}:{port}: {error}") from None
        self._answers = self._socket.makefile("rb")

    def __enter__(self) -> "Redis":
        return self

    def __exit__(self, *_: object) -> None:
        self._answers.close()
        self._socket.close()

    def call(self, *words: "str | bytes | int") -> Any:
        """One command's answer: bytes, a number, a list, or None."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        request = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts)
        try:
            self._socket.sendall(request)
            return self._read()
        except OSError as error:
            raise RedisAway(f"{words[0]!s}: {error}") from None

    def _read(self) -> Any:
        line = self._answers.readline()
        if not line.endswith(b"\r\n"):
            raise RedisAway("the connection ended")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RedisAway(rest.decode(errors="replace"))
        if kind == b"+":
            return rest
        if kind == b":":
            return int(rest)
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        if rest == b"-1":
            return None
        size = int(rest) + 2
        data = self._answers.read(size)
        if len(data) != size:
            raise RedisAway("the connection ended")
        return data[:-2]


@dataclass(frozen=True)
class Job:
    """A mail to hand over."""

    sender: str
    recipients: "tuple[str, ...]"
    message: bytes


def read_job(told: bytes) -> Job:
    """The job in a list's entry; raises `JobRefused` for everything else."""
    try:
        body = json.loads(told)
    except ValueError as error:
        raise JobRefused(f"no JSON: {error}") from None
    if not isinstance(body, dict):
        raise JobRefused("no JSON object")
    sender, recipients = body.get("sender"), body.get("recipients")
    if not isinstance(sender, str) or (sender and not _is_address(sender)):
        raise JobRefused("`sender` is no address")
    if not isinstance(recipients, list) or not recipients or not all(map(_is_address, recipients)):
        raise JobRefused("`recipients` is no list of addresses")
    return Job(sender, tuple(recipients), _message(body))


def hand_over(job: Job, sendmail: str) -> None:
    """Give the job to Postfix; raises `JobRefused` or `NotTakenNow`."""
    command = [sendmail, "-i", "-f", job.sender or "<>", "--", *job.recipients]
    try:
        done = subprocess.run(command, input=job.message, capture_output=True, timeout=SENDMAIL_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotTakenNow(f"{sendmail}: {error}") from None
    if done.returncode == 0:
        return
    said = f"{sendmail} ended with {done.returncode}: {done.stderr.decode(errors='replace').strip()[-300:]}"
    raise JobRefused(said) if done.returncode in FINAL_CODES else NotTakenNow(said)


class Worker:
    """Does one job after another until told to stop."""

    def __init__(self, host: str, port: int, sendmail: str, stop: threading.Event) -> None:
        self._host, self._port = host, port
        self._sendmail = sendmail
        self._stop = stop

    def run(self) -> None:
        """Work; after any trouble rest, and begin again with a new connection."""
        while not self._stop.is_set():
            try:
                with Redis(self._host, self._port) as redis:
                    self._work(redis)
            except (RedisAway, NotTakenNow) as trouble:
                log.warning("resting %.0f s: %s", REST_SECONDS, trouble)
                self._stop.wait(REST_SECONDS)

    def _work(self, redis: Redis) -> None:
        # What a crash or a refusal left there goes before everything new.
        while redis.call("RPOPLPUSH", TAKEN, JOBS) is not None:
            pass
        while not self._stop.is_set():
            told = redis.call("BRPOPLPUSH", JOBS, TAKEN, BLOCK_SECONDS)
            if told is not None:
                self._do(redis, told)

    def _do(self, redis: Redis, told: bytes) -> None:
        try:
            hand_over(read_job(told), self._sendmail)
        except JobRefused as refused:
            log.warning("a job goes to %s: %s", DEAD, refused)
            entry = {"reason": str(refused), "job": told.decode(errors="replace")}
            redis.call("LPUSH", DEAD, json.dumps(entry))
            redis.call("LTRIM", DEAD, 0, MOST_DEAD - 1)
        redis.call("LREM", TAKEN, 1, told)


def main() -> int:
    """Work until SIGTERM or SIGINT; `PENGUIN_REDIS` is `host:port`."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    host, _, port = os.environ.get("PENGUIN_REDIS", "127.0.0.1:6379").rpartition(":")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    Worker(host, int(port), os.environ.get("PENGUIN_SENDMAIL", "/usr/sbin/sendmail"), stop).run()
    return 0


def _is_address(value: object) -> bool:
    """Enough to be an argument and nothing else; whether anybody is there, the receiver says."""
    if not isinstance(value, str) or "@" not in value or len(value) > 320:
        return False
    return value.isprintable() and " " not in value


def _message(body: "dict[str, Any]") -> bytes:
    message, encoding = body.get("message"), body.get("encoding", "text")
    if not isinstance(message, str) or not message:
        raise JobRefused("`message` is no text")
    if encoding == "text":
        return message.encode("utf-8", "surrogateescape")
    if encoding != "base64":
        raise JobRefused(f"`encoding` is {encoding!r}: text and base64 are known")
    try:
        return base64.b64decode(message, validate=True)
    except ValueError as error:
        raise JobRefused(f"`message` is no base64: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
