"""The lab nodes' process: looks after the nodes in one thread, and serves their control on loopback until stopped."""

import threading
from pathlib import Path

import uvicorn

from penguin_infra.lab.node_control import control_app
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
    heartbeat_seconds: float = 30.0,
) -> None:
    """Run until SIGTERM or SIGINT."""
    nodes = LabNodes(
        folder=folder,
        gateway_url=gateway_url,
        api_key=api_key,
        provider_url=provider_url,
        provider_credentials=provider_credentials,
        heartbeat_seconds=heartbeat_seconds,
    )
    stop = threading.Event()
    caretaker = threading.Thread(target=nodes.run, args=(stop,), name="lab-nodes")
    caretaker.start()
    try:
        app = control_app(nodes.describe, nodes.set_scenario)
        uvicorn.run(app, host=HOST, port=port, log_level="warning", timeout_graceful_shutdown=2)
    finally:
        stop.set()
        caretaker.join()
