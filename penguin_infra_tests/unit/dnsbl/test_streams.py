"""Questions over TCP: real connections on loopback, and no clock but the test's."""

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

import pytest

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.exchange import TRY_TIMEOUTS_SECONDS, Finished, Lane, Query
from penguin_infra.dnsbl.resolvers import Resolver
from penguin_infra.dnsbl.streams import Streams
from penguin_infra_tests.dns_process import free_port

ASKED = wire.question(wire.reversed_labels(IPv4Address("192.0.2.7")) + wire.zone_labels("bl.test"))
PATIENCE_SECONDS = TRY_TIMEOUTS_SECONDS[-1]


class Asker:
    """Streams with a selector, and the replies that came."""

    def __init__(self, selector: selectors.BaseSelector, port: int) -> None:
        self.streams = Streams(selector)
        self.lane = Lane(iter(()), is_over=lambda: False)
        self.replies: list[wire.Reply] = []
        self._selector = selector
        self._resolver = Resolver("127.0.0.1", port)

    def ask(self) -> None:
        """Ask, and take the time to be zero."""
        finished = Finished(self.lane, Query("about", ASKED), wire.TRUNCATED)
        self.streams.ask(self._resolver, finished, self.replies.append)
        self.streams.advance(0.0)

    def turn(self) -> None:
        """Do what the sockets are ready for."""
        for key, _ in self._selector.select(5):
            key.data[0].handle(key.data[1])

    def await_reply(self) -> wire.Reply:
        """Turn until one is there, some seconds at most."""
        until = time.monotonic() + 10
        while not self.replies and time.monotonic() < until:
            self.turn()
        (reply,) = self.replies
        return reply


@contextmanager
def asking(port: int) -> Iterator[Asker]:
    with selectors.DefaultSelector() as selector:
        asker = Asker(selector, port)
        try:
            yield asker
        finally:
            asker.streams.close()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(10)
        yield server


@contextmanager
def connected(asker: Asker, listener: socket.socket) -> Iterator[tuple[socket.socket, bytes]]:
    """The server's end of the connection, and the query that came by it."""
    asker.ask()
    connection, _ = listener.accept()
    with connection:
        connection.settimeout(10)
        asker.turn()
        octets = connection.recv(512)
        assert int.from_bytes(octets[:2], "big") == len(octets) - 2
        yield connection, octets[2:]


def framed(datagram: bytes) -> bytes:
    return len(datagram).to_bytes(2, "big") + datagram


def denial(query: bytes) -> bytes:
    return query[:2] + b"\x81\x83" + query[4:]


def test_an_answer_that_comes_in_pieces_is_read_whole(listener: socket.socket) -> None:
    with asking(listener.getsockname()[1]) as asker:
        with connected(asker, listener) as (connection, query):
            answer = framed(denial(query))
            for piece in (answer[:1], answer[1:7]):
                connection.sendall(piece)
                asker.turn()
                assert asker.replies == []
            connection.sendall(answer[7:])
            assert asker.await_reply() == wire.NXDOMAIN
        assert asker.streams.is_done
        assert asker.lane.sent == 1


def test_who_drips_is_given_up_in_time(listener: socket.socket) -> None:
    with asking(listener.getsockname()[1]) as asker:
        with connected(asker, listener) as (connection, _):
            for number in range(3):
                connection.sendall(b"\x40")
                asker.turn()
                asker.streams.advance(number + 0.9)
            assert asker.replies == []
            assert asker.streams.wakes_at() == PATIENCE_SECONDS
            asker.streams.advance(PATIENCE_SECONDS)
        (reply,) = asker.replies
        assert "in time" in str(reply.error)
        assert reply.may_pass
        assert asker.streams.is_done


@pytest.mark.parametrize("forgery", [b"", b"\x00", b"\x00\x02ab"], ids=["nothing", "half a length", "too short"])
def test_a_connection_that_ends_without_a_whole_answer_is_an_error(listener: socket.socket, forgery: bytes) -> None:
    with asking(listener.getsockname()[1]) as asker:
        with connected(asker, listener) as (connection, _):
            connection.sendall(forgery)
        reply = asker.await_reply()
        assert reply.error
        assert not reply.is_nxdomain


def test_an_answer_of_another_id_is_none(listener: socket.socket) -> None:
    with asking(listener.getsockname()[1]) as asker, connected(asker, listener) as (connection, query):
        connection.sendall(framed(denial(bytes([query[0] ^ 0xFF]) + query[1:])))
        assert asker.await_reply().error


def test_a_closed_port_is_told_at_once() -> None:
    with asking(free_port()) as asker:
        asker.ask()
        assert "cannot be reached over TCP" in str(asker.await_reply().error)


def test_no_more_than_a_few_connections_are_open_at_once(listener: socket.socket) -> None:
    with asking(listener.getsockname()[1]) as asker:
        for _ in range(20):
            asker.ask()
        assert asker.lane.sent == 8
        asker.streams.advance(PATIENCE_SECONDS)
        assert len(asker.replies) == 8
        assert asker.lane.sent == 16
