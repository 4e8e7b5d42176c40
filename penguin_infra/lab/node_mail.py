"""A lab node's mail, as its mail log tells it: lines in Postfix's own shape, written to a real file.

The agent follows that file as it would on a node; nothing here speaks to it otherwise. Recipients are made up, but for
those of real mails (`node_postbox.py`).
"""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

from penguin_infra.lab.node_moods import Mood
from penguin_infra.lab.node_postbox import Attempt

# Where the recipients of an ordinary sender sit: half of them at Gmail, the rest as the field reports it.
_DOMAINS = (
    ("gmail.com", "gmail-smtp-in.l.google.com", 50),
    ("outlook.com", "outlook-com.olc.protection.outlook.com", 20),
    ("yahoo.com", "mta5.am0.yahoodns.net", 10),
    ("icloud.com", "mx01.mail.icloud.com", 5),
    ("example.org", "mx.example.org", 15),
)

_LONGEST_LOG_BYTES = 5_000_000


class NodeMail:
    """One node's outgoing mail: a log that grows with time, and a queue. `first_id`: Postfix never uses one twice.

    `waiting` mails wait for the node, `put_off` ones for remote hosts, or for a transport that is held.
    """

    def __init__(self, log: Path, *, seed: int, first_id: int = 1) -> None:
        self.log = log
        self.waiting = 0
        self.put_off = 0
        self._random = random.Random(seed)
        self._ids = count(first_id)
        self._owed = 0.0
        log.parent.mkdir(parents=True, exist_ok=True)
        log.touch()

    @property
    def queue(self) -> int:
        """All mails that are not delivered yet."""
        return self.waiting + self.put_off

    def empty_queue(self) -> None:
        """All of it is delivered, or was taken back."""
        self.waiting = self.put_off = 0

    def pass_time(self, seconds: float, mood: Mood, *, is_held: bool, now: datetime) -> None:
        """Send what the mood sends in that time; a held transport sends nothing, and the queue grows."""
        wanted = mood.messages_per_minute * seconds / 60 + self._owed
        messages = int(wanted)
        self._owed = wanted - messages
        piled = round(mood.queue_per_minute * seconds / 60)
        if mood.is_put_off:
            self.put_off += piled
        else:
            self.waiting += piled
        if is_held or mood.is_mta_down:
            self.put_off += messages
            return
        if not mood.queue_per_minute:
            self._relieve(messages)
        self._write([line for _ in range(messages) for line in self._lines(mood, now)])

    def _relieve(self, messages: int) -> None:
        from_waiting = min(self.waiting, messages)
        self.waiting -= from_waiting
        self.put_off -= min(self.put_off, messages - from_waiting)

    def tell(self, attempt: Attempt, relay: str, *, now: datetime) -> None:
        """Write down how an attempt at a real mail ended."""
        begins = _begin(attempt.number, attempt.recipient, relay, now)
        reply = attempt.reply.replace("\n", " ").encode("ascii", "replace").decode()
        self._write([f"{begins}, dsn={attempt.dsn}, status={attempt.status} ({reply})\n"])

    def _lines(self, mood: Mood, now: datetime) -> Iterator[str]:
        domain, relay, _ = self._random.choices(_DOMAINS, [weight for *_, weight in _DOMAINS])[0]
        recipient = f"user{self._random.randrange(10**6)}@{domain}"
        to = _begin(next(self._ids), recipient, f"{relay}[127.0.0.1]:25", now)
        if self._random.random() < mood.deferral_share:
            yield f"{to}, dsn=4.7.0, status=deferred (host said: 421 4.7.0 try again later)\n"
        dsn, status, reply = self._ending(mood)
        yield f"{to}, dsn={dsn}, status={status} {reply}\n"

    def _ending(self, mood: Mood) -> tuple[str, str, str]:
        endings = (
            (mood.hard_bounce_share, ("5.1.1", "bounced", "(host said: 550 5.1.1 no such user)")),
            (mood.policy_share, ("5.7.1", "bounced", "(host said: 550 5.7.1 message refused by policy)")),
            (mood.soft_bounce_share, ("5.2.2", "bounced", "(host said: 552 5.2.2 mailbox full)")),
        )
        drawn = self._random.random()
        for share, ending in endings:
            if drawn < share:
                return ending
            drawn -= share
        return ("2.0.0", "sent", "(250 2.0.0 OK)")

    def _write(self, lines: list[str]) -> None:
        if not lines:
            return
        if self.log.stat().st_size > _LONGEST_LOG_BYTES:
            # As logrotate does: the follower must notice by itself.
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("a", encoding="ascii") as log:
            log.write("".join(lines))


def _begin(number: int, recipient: str, relay: str, now: datetime) -> str:
    at = f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%f}+00:00"
    return f"{at} lab postfix/smtp[4711]: {number:X}: to=<{recipient}>, relay={relay}, delay=1.1, delays=0.1/0/0.5/0.5"
