"""uvicorn on a socket of our own, in one process or several; ends when it is told to, with what it has in hand."""

import os
import socket
from pathlib import Path
from shutil import rmtree

import uvicorn
from uvicorn.supervisors import Multiprocess

from penguin_infra.gateway.upkeep import PARENT_VARIABLE

HOST = "127.0.0.1"
_APP = "penguin_infra.gateway.app:from_environment"
_BACKLOG = 2048
# Agents speak every 30 s: a connection that outlives that saves them a handshake each time.
_KEEP_ALIVE_SECONDS = 75
_GRACE_SECONDS = 10
# Each waits for its body or its commit; beyond that uvicorn answers 503 by itself.
_MOST_CONNECTIONS = 12_000


class PortInUse(Exception):
    """The gateway's port is taken; the message names the setting."""


def serve(*, port: int, workers: int, metrics_directory: Path) -> None:
    """Serve on loopback until told to stop; raises `PortInUse`."""
    listener = _listen(port)
    # The workers add up their measures in files; those of a former life would be counted again.
    rmtree(metrics_directory, ignore_errors=True)
    metrics_directory.mkdir(parents=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = str(metrics_directory)
    config = uvicorn.Config(
        _APP,
        factory=True,
        workers=workers,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="on",
        ws="none",
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        limit_concurrency=_MOST_CONNECTIONS,
    )
    os.environ[PARENT_VARIABLE] = str(os.getppid() if workers == 1 else os.getpid())
    if workers == 1:
        uvicorn.Server(config).run(sockets=[listener])
    else:
        Multiprocess(config, sockets=[listener]).run()


def _listen(port: int) -> socket.socket:
    # The protocol by name: asyncio sets TCP_NODELAY on what such a socket accepts, and on no other.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise PortInUse(f"port {port} is taken ({error.strerror}): end that, or set PENGUIN_GATEWAY_PORT") from None
    listener.listen(_BACKLOG)
    listener.set_inheritable(True)
    return listener
