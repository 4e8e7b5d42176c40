"""The questions to one server, driven byte by byte: no socket, no clock but the test's."""

from collections.abc import Iterator, Sequence
from ipaddress import IPv4Address

import dns.rcode
import pytest

from penguin_infra.dnsbl import wire
from penguin_infra.dnsbl.exchange import (
    IN_FLIGHT,
    JITTER,
    LEAST_PLACES,
    SOCKET_COUNT,
    TRY_TIMEOUTS_SECONDS,
    Finished,
    Lane,
    Pace,
    Query,
    ServerExchange,
)

LONGEST_TRY = TRY_TIMEOUTS_SECONDS[0] * (1 + JITTER)
Sent = list[tuple[int, bytes]]


def queries(count: int, zone: str = "bl.test") -> Iterator[Query]:
    for number in range(count):
        labels = wire.reversed_labels(IPv4Address("10.0.0.0") + number)
        yield Query(number, wire.question(labels + wire.zone_labels(zone)))


def lane(count: int, zone: str = "bl.test", **more: object) -> Lane:
    return Lane(queries(count, zone), is_over=lambda: False, **more)  # type: ignore[arg-type]


def send_all(exchange: ServerExchange, now: float = 0.0) -> Sent:
    sent = []
    while (datagram := exchange.next_datagram(now)) is not None:
        sent.append(datagram)
    return sent


def answer(octets: bytes, rcode: int = dns.rcode.NXDOMAIN) -> bytes:
    return octets[:2] + bytes([0x81, 0x80 | rcode]) + octets[4:]


def finish(exchange: ServerExchange, sent: Sequence[tuple[int, bytes]]) -> list[Finished]:
    return [found for socket, octets in sent if (found := exchange.receive(socket, answer(octets)))]


def test_each_question_is_asked_once_and_finished_by_its_answer() -> None:
    exchange = ServerExchange([lane(3)])
    finished = finish(exchange, send_all(exchange))
    assert [one.query.token for one in finished] == [0, 1, 2]
    assert {one.reply for one in finished} == {wire.NXDOMAIN}
    assert send_all(exchange) == []
    assert exchange.is_done


def test_no_more_are_in_flight_than_a_server_can_take() -> None:
    exchange = ServerExchange([lane(1000)])
    sent = send_all(exchange)
    assert len(sent) == IN_FLIGHT
    assert {socket for socket, _ in sent} == set(range(SOCKET_COUNT))
    finish(exchange, sent[:5])
    assert len(send_all(exchange)) == 5


def test_ids_are_not_in_use_and_not_foreseeable() -> None:
    ids = [octets[:2] for _ in range(3) for _, octets in send_all(ServerExchange([lane(IN_FLIGHT)]))]
    assert len(set(ids)) > 2.9 * IN_FLIGHT
    exchange = ServerExchange([lane(IN_FLIGHT)])
    by_socket = [(socket, octets[:2]) for socket, octets in send_all(exchange)]
    assert len(set(by_socket)) == IN_FLIGHT


def test_what_answers_another_question_is_waited_past() -> None:
    exchange = ServerExchange([lane(2)])
    (socket, first), (other_socket, second) = send_all(exchange)
    right = answer(first)
    wrong_id = bytes([right[0] ^ 0xFF]) + right[1:]
    for forged in (wrong_id, answer(first[:2] + second[2:]), first, b"", right[:11]):
        assert exchange.receive(socket, forged) is None
    if other_socket != socket:
        assert exchange.receive(other_socket, right) is None
    assert exchange.receive(socket, right) is not None
    # The same again, late or forged, ends nothing any more.
    assert exchange.receive(socket, right) is None


def test_silence_is_tried_once_more_and_then_an_error() -> None:
    exchange = ServerExchange([lane(1)])
    send_all(exchange, 0.0)
    assert exchange.expire(TRY_TIMEOUTS_SECONDS[0] * (1 - JITTER) - 0.01) == []
    assert send_all(exchange, 1.0) == []
    assert exchange.expire(LONGEST_TRY) == []
    (again,) = send_all(exchange, LONGEST_TRY)
    assert exchange.expire(LONGEST_TRY + TRY_TIMEOUTS_SECONDS[1] * (1 - JITTER) - 0.01) == []
    (finished,) = exchange.expire(LONGEST_TRY + TRY_TIMEOUTS_SECONDS[1] * (1 + JITTER))
    assert "in time" in str(finished.reply.error)
    assert (finished.lane.sent, finished.query.tries) == (2, 2)
    assert exchange.receive(*again) is None
    assert exchange.is_done


def test_an_answer_to_the_first_try_that_comes_during_the_second_is_none() -> None:
    exchange = ServerExchange([lane(1)])
    (socket, first), *_ = send_all(exchange, 0.0)
    exchange.expire(LONGEST_TRY)
    (second_socket, second), *_ = send_all(exchange, LONGEST_TRY)
    assert exchange.receive(socket, answer(first)) is None
    assert exchange.receive(second_socket, answer(second)) is not None


def test_tries_that_were_sent_together_do_not_expire_together() -> None:
    exchange = ServerExchange([lane(100)])
    send_all(exchange, 0.0)
    moments = set()
    while (wakes_at := exchange.wakes_at()) is not None and wakes_at < TRY_TIMEOUTS_SECONDS[0] * 1.5:
        moments.add(wakes_at)
        exchange.expire(wakes_at)
    assert len(moments) > 90
    assert min(moments) >= TRY_TIMEOUTS_SECONDS[0] * (1 - JITTER)
    assert max(moments) <= LONGEST_TRY


