"""The names that instances carry at the provider: whose they are, and for which node."""

from string import ascii_lowercase, digits
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penguin_infra.domain.node import LABEL_PATTERN, InstanceLabel, token_of

NODE_ID = UUID("1a2b3c4d-0000-4000-8000-000000000001")

fleet_names = st.from_regex(r"[a-z][a-z0-9]{0,19}", fullmatch=True)
labels = st.text(ascii_lowercase + digits + "-", min_size=1, max_size=33).filter(lambda it: it.strip("-") == it)


@given(fleet_name=fleet_names, label=labels, node_id=st.uuids())
def test_an_instance_label_is_read_back_as_it_was_written(fleet_name: str, label: str, node_id: UUID) -> None:
    written = InstanceLabel.of(fleet_name=fleet_name, label=label, node_id=node_id)
    assert InstanceLabel.parse(str(written)) == written
    assert (written.fleet_name, written.label, written.token) == (fleet_name, label, token_of(node_id))


@given(fleet_name=fleet_names, label=labels, node_id=st.uuids())
def test_an_instance_label_is_a_dns_label(fleet_name: str, label: str, node_id: UUID) -> None:
    written = str(InstanceLabel.of(fleet_name=fleet_name, label=label, node_id=node_id))
    assert len(written) <= 63
    assert set(written) <= set(ascii_lowercase + digits + "-")


@pytest.mark.parametrize(
    "label",
    [
        "",
        "web-1",
        "penguin-node-001",
        "penguin-1a2b3c4d",
        "penguin-node-001-1a2b3c4",
        "penguin-node-001-1a2b3c4d5",
        "penguin-node-001-1A2B3C4D",
        "penguin-node-001-1a2b3c4g",
        "Penguin-node-001-1a2b3c4d",
        "1penguin-node-001-1a2b3c4d",
        " penguin-node-001-1a2b3c4d",
        "penguin-node-001-1a2b3c4d\n",
        "penguin_node_001_1a2b3c4d",
    ],
)
def test_a_foreign_label_is_none_of_ours(label: str) -> None:
    assert InstanceLabel.parse(label) is None


def test_another_fleets_label_names_that_fleet() -> None:
    name = InstanceLabel.parse("puffin-node-001-1a2b3c4d")
    assert name is not None
    assert name.fleet_name == "puffin"


def test_a_token_is_the_beginning_of_the_nodes_id() -> None:
    assert token_of(NODE_ID) == "1a2b3c4d"


@given(st.uuids())
def test_a_token_is_eight_hex_digits(node_id: UUID) -> None:
    assert len(token_of(node_id)) == 8
    assert set(token_of(node_id)) <= set("0123456789abcdef")


@pytest.mark.parametrize("label", ["node-001", "a", "7", "a" * 33])
def test_a_dns_label_may_name_a_node(label: str) -> None:
    assert LABEL_PATTERN.match(label)


@pytest.mark.parametrize("label", ["", "-a", "a-", "a" * 34, "Node", "a.b", "a_b", "a b", "node-001\n"])
def test_what_is_no_dns_label_names_no_node(label: str) -> None:
    assert not LABEL_PATTERN.match(label)
