"""A host that nobody answers for, and whoever hears what is said."""

from ipaddress import IPv4Address
from uuid import UUID

import pytest

from penguin_infra.installer.installer import Host

HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIMMj9vRYnSjH2KsXzRC0G2KVPK5V9YPN2ua+Ozc3uFvl"


@pytest.fixture
def host() -> Host:
    return Host(UUID(int=7), "node-test-001", IPv4Address("127.0.0.1"), "node-test-001.nodes.test", HOST_KEY)


@pytest.fixture
def said() -> list[str]:
    return []
