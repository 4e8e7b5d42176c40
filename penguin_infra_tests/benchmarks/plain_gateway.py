"""The gateway's peer in its benchmark: a plain FastAPI handler, a pydantic model, and one transaction a request."""

import os
from datetime import datetime
from hashlib import sha256
from typing import Annotated, Any
from uuid import UUID

from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import Engine, text

from penguin_infra.store.database import make_engine, parse_url

_WRITES = (
    (
        "INSERT INTO fleet.heartbeats (node_id, received_at, mta_state, cpu_percent, memory_percent)"
        " VALUES (:node_id, now(), :mta_state, :cpu_percent, :memory_percent)"
    ),
    (
        "INSERT INTO fleet.node_pulses (node_id, received_at, served_seconds, sent_at, boot_id, agent_version,"
        " mta_state, transport, cpu_percent, memory_percent)"
        " VALUES (:node_id, now(), 0, :sent_at, :boot_id, :agent_version, :mta_state, :transport, :cpu_percent,"
        " :memory_percent) ON CONFLICT (node_id) DO UPDATE SET received_at = excluded.received_at,"
        " cpu_percent = excluded.cpu_percent, memory_percent = excluded.memory_percent"
    ),
)


class Beat(BaseModel):
    """A heartbeat."""

    node_id: UUID
    sent_at: datetime
    boot_id: str
    agent_version: str
    transport: str
    probes: dict[str, Any]


def from_environment() -> FastAPI:
    """What uvicorn's workers call."""
    engine: Engine = make_engine(parse_url(os.environ["PENGUIN_DATABASE_URL"]), pool_size=20)
    app = FastAPI()

    @app.post("/heartbeat")
    def post_heartbeat(beat: Beat, authorization: Annotated[str, Header()]) -> dict[str, Any]:
        digest = sha256(authorization.removeprefix("Bearer ").encode()).digest()
        probes = {name: beat.probes[name] for name in ("cpu_percent", "memory_percent")}
        with engine.begin() as connection:
            node_id = connection.scalar(
                text("SELECT node_id FROM fleet.agent_tokens WHERE token_hash = :digest"), {"digest": digest}
            )
            if node_id != beat.node_id:
                raise HTTPException(403)
            values = beat.model_dump() | probes | {"mta_state": beat.probes["mta"]["state"]}
            for write in _WRITES:
                connection.execute(text(write), values)
            status = connection.scalar(
                text("SELECT status FROM fleet.sending_nodes WHERE id = :node_id"), {"node_id": node_id}
            )
        return {"transport": "release" if status == "active" else "hold"}

    return app
