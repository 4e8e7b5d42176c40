"""A stranger's look: each classic way to relay is found, no mail is ever sent, and exactly the open ports are found."""

import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from penguin_infra.domain.verification import OutsideView
from penguin_infra.verification import outside
from penguin_infra.verification.outside import SCANNED_PORTS, look_from_outside
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.verification.mail_servers import EVERYTHING, NOTHING, running_mail_server

LOOPBACK = IPv4Address("127.0.0.1")

# One way in, and the word by which it is told.
WAYS = {
    r"victim@example\.com": "plainly",
    r"victim%example\.com@\[127\.0\.0\.1\]": "by percent",
    r"\"victim@example\.com\"@\[127\.0\.0\.1\]": "quoted",
}


def look_at_mail(port: int) -> OutsideView:
    return look_from_outside(LOOPBACK, scan=False, smtp_port=port)


@contextmanager
def answering(answer: bytes, *, after_seconds: float = 0) -> Iterator[int]:
    """Somebody at a port who says that to each caller, after a while, and listens no further."""
    listener = socket.create_server(("127.0.0.1", 0))
    callers = []
    ended = threading.Event()

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            callers.append(caller)
            ended.wait(after_seconds)
            with suppress(OSError):
                caller.sendall(answer)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        ended.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for caller in callers:
            caller.close()


def test_an_open_relay_is_found_by_its_own_words(tmp_path: Path) -> None:
    with running_mail_server(tmp_path, EVERYTHING) as server:
        view = look_at_mail(server.port)
        assert view.relays
        assert "took victim@example.com from <stranger@example.com> (plainly): 250 2.1.5 Ok" in view.relay_detail
        assert "DATA" not in server.told


@pytest.mark.parametrize("taken", WAYS)
def test_each_way_to_relay_is_found(tmp_path: Path, taken: str) -> None:
    with running_mail_server(tmp_path, taken) as server:
        view = look_at_mail(server.port)
        assert view.relays
        assert f"({WAYS[taken]})" in view.relay_detail
        assert "DATA" not in server.told


def test_a_server_that_refuses_strangers_is_no_relay_and_is_not_annoyed(tmp_path: Path) -> None:
    with running_mail_server(tmp_path, NOTHING) as server:
        view = look_at_mail(server.port)
        assert not view.relays
        assert "554 5.7.1 Relay access denied" in view.relay_detail
        asked = [line for line in server.told if line.startswith("RCPT")]
    # Fewer than half of what makes Fail2Ban on a node close the door.
    assert 4 <= len(asked) <= 5
    assert any(line.endswith("from <>") for line in asked)
    assert "DATA" not in server.told


def test_the_domain_of_the_probe_can_be_chosen(tmp_path: Path) -> None:
    with running_mail_server(tmp_path, r".*@probe\.test") as server:
        assert look_from_outside(LOOPBACK, scan=False, smtp_port=server.port, probe_domain="probe.test").relays


def test_a_closed_port_is_no_relay() -> None:
    view = look_at_mail(free_port())
    assert not view.relays
    assert "takes no mail" in view.relay_detail


@pytest.mark.parametrize(
    "greeting",
    [
        b"421 4.7.0 go away\x00\x07\r\n",
        b"HTTP/1.1 400 Bad Request\r\n\r\n",
        b"\xff\xfe\x00" * 30 + b"\n",
        b"220-" + b"x" * 100_000,
        b"220-again\r\n" * 200,
        b"\r\n",
    ],
    ids=["busy", "web server", "binary", "long line", "endless reply", "empty line"],
)
def test_what_does_not_want_to_talk_is_no_relay(greeting: bytes) -> None:
    with answering(greeting) as port:
        view = look_at_mail(port)
    assert not view.relays
    assert "takes no mail" in view.relay_detail
    assert view.relay_detail.isprintable()


@pytest.mark.parametrize("after_seconds", [2, 600], ids=["slow", "silent"])
def test_a_server_that_keeps_us_waiting_is_left(monkeypatch: pytest.MonkeyPatch, after_seconds: float) -> None:
    monkeypatch.setattr(outside, "_RELAY_SECONDS", 0.3)
    with answering(b"421 mail.test is busy\r\n", after_seconds=after_seconds) as port:
        view = look_at_mail(port)
    assert (view.relays, "does not answer" in view.relay_detail) == (False, True)


def test_exactly_the_open_ports_are_found() -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(3)]
        opened = {listener.getsockname()[1] for listener in listeners}
        # Bound and not listening, so that nobody else opens them meanwhile.
        closed = set()
        for _ in range(20):
            holder = stack.enter_context(socket.socket())
            holder.bind(("127.0.0.1", 0))
            closed.add(holder.getsockname()[1])
        view = look_from_outside(LOOPBACK, ports=[*opened, *closed], smtp_port=min(closed))
    assert view.open_ports == frozenset(opened)


def test_a_port_that_swallows_what_is_sent_to_it_is_closed() -> None:
    """A full backlog drops packets without a word, as a firewall does; later it would take them."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(address)
        making_room = threading.Timer(1, lambda: listener.listen(50))
        making_room.start()
        stack.callback(making_room.join)
        open_port = stack.enter_context(socket.create_server(("127.0.0.1", 0))).getsockname()[1]
        view = look_from_outside(LOOPBACK, ports=[address[1], open_port], timeout_seconds=0.5, smtp_port=free_port())
    assert view.open_ports == frozenset({open_port})


def test_all_well_known_ports_are_looked_at_at_once() -> None:
    assert {22, 25, 53, 80, 443, 1024, 2375, 3000, 3306, 4270, 5432, 6379, 8000, 8080, 8443, 9090, 11211, 27017} <= set(
        SCANNED_PORTS
    )
    view = look_from_outside(LOOPBACK, smtp_port=free_port())
    assert view.open_ports is not None
    assert view.open_ports <= set(SCANNED_PORTS)


def test_a_look_that_is_not_wanted_says_so() -> None:
    view = look_from_outside(LOOPBACK, scan=False, smtp_port=free_port())
    assert view.open_ports is None
    assert "scan_ports" in view.why_not


def test_a_machine_without_a_network_has_not_looked() -> None:
    look = (
        "from ipaddress import IPv4Address; from penguin_infra.verification.outside import look_from_outside;"
        "print(look_from_outside(IPv4Address('127.0.0.1'), ports=[22, 25]))"
    )
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    # A network namespace of its own, whose loopback is down.
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c", look],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"no network namespace can be made here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    assert re.search(r"open_ports=None, why_not='this machine cannot look: .*unreachable", done.stdout), done.stdout
