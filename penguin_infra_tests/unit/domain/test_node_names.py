"""A node's names: which records are asked for, and which have outlived their purpose."""

from ipaddress import IPv4Address
from uuid import UUID

import pytest

from penguin_infra.domain.node import LABEL_PATTERN, InstanceLabel, token_of
from penguin_infra.domain.node_names import dkim_record, find_stray, forward_records, reverse_record

NODE_ID = UUID("1a2b3c4d-0000-4000-8000-000000000000")
HOST, ADDRESS = "node-001.nodes.example", IPv4Address("192.0.2.7")
KEY = dkim_record(HOST, "penguin", "MIIB")
PRESENT = [*forward_records(HOST, ADDRESS), reverse_record(HOST, ADDRESS), KEY]


def test_mail_from_a_node_is_believable_by_these_records() -> None:
    assert [tuple(record) for record in PRESENT] == [
        (HOST, "A", "192.0.2.7"),
        (HOST, "TXT", "v=spf1 ip4:192.0.2.7 -all"),
        ("7.2.0.192.in-addr.arpa", "PTR", HOST),
        (f"penguin._domainkey.{HOST}", "TXT", "v=DKIM1; k=rsa; p=MIIB"),
    ]


def test_what_a_node_asks_for_is_no_stray() -> None:
    assert find_stray(PRESENT, hostname=HOST, ip_address=ADDRESS) == []


def test_all_records_of_a_node_that_is_gone_are_stray() -> None:
    assert find_stray(PRESENT, hostname=None, ip_address=None) == PRESENT


def test_records_of_a_former_address_are_stray_and_the_key_is_not() -> None:
    moved = IPv4Address("192.0.2.8")
    assert find_stray(PRESENT, hostname=HOST, ip_address=moved) == PRESENT[:3]


@pytest.mark.parametrize("instance_try", [1, 2, 20])
@pytest.mark.parametrize("label", ["a", "node-dallas-001", "a" * 33])
def test_every_instance_of_a_node_has_a_name_of_its_own_that_leads_back_to_it(label: str, instance_try: int) -> None:
    name = InstanceLabel.of(fleet_name="penguin", label=label, node_id=NODE_ID, instance_try=instance_try)
    read = InstanceLabel.parse(str(name))
    assert read is not None
    assert (read.fleet_name, read.token) == ("penguin", token_of(NODE_ID))
    assert LABEL_PATTERN.match(read.label)
    first = InstanceLabel.of(fleet_name="penguin", label=label, node_id=NODE_ID)
    assert (str(name) == str(first)) == (instance_try == 1)


def test_an_instances_name_fits_into_63_characters_at_its_longest() -> None:
    name = InstanceLabel.of(fleet_name="f" * 20, label="a" * 33, node_id=NODE_ID, instance_try=20)
    assert len(str(name)) <= 63
