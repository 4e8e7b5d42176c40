"""Whether the fleet's ports are free, asked before anything starts, and who holds the one that is not."""

import socket
from collections.abc import Collection, Mapping

import psutil

HOST = "127.0.0.1"


class PortTaken(Exception):
    """A port is held by another process; names the port, the setting that changes it and the holder if visible."""


def require_free_ports(ports: Mapping[str, int], *, also_udp: Collection[str] = ()) -> None:
    """Check each setting's port on the loopback interface; those of `also_udp` for datagrams too.

    Errors: `PortTaken`, a line for each port that is held, or named by two settings.
    """
    problems = []
    for number in sorted(set(ports.values())):
        names = [name for name, port in ports.items() if port == number]
        if len(names) > 1:
            problems.append(f"port {number} is given to {' and '.join(names)}: give each its own")
        elif not _is_free(number, is_udp_too=names[0] in also_udp):
            problems.append(f"port {number} is taken{_holder(number)}: end that, or set {names[0]} to another port")
    if problems:
        raise PortTaken("\n".join(problems))


def _is_free(port: int, *, is_udp_too: bool) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM) if is_udp_too else (socket.SOCK_STREAM,):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:  # connections that end hold the port for a minute, and harm nobody
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                return False
    return True


def _holder(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="inet"):
            is_server = connection.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)
            if is_server and connection.laddr and connection.laddr.port == port and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass  # not allowed to look: the port's number must do
    return ""
