"""The lab nodes' process: looks after the nodes in threads, and serves their control and the installer service."""

import threading
from pathlib import Path

import uvicorn
from starlette.applications import Starlette

from penguin_infra.lab.host_orders import HostRefused
from penguin_infra.lab.host_service import answer_refusal, host_routes
from penguin_infra.lab.node_control import control_routes
from penguin_infra.lab.node_surroundings import Surroundings
from penguin_infra.lab.nodes import LabNodes

HOST = "127.0.0.1"


def serve_nodes(
    *,
    port: int,
    folder: Path,
    gateway_url: str,
    api_key: str,
    provider_url: str,
    provider_credentials: tuple[str, str],
    sink: tuple[str, int],
    heartbeat_seconds: float,
    look_seconds: float,
    has_history: bool = True,
) -> None:
    """Run until SIGTERM or SIGINT. `sink`: the server that takes every real mail of the nodes."""
    nodes = LabNodes(
        folder=folder,
        gateway_url=gateway_url,
        surroundings=Surroundings(
            gateway_url=gateway_url,
            api_key=api_key,
            provider_url=provider_url,
            provider_credentials=provider_credentials,
        ),
        sink=sink,
        heartbeat_seconds=heartbeat_seconds,
        look_seconds=look_seconds,
        has_history=has_history,
    )
    app = Starlette(
        routes=[
            *control_routes(nodes.describe, nodes.set_scenario, nodes.ask_for_more),
            host_routes(nodes, api_key=api_key),
        ],
        exception_handlers={HostRefused: answer_refusal},
    )
    stop = threading.Event()
    workers = [
        threading.Thread(target=work, args=(stop,), name=name)
        for name, work in (("lab-nodes", nodes.run), ("lab-mail", nodes.run_mail))
    ]
    for worker in workers:
        worker.start()
    try:
        uvicorn.run(app, host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=2)
    finally:
        stop.set()
        for worker in workers:
            worker.join()
