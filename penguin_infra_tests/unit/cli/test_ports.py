"""A port that is taken is named before anything starts, with its setting and its holder."""

import os
import socket
from collections.abc import Iterator

import pytest

from penguin_infra.cli.ports import PortTaken, require_free_ports


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_names_its_setting_and_its_holder(taken_port: int) -> None:
    with pytest.raises(PortTaken, match=rf"port {taken_port} is taken by .*pid {os.getpid()}.*PENGUIN_UI_PORT"):
        require_free_ports({"PENGUIN_UI_PORT": taken_port})


def test_a_port_for_two_programs_is_refused() -> None:
    with pytest.raises(PortTaken, match="PENGUIN_UI_PORT and PENGUIN_CODE_SERVER_PORT"):
        require_free_ports({"PENGUIN_UI_PORT": 3000, "PENGUIN_CODE_SERVER_PORT": 3000})


def test_datagrams_hold_a_port_only_where_they_matter() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free_for_streams:
        port = free_for_streams.getsockname()[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as holder:
        holder.bind(("127.0.0.1", port))
        require_free_ports({"PENGUIN_UI_PORT": port})
        with pytest.raises(PortTaken, match=str(port)):
            require_free_ports({"PENGUIN_LAB_DNS_PORT": port}, also_udp=("PENGUIN_LAB_DNS_PORT",))
