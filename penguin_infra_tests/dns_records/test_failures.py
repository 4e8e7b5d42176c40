"""Every failure names what is at fault and never the secret; what passes by itself is waited for, within bounds."""

import logging
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra.dns_records.primary_server import DnsSettingError
from penguin_infra.dns_records.publisher import DnsRefused, DnsUnavailable, Record
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.dns_records.conftest import connect
from penguin_infra_tests.dns_records.dns_proxy import DnsProxy
from penguin_infra_tests.name_servers import FORWARD_ZONE, NameServer, TsigKey

OTHER_SECRET = TsigKey().secret

WRONG_SETTINGS: dict[str, tuple[dict[str, Any], str]] = {
    "secret": ({"key_secret": OTHER_SECRET}, "PENGUIN_DNS_KEY_SECRET"),
    "key name": ({"key_name": "nobody"}, "PENGUIN_DNS_KEY_NAME"),
    "algorithm": ({"key_algorithm": "hmac-sha512"}, "PENGUIN_DNS_KEY_ALGORITHM"),
    "unsigned": ({"key_name": None, "key_secret": None}, "set PENGUIN_DNS_KEY_NAME and PENGUIN_DNS_KEY_SECRET"),
    "foreign zone": ({"zone": "elsewhere.test"}, "PENGUIN_DNS_ZONE"),
    "zone below": ({"zone": f"sub.{FORWARD_ZONE}"}, "PENGUIN_DNS_ZONE"),
    "zone above": ({"zone": "test"}, "PENGUIN_DNS_ZONE"),
}


@contextmanager
def listening(talk: Callable[[socket.socket], object]) -> Iterator[str]:
    """Somebody on a port of loopback who does that to each caller."""

    def serve() -> None:
        while True:
            try:
                caller, _ = listener.accept()
            except OSError:
                return
            callers.append(caller)
            talk(caller)

    callers: list[socket.socket] = []
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for caller in callers:
            caller.close()


