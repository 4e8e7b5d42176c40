"""Runs that Dagster believes in although their processes died with an earlier fleet (kill -9, power cut).

Dagster's launcher for one machine does not look after them; each would hold a slot until the longest allowed runtime.
"""

import httpx

from penguin_infra.cli.programs import LOOPBACK

_ALIVE = """query ($before: Float!) {
    runsOrError(filter: { statuses: [STARTING, STARTED, CANCELING], updatedBefore: $before }) {
        ... on Runs { results { runId } } } }"""
_END = """mutation ($ids: [String!]!) {
    terminateRuns(runIds: $ids, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename } }"""


def cancel_orphaned_runs(ui_port: int, fleet_started_at: float) -> int:
    """Mark runs as cancelled that were last heard of before the fleet started (a UNIX time); returns how many."""
    with httpx.Client(base_url=f"http://{LOOPBACK}:{ui_port}", timeout=60, trust_env=False) as client:
        found = client.post("/graphql", json={"query": _ALIVE, "variables": {"before": fleet_started_at}})
        run_ids = [run["runId"] for run in found.raise_for_status().json()["data"]["runsOrError"].get("results", [])]
        if run_ids:
            client.post("/graphql", json={"query": _END, "variables": {"ids": run_ids}}).raise_for_status()
    return len(run_ids)
