"""Follows the mail log over restarts, renames and truncations: lines out, and the position that follows them.

Not here: what a line means (`log_lines.py`), and when a position is kept (`spool.py`, together with the counts).
A log that was compressed before it was read to its end cannot be finished; the follower says so and goes on.
"""

import logging
import os
from dataclasses import dataclass, replace
from hashlib import blake2b
from pathlib import Path

from penguin_infra.agent.log_lines import LONGEST_LINE

_log = logging.getLogger(__name__)

# Enough to hold a line with its time: two logs never begin alike. It tells a truncated log, and a reused inode.
_HEAD_BYTES = 256


@dataclass(frozen=True)
class Position:
    """How far a log was read: which file (by inode and by how it begins), and the offset after the last whole line.

    `written_ns`: when that file was last written; what was written later and is another file is its successor.
    """

    inode: int
    offset: int
    head_length: int = 0
    head_hash: str = ""
    written_ns: int = 0


@dataclass(frozen=True)
class Lines:
    """What one read gave; `overlong`: how many lines were skipped for their length."""

    lines: list[bytes]
    overlong: int
    is_end: bool


class LogFollower:
    """Reads one log in bounded steps. Not an iterator: the caller decides how much, and when."""

    def __init__(self, path: Path, position: Position | None, *, skip_present: bool = False) -> None:
        """Goes on at `position`, else at the log's beginning, else (`skip_present`) after what it holds now."""
        self._path = path
        self._file = -1
        self._partial = b""
        self._skipped = 0
        self._resume = position
        self._position = position
        self._skip_present = skip_present
        self._trouble = ""

    @property
    def position(self) -> Position | None:
        """After the last line given out."""
        return self._position

    def close(self) -> None:
        """Let the file go."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def read(self, limit: int) -> Lines:
        """The next whole lines out of at most `limit` bytes; never raises for what a log or a rotation may do."""
        try:
            return self._read(limit)
        except OSError as error:
            # Once a trouble, not once a second.
            if str(error) != self._trouble:
                self._trouble = str(error)
                _log.warning("cannot read the mail log: %s", error)
            return Lines([], 0, is_end=True)

    def _read(self, limit: int) -> Lines:
        if self._file < 0 and not self._find():
            return Lines([], 0, is_end=True)
        assert self._position is not None  # noqa: S101 - an open file has one
        read_to = self._position.offset + len(self._partial) + self._skipped
        size = os.fstat(self._file).st_size
        if size < read_to or (size > read_to and not _begins_alike(self._file, self._position)):
            # Truncated in place. What was not yet read is in the copy, if the rotation made one.
            self._resume = self._position
            self.close()
            return self._read(limit) if self._find() else Lines([], 0, is_end=True)
        data = os.pread(self._file, limit, read_to)
        if not data:
            return self._at_end()
        return self._split(data)

    def _split(self, data: bytes) -> Lines:
        assert self._position is not None  # noqa: S101
        offset = self._position.offset
        overlong = 0
        if self._skipped:
            end = data.find(b"\n")
            if end < 0:
                self._skipped += len(data)
                return Lines([], 0, is_end=False)
            offset += self._skipped + end + 1
            data = data[end + 1 :]
            self._skipped = 0
            overlong = 1
        block = self._partial + data
        lines = block.split(b"\n")
        self._partial = lines.pop()
        offset += len(block) - len(self._partial)
        if len(self._partial) > LONGEST_LINE:
            self._skipped, self._partial = len(self._partial), b""
        self._advance(offset)
        return Lines(lines, overlong, is_end=False)

    def _advance(self, offset: int) -> None:
        position = self._position
        assert position is not None  # noqa: S101
        length, digest = position.head_length, position.head_hash
        if length < _HEAD_BYTES and offset > length:
            length = min(offset, _HEAD_BYTES)
            digest = _hash(os.pread(self._file, length, 0))
        written_ns = os.fstat(self._file).st_mtime_ns
        self._position = Position(position.inode, offset, length, digest, written_ns)

    def _at_end(self) -> Lines:
        """At the end of the open file: go on with its successor, once the writer has turned to that."""
        assert self._position is not None  # noqa: S101
        nothing = Lines([], 0, is_end=True)
        own = os.fstat(self._file)
        try:
            current = self._path.stat()
        except FileNotFoundError:
            return nothing
        if current.st_ino == own.st_ino:
            return nothing
        newer = [
            file for file, stat in self._rotated() if stat.st_mtime_ns > own.st_mtime_ns and stat.st_ino != own.st_ino
        ]
        # The writer keeps to the old file until it is told: an empty successor means that more may come here.
        if not newer and current.st_size == 0:
            return nothing
        late = os.pread(self._file, LONGEST_LINE, self._position.offset + len(self._partial) + self._skipped)
        if late:
            return self._split(late)
        last = [self._partial] if self._partial else []
        overlong = 1 if self._skipped else 0
        self._open(newer[0] if newer else self._path, None)
        return Lines(last, overlong, is_end=False)

    def _find(self) -> bool:
        """Open the file that the kept position speaks of, else the log from its beginning."""
        position = self._resume
        if position is not None:
            rotated = self._rotated()
            files = (self._path, *(file for file, _ in reversed(rotated)))
            if any(self._open(file, position) for file in files):
                self._resume = None
                return True
            if position.offset:
                _log.warning("what followed in %s after the last reading is not to be found: going on", self._path)
            successors = (file for file, stat in rotated if stat.st_size and stat.st_mtime_ns > position.written_ns)
            if any(self._open(file, None) for file in successors):
                self._resume = None
                return True
        if not self._open(self._path, None):
            return False
        self._resume = None
        if self._skip_present:
            self._skip_present = False
            self._advance(os.fstat(self._file).st_size)
        return True

    def _open(self, file: Path, position: Position | None) -> bool:
        try:
            opened = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        stat = os.fstat(opened)
        if position is not None and not _is_same(opened, stat, position):
            os.close(opened)
            return False
        self.close()
        self._file = opened
        self._partial, self._skipped = b"", 0
        if position is None:
            self._position = Position(stat.st_ino, 0, written_ns=stat.st_mtime_ns)
        else:
            self._position = replace(position, inode=stat.st_ino)
        return True

    def _rotated(self) -> list[tuple[Path, os.stat_result]]:
        """Rotated logs beside the path that can be read, oldest first: `mail.log.1`, `mail.log-20261124`."""
        found = []
        for entry in os.scandir(self._path.parent):
            suffix = entry.name[len(self._path.name) :]
            if entry.name.startswith(self._path.name) and suffix[:1] in {".", "-"} and suffix[1:].isdigit():
                found.append((Path(entry.path), entry.stat()))
        return sorted(found, key=lambda pair: pair[1].st_mtime_ns)


def _is_same(opened: int, stat: os.stat_result, position: Position) -> bool:
    if stat.st_size < position.offset:
        return False
    if position.head_length == 0:
        return stat.st_ino == position.inode
    return _begins_alike(opened, position)


def _begins_alike(opened: int, position: Position) -> bool:
    return position.head_length == 0 or _hash(os.pread(opened, position.head_length, 0)) == position.head_hash


def _hash(head: bytes) -> str:
    return blake2b(head, digest_size=16).hexdigest()
