"""Whatever is killed, whenever, and whatever answer is lost: what the gateway counts is what the log holds."""

import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from penguin_infra.agent.buckets import Tally
from penguin_infra.agent.mail_log import LogFollower
from penguin_infra.agent.spool import Spool
from penguin_infra_tests.agent.log_writer import append, delivery, removed

NOW = 4_000_000_000.0


@dataclass
class Node:
    """What is left of an agent between two steps: its files. Memory is lost with every kill."""

    folder: Path
    written: int = 0
    rotations: int = 0
    taken: dict[tuple[str, int], int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.log = self.folder / "mail.log"
        self.log.touch()
        self.start()
        # As an agent does first of all: a log that is rotated from now on is known by its inode.
        self.follow(1)
        self.close_batch()

    def start(self) -> None:
        self.spool = Spool(self.folder / "spool", node_id="n", boot_id="b", cap_bytes=10**9)
        self.tally = Tally(self.spool.deferrals())
        self.follower = LogFollower(self.log, self.spool.position())

    def kill(self) -> None:
        """SQLite closes without a commit, as the kernel would do it."""
        self.follower.close()
        self.spool.close()
        self.start()

    def write(self, lines: int) -> None:
        for _ in range(lines):
            # Each message is deferred twice, then sent: two facts.
            number = self.written // 2
            append(self.log, delivery(number, status="deferred", dsn="4.2.0"))
            append(self.log, delivery(number, status="deferred", dsn="4.2.0"), delivery(number), removed(number))
            self.written += 2

    def follow(self, limit: int) -> None:
        for line in self.follower.read(limit).lines:
            self.tally.add(line, NOW)

    def close_batch(self) -> None:
        self.spool.close_batch(self.tally, self.follower.position)

    def send(self, *, is_answer_lost: bool) -> None:
        batch = self.spool.oldest()
        if batch is None:
            return
        body = json.loads(batch.body)
        total = sum(count["messages"] for count in body["counts"])
        assert self.taken.setdefault((body["stream"], body["sequence"]), total) == total
        if not is_answer_lost:
            self.spool.acknowledge(batch)

    def rotate(self) -> None:
        older = self.folder / "mail.log.1"
        # Neither an empty log nor over one that may hold unread lines: logrotate has `notifempty` and more than one.
        if self.log.stat().st_size and not older.exists():
            self.log.rename(older)
            # Steps follow each other within the kernel's tick: rotations lie a second apart in earnest.
            self.rotations += 1
            at = older.stat().st_mtime_ns + self.rotations * 1_000_000_000
            os.utime(older, ns=(at, at))
            self.log.touch()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 4)),
        st.tuples(st.just("follow"), st.integers(1, 2000)),
        st.tuples(st.just("close_batch"), st.just(0)),
        st.tuples(st.just("send"), st.integers(0, 1)),
        st.tuples(st.just("kill"), st.just(0)),
        st.tuples(st.just("rotate"), st.just(0)),
    ),
    max_size=40,
)


@given(STEPS)
@settings(deadline=None, max_examples=50)
def test_what_is_counted_is_what_was_written(steps: list[tuple[str, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder))
        for step, number in steps:
            match step:
                case "write":
                    node.write(number)
                case "follow":
                    node.follow(number)
                case "send":
                    node.send(is_answer_lost=bool(number))
                case _:
                    getattr(node, step)()
        node.kill()
        for _ in range(20):
            node.follow(64 * 1024)
        node.close_batch()
        while node.spool.oldest():
            node.send(is_answer_lost=False)
        assert sum(node.taken.values()) == node.written
        node.follower.close()
        node.spool.close()


def test_a_batch_that_cannot_be_written_is_in_the_next(tmp_path: Path) -> None:
    node = Node(tmp_path)
    node.write(1)
    node.follow(10_000)
    writer = Spool(tmp_path / "spool", node_id="n", boot_id="b", cap_bytes=10**9)
    node.spool._database.execute("PRAGMA busy_timeout=0")
    writer._database.execute("BEGIN IMMEDIATE")
    with pytest.raises(Exception, match="locked"):
        node.close_batch()
    writer._database.execute("ROLLBACK")
    writer.close()
    node.write(1)
    node.follow(10_000)
    node.close_batch()
    node.send(is_answer_lost=False)
    assert node.taken == {(node.spool.stream, 1): 4}
    node.follower.close()
    node.spool.close()


def test_a_damaged_spool_is_put_aside_and_another_stream_begun(tmp_path: Path) -> None:
    node = Node(tmp_path)
    stream = node.spool.stream
    node.follower.close()
    node.spool.close()
    (tmp_path / "spool" / "spool.sqlite3").write_bytes(b"this is no database" * 100)
    spool = Spool(tmp_path / "spool", node_id="n", boot_id="b", cap_bytes=10**9)
    assert spool.has_lost_position
    assert spool.stream != stream
    assert (tmp_path / "spool" / "spool.damaged").exists()
    spool.close()