@pytest.mark.parametrize(("rcode", "tries"), [(dns.rcode.SERVFAIL, 2), (dns.rcode.REFUSED, 1)])
def test_a_failure_is_tried_again_at_once_and_a_refusal_never(rcode: int, tries: int) -> None:
    exchange = ServerExchange([lane(1)])
    finished = None
    while finished is None:
        (socket, octets), *_ = send_all(exchange)
        finished = exchange.receive(socket, answer(octets, rcode))
    assert finished.query.tries == tries
    assert dns.rcode.to_text(dns.rcode.Rcode(rcode)) in str(finished.reply.error)


def test_a_socket_that_reports_an_error_fails_what_is_under_way_by_it_and_nothing_else() -> None:
    exchange = ServerExchange([lane(SOCKET_COUNT)])
    sent = send_all(exchange)
    (broken, _), *others = sent
    assert exchange.fail(broken, "cannot be reached: refused") == []
    ((again, _),) = send_all(exchange)
    (finished,) = exchange.fail(again, "cannot be reached: refused")
    assert finished.reply.error == "cannot be reached: refused"
    assert len(finish(exchange, [one for one in others if one[0] != again])) >= len(others) - 1


def test_a_list_that_hangs_leaves_the_others_their_places() -> None:
    hanging, well = lane(1000, "hangs.test"), lane(1000, "well.test")
    exchange = ServerExchange([hanging, well])
    answered = 0
    for _ in range(200):
        sent = send_all(exchange)
        answered += len(finish(exchange, [one for one in sent if b"\x04well" in one[1]]))
    assert answered == 1000
    # The last places are its own once nobody else waits for them.
    assert hanging.in_flight <= IN_FLIGHT


def test_many_lists_have_some_places_each() -> None:
    lanes = [lane(1000, f"l{number}.test") for number in range(40)]
    exchange = ServerExchange(lanes)
    assert len(send_all(exchange)) == IN_FLIGHT
    assert max(one.in_flight for one in lanes) <= LEAST_PLACES
    # In turn: none has two more than another.
    assert max(one.in_flight for one in lanes) - min(one.in_flight for one in lanes) <= 1


def test_a_list_with_a_pace_is_asked_no_faster() -> None:
    paced = lane(100, pace=Pace(5))
    exchange = ServerExchange([paced])
    now, sent = 0.0, 0
    while now < 2.0:
        found = send_all(exchange, now)
        sent += len(found)
        finish(exchange, found)
        wakes_at = exchange.wakes_at()
        assert wakes_at is not None
        now = max(wakes_at, now + 0.001)
    assert 10 <= sent <= 11


def test_what_was_not_sent_when_a_list_is_over_is_dropped() -> None:
    over: list[bool] = []
    spared = Lane(queries(1000), is_over=lambda: bool(over))
    exchange = ServerExchange([spared, lane(1, "other.test")])
    sent = send_all(exchange)
    over.append(True)
    finish(exchange, sent)
    assert send_all(exchange) == []
    assert exchange.is_done
    assert spared.sent < 1000


def test_a_truncated_answer_is_handed_on_to_be_asked_over_tcp() -> None:
    exchange = ServerExchange([lane(1)])
    ((socket, octets),) = send_all(exchange)
    cut = bytearray(answer(octets, dns.rcode.NOERROR))
    cut[2] |= 0x02
    finished = exchange.receive(socket, bytes(cut))
    assert finished is not None
    assert finished.reply.is_truncated


def test_what_came_over_tcp_ends_the_question_and_a_failure_there_is_tried_once_more() -> None:
    exchange = ServerExchange([lane(1)])
    for is_last in (False, True):
        ((socket, octets),) = send_all(exchange)
        finished = exchange.receive(socket, octets[:2] + b"\x83\x80" + octets[4:])
        assert finished is not None
        assert finished.reply.is_truncated
        # The list keeps its place meanwhile, and the exchange is not over.
        assert not exchange.is_done
        assert finished.lane.in_flight == 1
        over = exchange.finish_stream(finished, wire.Reply(error="nothing over TCP", may_pass=True))
        assert (over is not None) is is_last
    assert exchange.is_done


def test_a_datagram_that_never_left_is_sent_later_and_neither_counted_nor_a_try() -> None:
    one = lane(1)
    exchange = ServerExchange([one])
    for _ in range(5):
        assert exchange.next_datagram(0.0) is not None
        exchange.take_back()
    assert one.sent == 0
    assert one.in_flight == 0
    (sent,) = send_all(exchange)
    (finished,) = finish(exchange, [sent])
    assert (finished.query.tries, one.sent) == (1, 1)


def test_a_datagram_that_the_system_refuses_is_a_failure_and_not_counted() -> None:
    one = lane(1)
    exchange = ServerExchange([one])
    finished: list[Finished] = []
    while not finished:
        (socket, _) = exchange.next_datagram(0.0) or (0, b"")
        exchange.not_sent()
        finished = exchange.fail(socket, "cannot be reached: no route")
    assert (finished[0].query.tries, one.sent) == (2, 0)


def test_a_pace_is_kept_over_all_servers_that_are_asked() -> None:
    pace = Pace(5)
    exchanges = [ServerExchange([lane(100, pace=pace)]) for _ in range(3)]
    now, sent = 0.0, 0
    while now < 2.0:
        for exchange in exchanges:
            found = send_all(exchange, now)
            sent += len(found)
            finish(exchange, found)
        now += 0.01
    assert 9 <= sent <= 11
