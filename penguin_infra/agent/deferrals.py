"""Remembers which (queue id, recipient) was already counted as deferred, as salted hashes, in bounded memory.

Not here: keeping them over a restart; `changes` says what the spool has to write.
"""

from collections.abc import Iterable
from hashlib import blake2b

# About 6 MB at worst. A node with more mails waiting than this has troubles that a double count does not hide.
MOST_REMEMBERED = 20_000

Row = tuple[bytes, bytes, str]


class Deferrals:
    """The deferrals that are still waiting. The oldest message is forgotten first when there are too many."""

    def __init__(self, salt: bytes, rows: Iterable[Row] = (), most: int = MOST_REMEMBERED) -> None:
        self._salt = salt
        self._most = most
        self._messages: dict[bytes, dict[bytes, str]] = {}
        self._size = 0
        self._changes: dict[tuple[bytes, bytes], str | None] = {}
        for queue, recipient, provider in rows:
            self._messages.setdefault(queue, {})[recipient] = provider
            self._size += 1

    def is_first(self, queue_id: bytes, recipient: bytes, mailbox_provider: str) -> bool:
        """Whether this recipient's deferral is new; it is remembered from now on."""
        queue, address = self._hash(queue_id), self._hash(recipient)
        waiting = self._messages.setdefault(queue, {})
        if address in waiting:
            return False
        waiting[address] = mailbox_provider
        self._size += 1
        self._changes[queue, address] = mailbox_provider
        while self._size > self._most:
            self._drop(next(iter(self._messages)))
        return True

    def forget(self, queue_id: bytes, recipient: bytes) -> None:
        """The recipient has a final result."""
        queue, address = self._hash(queue_id), self._hash(recipient)
        waiting = self._messages.get(queue)
        if waiting and waiting.pop(address, None) is not None:
            self._size -= 1
            self._changes[queue, address] = None
            if not waiting:
                del self._messages[queue]

    def forget_message(self, queue_id: bytes) -> list[str]:
        """The message left the queue; the mailbox providers of those who still waited."""
        return self._drop(self._hash(queue_id))

    def changes(self) -> tuple[list[Row], list[tuple[bytes, bytes]]]:
        """What is new and what was forgotten since `settle`."""
        new = [(queue, address, provider) for (queue, address), provider in self._changes.items() if provider]
        return new, [key for key, provider in self._changes.items() if not provider]

    def settle(self) -> None:
        """The changes are written."""
        self._changes.clear()

    def _drop(self, queue: bytes) -> list[str]:
        waiting = self._messages.pop(queue, {})
        self._size -= len(waiting)
        for address in waiting:
            self._changes[queue, address] = None
        return list(waiting.values())

    def _hash(self, text: bytes) -> bytes:
        return blake2b(text, digest_size=8, key=self._salt).digest()
