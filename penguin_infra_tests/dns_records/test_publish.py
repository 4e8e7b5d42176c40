"""What is published shows, what is not ours is never touched, and the server itself decides a race."""

import pytest

from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher
from penguin_infra.dns_records.publisher import DnsRefused, Record, RecordTaken
from penguin_infra_tests.dns_records.conftest import connect
from penguin_infra_tests.dns_records.dns_proxy import DnsProxy
from penguin_infra_tests.name_servers import FORWARD_ZONE, NameServer, ZoneRecord

SPF = "v=spf1 a -all"
LONG_TEXT = "v=DKIM1; k=rsa; p=" + "Qx7/+" * 80


def at(server: NameServer, name: str) -> set[ZoneRecord]:
    """Everything that the zone holds at a name, as another client sees it."""
    return {record for record in server.zone_records(FORWARD_ZONE) if record.name == name}


def test_published_records_show_at_the_server(server: NameServer, publisher: DynamicUpdatePublisher, name: str) -> None:
    publisher.publish([Record(name, "A", "10.0.0.1"), Record(name, "TXT", SPF)])
    assert at(server, name) == {(name, "A", "10.0.0.1"), (name, "TXT", SPF)}
    assert publisher.read(name, "A") == {"10.0.0.1"}
    assert publisher.read(name, "TXT") == {SPF}


def test_a_name_may_hold_several_values(server: NameServer, publisher: DynamicUpdatePublisher, name: str) -> None:
    records = [Record(name, "TXT", SPF), Record(name, "TXT", "owner=penguin")]
    publisher.publish(records)
    assert publisher.read(name, "TXT") == {SPF, "owner=penguin"}
    publisher.remove(records)
    assert at(server, name) == set()


