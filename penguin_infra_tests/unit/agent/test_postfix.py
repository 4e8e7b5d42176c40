"""Postfix driven by its commands: here small programs that keep their state in files, run as real processes."""

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from penguin_infra.agent.postfix import Postfix
from penguin_infra.agent.postfix_queue import MOST_MAILS, PostfixQueue, plain_reason
from penguin_infra.messages.telemetry import DelayReason, Mta

POSTCONF = """#!/bin/sh
echo "postconf $*" >> {calls}
case "$1" in
  -h) cat {setting} ;;
  -e) echo "$2" | sed 's/^defer_transports=//' > {setting} ;;
esac
"""
PLAIN = """#!/bin/sh
echo "{name} $*" >> {calls}
[ ! -e {fails} ]
"""


@dataclass
class Host:
    """A host's Postfix: `bin` on its search path, a queue folder, and what was called."""

    folder: Path

    def __post_init__(self) -> None:
        self.bin = self.folder / "bin"
        self.bin.mkdir()
        self.calls, self.setting = self.folder / "calls", self.folder / "setting"
        self.calls.touch()
        self.setting.write_text("\n")
        names = {"calls": self.calls, "setting": self.setting, "fails": self.folder / "fails"}
        self.program("postconf", POSTCONF.format(**names))
        self.program("postfix", PLAIN.format(name="postfix", **names))
        self.program("postqueue", PLAIN.format(name="postqueue", **names))
        self.queue_folder = self.folder / "spool"
        (self.queue_folder / "pid").mkdir(parents=True)
        self.path = f"{self.bin}:/usr/bin:/bin"
        self.postfix = Postfix(self.queue_folder, self.path)

    def program(self, name: str, text: str) -> None:
        (self.bin / name).write_text(text)
        (self.bin / name).chmod(0o755)

    def called(self) -> list[str]:
        """Since the last time, reading back aside."""
        lines = [line for line in self.calls.read_text().splitlines() if "-h" not in line]
        self.calls.write_text("")
        return lines

    def queue(self, text: str, *, timeout_seconds: float = 5.0) -> PostfixQueue:
        self.program("postqueue", text)
        return PostfixQueue(lambda: "up", self.path, timeout_seconds)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


@pytest.fixture
def master(host: Host) -> Iterator[None]:
    """A living process named master, and its pid file."""
    program = host.folder / "master"
    program.symlink_to("/bin/sleep")
    process = subprocess.Popen([program, "60"])
    while Path(f"/proc/{process.pid}/comm").read_text() != "master\n":
        time.sleep(0.01)
    (host.queue_folder / "pid" / "master.pid").write_text(f"{process.pid:>10}\n")
    yield
    process.kill()
    process.wait()


@pytest.mark.usefixtures("master")
def test_a_hold_is_set_reloaded_and_read_back_and_a_release_flushes(host: Host) -> None:
    assert host.postfix.state() == "released"
    assert host.postfix.hold()
    assert host.postfix.state() == "held"
    assert host.called() == ["postconf -e defer_transports=smtp", "postfix reload"]
    assert host.postfix.release()
    assert host.postfix.state() == "released"
    assert host.called() == ["postconf -e defer_transports=", "postfix reload", "postqueue -f"]


@pytest.mark.usefixtures("master")
def test_what_is_so_already_is_not_done_again_after_the_first_time(host: Host) -> None:
    # The first time it is reloaded: a process before may have been killed between the setting and the reload.
    host.setting.write_text("smtp\n")
    assert host.postfix.hold()
    assert host.called() == ["postfix reload"]
    assert host.postfix.hold()
    assert host.called() == []


@pytest.mark.usefixtures("master")
def test_the_operators_own_deferred_transports_stay(host: Host) -> None:
    host.setting.write_text("uucp, relay\n")
    assert host.postfix.hold()
    assert host.setting.read_text() == "uucp relay smtp\n"
    assert host.postfix.release()
    assert host.setting.read_text() == "uucp relay\n"


@pytest.mark.usefixtures("master")
def test_a_reload_that_fails_is_no_hold_and_is_tried_again(host: Host) -> None:
    (host.folder / "fails").touch()
    assert not host.postfix.hold()
    (host.folder / "fails").unlink()
    host.called()
    assert host.postfix.hold()
    assert host.called() == ["postfix reload"]