@pytest.mark.parametrize("wrong", WRONG_SETTINGS)
def test_a_wrong_setting_is_named_and_never_repeated(
    server: NameServer, proxy: DnsProxy, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    changes, setting = WRONG_SETTINGS[wrong]
    caplog.set_level(logging.DEBUG)
    publisher = connect(server, **changes, server=proxy.server)
    before = server.zone_records(FORWARD_ZONE)
    with pytest.raises(DnsRefused, match=setting) as caught:
        publisher.publish([Record(f"x.{changes.get('zone', FORWARD_ZONE)}", "A", "10.0.0.1")])
    assert server.zone_records(FORWARD_ZONE) == before
    assert proxy.seen.total() <= 3
    said = "".join(traceback.format_exception(caught.value)) + repr(publisher) + caplog.text
    assert server.server in said or proxy.server in said
    assert server.key.secret not in said
    assert OTHER_SECRET not in said


def test_a_clock_that_differs_is_named(server: NameServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = time.time
    # The library signs with this machine's clock, which is set wrong here.
    monkeypatch.setattr(time, "time", lambda: right() - 3600)
    with pytest.raises(DnsRefused, match=r"clocks? .*(differ|agree)"):
        connect(server).publish([Record(name, "A", "10.0.0.1")])


def test_a_resolver_in_place_of_the_primary_is_refused(server: NameServer, name: str) -> None:
    def answer_without_authority(caller: socket.socket) -> None:
        query = caller.recv(4096)
        assert not query[4] & 1, "a resolver was asked to look further"
        # QR and RA, but not AA: as a resolver that knows nothing.
        caller.sendall(len(query[2:]).to_bytes(2) + query[2:4] + b"\x80\x80" + query[6:])

    with listening(answer_without_authority) as address:
        publisher = connect(server, server=address, key_name=None, key_secret=None)
        with pytest.raises(DnsRefused, match="PENGUIN_DNS_SERVER is not the primary"):
            publisher.read(name, "A")


def test_a_server_that_is_down_is_asked_again_and_named(server: NameServer, name: str) -> None:
    publisher = connect(server, server=f"127.0.0.1:{free_port()}", attempts=2)
    for act in (publisher.publish, publisher.remove):
        with pytest.raises(DnsUnavailable, match=r"127\.0\.0\.1:\d+.*PENGUIN_DNS_SERVER"):
            act([Record(name, "A", "10.0.0.1")])


def test_a_silent_server_is_waited_for_within_bounds(server: NameServer, name: str) -> None:
    calls: list[socket.socket] = []
    with listening(calls.append) as address:
        publisher = connect(server, server=address, timeout_seconds=0.2, attempts=3)
        with pytest.raises(DnsUnavailable, match="no answer"):
            publisher.publish([Record(name, "A", "10.0.0.1")])
    assert len(calls) == 3


def test_what_is_no_name_server_is_told_in_words(server: NameServer, name: str) -> None:
    with listening(lambda caller: caller.sendall(b"\x00\x0eHTTP/1.1 400 \r\n" + bytes(40))) as address:
        publisher = connect(server, server=address, timeout_seconds=1, attempts=1)
        with pytest.raises(DnsUnavailable, match=r"none of a name server.*PENGUIN_DNS_SERVER"):
            publisher.publish([Record(name, "A", "10.0.0.1")])


def test_a_server_that_comes_back_is_found_again(mortal: NameServer, name: str) -> None:
    mortal.stop()
    publisher = connect(mortal, attempts=10, first_wait_seconds=0.3)
    failed = []
    work = threading.Thread(target=lambda: failed.append(_error_of(publisher, name)))
    work.start()
    time.sleep(0.5)
    mortal.start()
    work.join(60)
    assert failed == [None]
    assert mortal.values(name, "A") == {"10.0.0.1"}


def test_kill_9_of_the_server_loses_nothing_that_was_published(mortal: NameServer, name: str) -> None:
    records = [Record(name, "A", "10.0.0.1"), Record(name, "TXT", "v=spf1 a -all")]
    publisher = connect(mortal)
    publisher.publish(records)
    mortal.kill()
    mortal.start()
    assert publisher.read(name, "A") == {"10.0.0.1"}
    publisher.publish(records)
    publisher.remove(records)
    mortal.kill()
    mortal.start()
    assert not {record for record in mortal.zone_records(FORWARD_ZONE) if record.name == name}


def test_kill_9_of_the_server_before_the_update_is_outlasted(mortal: NameServer, name: str) -> None:
    with DnsProxy(mortal.address, mortal.port) as proxy:
        back = threading.Timer(0.3, mortal.start)

        def kill() -> None:
            mortal.kill()
            back.start()

        proxy.before_update = kill
        connect(mortal, server=proxy.server, attempts=10, first_wait_seconds=0.2).publish(
            [Record(name, "A", "10.0.0.1")]
        )
        back.join()
    assert proxy.seen["update"] >= 2
    assert mortal.values(name, "A") == {"10.0.0.1"}


def test_a_lost_answer_is_harmless(server: NameServer, proxy: DnsProxy, name: str) -> None:
    through = connect(server, server=proxy.server)
    proxy.answers_to_lose = 1
    through.publish([Record(name, "A", "10.0.0.1")])
    assert (proxy.answers_to_lose, proxy.seen["update"]) == (0, 1)
    proxy.answers_to_lose = 1
    through.publish([Record(name, "A", "10.0.0.2")], ours=[Record(name, "A", "10.0.0.1")])
    assert server.values(name, "A") == {"10.0.0.2"}
    proxy.answers_to_lose = 1
    through.remove([Record(name, "A", "10.0.0.2")])
    assert (proxy.answers_to_lose, proxy.seen["update"]) == (0, 3)
    assert server.values(name, "A") == set()


def test_a_change_counts_when_it_shows(server: NameServer, proxy: DnsProxy, name: str, tmp_path: Path) -> None:
    """Questions go to a second server, which hears of the change later."""
    with type(server)(tmp_path / "second", key=server.key) as second:
        proxy.questions_to = second.address, second.port
        late = threading.Timer(1, lambda: second.add(FORWARD_ZONE, name, "A", "10.0.0.1"))
        late.start()
        connect(server, server=proxy.server).publish([Record(name, "A", "10.0.0.1")])
        assert second.values(name, "A") == {"10.0.0.1"}
        late.join()
        # Knot takes up an update within milliseconds, but now and then only after a second.
        impatient = connect(server, server=proxy.server, timeout_seconds=2.5, attempts=1)
        with pytest.raises(DnsUnavailable, match="still there"):
            impatient.remove([Record(name, "A", "10.0.0.1")])
        with pytest.raises(DnsUnavailable, match="does not show"):
            impatient.publish([Record(f"never.{name}", "A", "10.0.0.1")])


@pytest.mark.parametrize(
    ("changes", "setting"),
    [
        ({"key_secret": "not base64!"}, "PENGUIN_DNS_KEY_SECRET"),
        ({"key_secret": ""}, "PENGUIN_DNS_KEY_SECRET"),
        ({"key_secret": "dG9wc2VjcmV0d"}, "PENGUIN_DNS_KEY_SECRET"),
        ({"key_name": "a..b"}, "PENGUIN_DNS_KEY_NAME"),
        ({"key_name": None}, "PENGUIN_DNS_KEY_NAME"),
        ({"key_secret": None}, "PENGUIN_DNS_KEY_SECRET"),
        ({"key_algorithm": "hmac-md5"}, "PENGUIN_DNS_KEY_ALGORITHM"),
        ({"server": "ns.example.com:53"}, "PENGUIN_DNS_SERVER"),
        ({"server": "127.0.0.1:port"}, "PENGUIN_DNS_SERVER"),
        ({"server": "127.0.0.1:0"}, "PENGUIN_DNS_SERVER"),
        ({"server": ""}, "PENGUIN_DNS_SERVER"),
        ({"zone": "a..b"}, "PENGUIN_DNS_ZONE"),
        ({"zone": "."}, "PENGUIN_DNS_ZONE"),
        ({"zone": ""}, "PENGUIN_DNS_ZONE"),
    ],
)
def test_an_unusable_setting_is_named_at_once_without_the_secret(changes: dict[str, Any], setting: str) -> None:
    secret = changes.get("key_secret") or OTHER_SECRET
    usual = {"zone": FORWARD_ZONE, "server": "127.0.0.1:53", "key_name": "key", "key_secret": secret}
    with pytest.raises(DnsSettingError, match=setting) as caught:
        DynamicUpdatePublisher(**{**usual, "key_algorithm": "hmac-sha256", **changes})
    assert isinstance(caught.value, ValueError)
    assert secret not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("told", "shown"),
    [("192.0.2.1", "192.0.2.1:53"), ("192.0.2.1:5353", "192.0.2.1:5353"), ("[2001:db8::1]:5353", "[2001:db8::1]:5353")],
)
def test_a_server_is_an_address_of_either_family_with_or_without_a_port(told: str, shown: str) -> None:
    publisher = DynamicUpdatePublisher(
        zone=FORWARD_ZONE, server=told, key_name="key", key_secret=OTHER_SECRET, key_algorithm="hmac-sha256"
    )
    assert repr(publisher) == f"DynamicUpdatePublisher(zone='{FORWARD_ZONE}', server='{shown}')"


def _error_of(publisher: DynamicUpdatePublisher, name: str) -> Exception | None:
    try:
        publisher.publish([Record(name, "A", "10.0.0.1")])
    except Exception as error:
        return error
    return None