def test_a_text_longer_than_one_string_is_published_whole_and_removed(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    assert len(LONG_TEXT) > 400
    record = Record(name, "TXT", LONG_TEXT)
    publisher.publish([record])
    assert publisher.read(name, "TXT") == {LONG_TEXT}
    publisher.publish([Record(name, "TXT", LONG_TEXT[:-1])], ours=[record])
    assert publisher.read(name, "TXT") == {LONG_TEXT[:-1]}
    publisher.remove([Record(name, "TXT", LONG_TEXT[:-1])])
    assert at(server, name) == set()


@pytest.mark.parametrize("text", ['say "hi"; \\ done', "ünïcode", ""], ids=["quoted", "utf-8", "empty"])
def test_any_text_comes_back_as_it_was_given(publisher: DynamicUpdatePublisher, name: str, text: str) -> None:
    record = Record(name, "TXT", text)
    publisher.publish([record])
    assert publisher.read(name, "TXT") == {text}
    publisher.remove([record])
    assert publisher.read(name, "TXT") == set()


def test_a_repeat_changes_nothing_and_sends_no_update(server: NameServer, proxy: DnsProxy, name: str) -> None:
    through = connect(server, server=proxy.server)
    for _ in range(3):
        through.publish([Record(name, "A", "10.0.0.1"), Record(name, "TXT", SPF)])
    assert proxy.seen["update"] == 1
    through.publish([Record(name.upper(), "A", "10.0.0.1")])
    assert proxy.seen["update"] == 1


def test_all_records_of_a_call_travel_in_one_update(server: NameServer, proxy: DnsProxy, name: str) -> None:
    records = [Record(f"{number}.{name}", "A", f"10.0.0.{number}") for number in range(5)]
    connect(server, server=proxy.server).publish(records)
    assert proxy.seen["update"] == 1
    connect(server, server=proxy.server).remove(records)
    assert proxy.seen["update"] == 2
    assert all(not server.values(record.name, "A") for record in records)


def test_what_is_ours_is_replaced(server: NameServer, publisher: DynamicUpdatePublisher, name: str) -> None:
    former = [Record(name, "A", "10.0.0.1"), Record(name, "TXT", SPF)]
    publisher.publish(former)
    publisher.publish([Record(name, "A", "10.0.0.2"), Record(name, "TXT", SPF)], ours=former)
    assert at(server, name) == {(name, "A", "10.0.0.2"), (name, "TXT", SPF)}


def test_what_was_ours_and_is_gone_is_no_obstacle(publisher: DynamicUpdatePublisher, name: str) -> None:
    publisher.publish([Record(name, "A", "10.0.0.2")], ours=[Record(name, "A", "10.0.0.1")])
    assert publisher.read(name, "A") == {"10.0.0.2"}


def test_a_record_of_somebody_else_is_never_overwritten(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    server.add(FORWARD_ZONE, name, "A", "10.9.9.9")
    with pytest.raises(RecordTaken, match=rf"{name} A holds '10\.9\.9\.9'"):
        publisher.publish([Record(name, "A", "10.0.0.1")], ours=[Record(name, "A", "10.0.0.2")])
    assert at(server, name) == {(name, "A", "10.9.9.9")}


@pytest.mark.parametrize("wanted", ["10.0.0.1", "10.0.0.2"])
def test_a_record_of_somebody_else_beside_ours_is_never_overwritten(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str, wanted: str
) -> None:
    ours = Record(name, "A", "10.0.0.1")
    publisher.publish([ours])
    server.add(FORWARD_ZONE, name, "A", "10.9.9.9")
    with pytest.raises(RecordTaken, match=r"10\.9\.9\.9"):
        publisher.publish([Record(name, "A", wanted)], ours=[ours])
    assert at(server, name) == {(name, "A", "10.0.0.1"), (name, "A", "10.9.9.9")}


def test_other_types_at_the_name_are_not_touched(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    server.add(FORWARD_ZONE, name, "MX", "10 mail.example.com.")
    server.add(FORWARD_ZONE, name, "AAAA", "2001:db8::1")
    publisher.publish([Record(name, "A", "10.0.0.1")])
    publisher.publish([Record(name, "A", "10.0.0.2")], ours=[Record(name, "A", "10.0.0.1")])
    publisher.remove([Record(name, "A", "10.0.0.2")])
    assert at(server, name) == {(name, "MX", "10 mail.example.com"), (name, "AAAA", "2001:db8::1")}


def test_an_alias_of_somebody_else_is_never_touched(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    server.add(FORWARD_ZONE, f"www.{name}", "A", "10.0.0.1")
    server.add(FORWARD_ZONE, name, "CNAME", f"www.{name}.")
    # Its target has the very address that is wanted.
    with pytest.raises(RecordTaken, match=f"{name} is an alias of www.{name}"):
        publisher.publish([Record(name, "A", "10.0.0.1")])
    assert publisher.read(name, "A") == set()
    publisher.remove([Record(name, "A", "10.0.0.1")])
    assert at(server, name) == {(name, "CNAME", f"www.{name}")}


def test_of_several_records_none_is_published_when_one_is_taken(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    server.add(FORWARD_ZONE, f"b.{name}", "TXT", '"theirs"')
    with pytest.raises(RecordTaken, match="theirs"):
        publisher.publish([Record(f"a.{name}", "A", "10.0.0.1"), Record(f"b.{name}", "TXT", SPF)])
    assert server.values(f"a.{name}", "A") == set()


def test_a_wildcard_is_no_record_at_the_name(server: NameServer, publisher: DynamicUpdatePublisher, name: str) -> None:
    server.add(FORWARD_ZONE, f"*.{name}", "A", "10.9.9.9")
    publisher.publish([Record(f"a.{name}", "A", "10.0.0.1")])
    assert publisher.read(f"a.{name}", "A") == {"10.0.0.1"}
    assert server.values(f"b.{name}", "A") == {"10.9.9.9"}


@pytest.mark.parametrize("former", [(), ("10.0.0.1",)], ids=["nothing there", "ours there"])
def test_a_writer_between_our_look_and_our_update_wins(
    server: NameServer, proxy: DnsProxy, name: str, former: tuple[str, ...]
) -> None:
    ours = [Record(name, "A", value) for value in former]
    through = connect(server, server=proxy.server, attempts=1)
    through.publish(ours)
    proxy.before_update = lambda: server.add(FORWARD_ZONE, name, "A", "10.9.9.9")
    with pytest.raises(RecordTaken, match=r"10\.9\.9\.9"):
        through.publish([Record(name, "A", "10.0.0.2")], ours=ours)
    assert at(server, name) == {(name, "A", value) for value in ("10.9.9.9", *former)}


def test_an_alias_between_our_look_and_our_update_wins(server: NameServer, proxy: DnsProxy, name: str) -> None:
    proxy.before_update = lambda: server.add(FORWARD_ZONE, name, "CNAME", "elsewhere.example.com.")
    with pytest.raises(RecordTaken, match="alias of elsewhere"):
        connect(server, server=proxy.server, attempts=1).publish([Record(name, "A", "10.0.0.2")])
    assert at(server, name) == {(name, "CNAME", "elsewhere.example.com")}


def test_a_writer_of_the_same_records_between_is_no_quarrel(server: NameServer, proxy: DnsProxy, name: str) -> None:
    proxy.before_update = lambda: server.add(FORWARD_ZONE, name, "A", "10.0.0.2")
    connect(server, server=proxy.server, attempts=1).publish([Record(name, "A", "10.0.0.2")])
    assert at(server, name) == {(name, "A", "10.0.0.2")}


def test_what_of_ours_goes_between_our_look_and_our_update_is_no_obstacle(
    server: NameServer, proxy: DnsProxy, name: str
) -> None:
    former = Record(name, "A", "10.0.0.1")
    through = connect(server, server=proxy.server)
    through.publish([former])
    proxy.before_update = lambda: server.delete(FORWARD_ZONE, name)
    through.publish([Record(name, "A", "10.0.0.2")], ours=[former])
    assert at(server, name) == {(name, "A", "10.0.0.2")}


def test_exactly_the_named_records_are_removed(
    server: NameServer, publisher: DynamicUpdatePublisher, name: str
) -> None:
    ours = [Record(name, "A", "10.0.0.1"), Record(name, "TXT", SPF)]
    publisher.publish(ours)
    server.add(FORWARD_ZONE, name, "A", "10.9.9.9")
    server.add(FORWARD_ZONE, name, "TXT", '"theirs"')
    server.add(FORWARD_ZONE, f"below.{name}", "A", "10.9.9.8")
    publisher.remove(ours)
    assert at(server, name) == {(name, "A", "10.9.9.9"), (name, "TXT", "theirs")}
    assert server.values(f"below.{name}", "A") == {"10.9.9.8"}


def test_removing_what_is_not_there_is_done(server: NameServer, proxy: DnsProxy, name: str) -> None:
    through = connect(server, server=proxy.server, attempts=1)
    through.remove([Record(name, "A", "10.0.0.1"), Record(name, "TXT", SPF)])
    server.add(FORWARD_ZONE, name, "A", "10.9.9.9")
    through.remove([Record(name, "A", "10.0.0.1")])
    assert proxy.seen["update"] == 0
    assert at(server, name) == {(name, "A", "10.9.9.9")}


@pytest.mark.parametrize(
    ("record", "why"),
    [
        (Record("n1.elsewhere.test", "A", "10.0.0.1"), "not within PENGUIN_DNS_ZONE"),
        (Record("evilnodes.test", "A", "10.0.0.1"), "not within PENGUIN_DNS_ZONE"),
        (Record("a..nodes.test", "A", "10.0.0.1"), "is no name"),
        (Record(f"{'a' * 64}.nodes.test", "A", "10.0.0.1"), "is no name"),
        (Record("a.nodes.test", "A", "10.0.0"), "no IPv4 address"),
        (Record("a.nodes.test", "A", "2001:db8::1"), "no IPv4 address"),
        (Record("a.nodes.test", "TXT", "x" * 5000), "too long"),
    ],
)
def test_what_cannot_stand_in_the_zone_is_refused_before_anything_is_sent(
    server: NameServer, proxy: DnsProxy, record: Record, why: str
) -> None:
    through = connect(server, server=proxy.server, attempts=1)
    fine = Record("fine.nodes.test", "A", "10.0.0.1")
    for act in (through.publish, through.remove):
        with pytest.raises(DnsRefused, match=why):
            act([fine, record])
    assert proxy.seen.total() == 0


def test_a_delegated_name_is_refused(server: NameServer, publisher: DynamicUpdatePublisher, name: str) -> None:
    server.add(FORWARD_ZONE, name, "NS", "ns.elsewhere.test.")
    # BIND and Knot would take the record and never show it.
    with pytest.raises(DnsRefused, match="delegated to another zone"):
        publisher.publish([Record(f"host.{name}", "A", "10.0.0.1")])