def test_a_postfix_that_is_down_is_held_by_its_setting(host: Host) -> None:
    assert host.postfix.mta_state() == "down"
    assert host.postfix.hold()
    assert host.called() == ["postconf -e defer_transports=smtp"]


@pytest.mark.usefixtures("master")
def test_a_living_master_is_up(host: Host) -> None:
    assert host.postfix.mta_state() == "up"


def test_another_process_under_the_masters_old_pid_is_not_postfix(host: Host) -> None:
    (host.queue_folder / "pid" / "master.pid").write_text("1\n")
    assert host.postfix.mta_state() == "down"


def test_a_host_without_postfix_is_absent_and_holds_nothing(tmp_path: Path) -> None:
    postfix = Postfix(tmp_path, str(tmp_path))
    assert postfix.mta_state() == "absent"
    assert postfix.state() == "unknown"
    assert not postfix.hold()
    assert not postfix.release()
    assert PostfixQueue(postfix.mta_state, str(tmp_path)).read() == Mta("absent")


def entry(queue: str, arrived_at: float, *reasons: str) -> str:
    recipients = [{"address": "person@example.org", "delay_reason": reason} for reason in reasons]
    return json.dumps({
        "queue_name": queue, "queue_id": "4F1", "arrival_time": int(arrived_at), "sender": "s@example.org",
        "recipients": recipients or [{"address": "person@example.org"}],
    })  # fmt: skip


def printing(folder: Path, *lines: str) -> str:
    (folder / "queue.json").write_text("".join(line + "\n" for line in lines))
    return f"#!/bin/sh\nexec cat {folder / 'queue.json'}\n"


def test_the_queue_is_summed_without_any_address(host: Host) -> None:
    now = time.time()
    busy = "host mx.example.org[192.0.2.1] said: 450 4.2.0 <person@example.org>: busy (in reply to RCPT TO command)"
    refused = "connect to mx.example.org[192.0.2.2]:25: Connection refused"
    queue = host.queue(
        printing(
            host.folder,
            entry("active", now - 5),
            entry("incoming", now),
            entry("deferred", now - 500, refused, refused),
            entry("deferred", now - 100, busy),
            entry("deferred", now - 100, busy.replace("person", "somebody").replace("192.0.2.1", "192.0.2.9")),
            entry("hold", now - 50),
            "no json",
            "[]",
        )
    )
    found = queue.read()
    assert (found.state, found.active, found.deferred, found.held) == ("up", 2, 3, 1)
    assert found.oldest_age_seconds is not None
    assert 499 <= found.oldest_age_seconds <= 510
    assert not found.is_truncated
    assert found.delay_reasons == (
        DelayReason("host mx.example.org# said: 450 4.2.0 ...: busy (in reply to RCPT TO command)", 2),
        DelayReason("connect to mx.example.org#: Connection refused", 1),
    )


def test_an_empty_queue_is_zeros_and_a_queue_that_cannot_be_read_is_unknown(host: Host) -> None:
    assert host.queue("#!/bin/sh\n").read() == Mta("up", 0, 0, 0)
    assert host.queue("#!/bin/sh\nexit 69\n").read() == Mta("up")


def test_a_queue_beyond_the_cap_is_cut_and_says_so(host: Host) -> None:
    queue = host.queue(printing(host.folder, *[entry("deferred", time.time())] * (MOST_MAILS + 500)))
    found = queue.read()
    assert (found.deferred, found.is_truncated) == (MOST_MAILS, True)


def test_a_postqueue_that_hangs_is_ended_in_time(host: Host) -> None:
    listing = host.folder / "queue.json"
    listing.write_text(entry("active", time.time()) + "\n")
    began = time.monotonic()
    found = host.queue(f"#!/bin/sh\ncat {listing}\nexec sleep 60\n", timeout_seconds=0.3).read()
    assert time.monotonic() - began < 10
    assert (found.active, found.is_truncated) == (1, True)


@pytest.mark.parametrize(
    "reason",
    [
        "<person@example.org>: unknown",
        "person@example.org unknown",
        'unknown user: "person"',
        "mailbox 'person' is full",
        "return path bounce+person=example.org@x",
        "see https://x.example/?who=person",
        "user person%40example.org",
    ],
)
def test_no_reason_names_a_person(reason: str) -> None:
    assert "person" not in plain_reason(reason)
