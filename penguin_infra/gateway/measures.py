"""What `/metrics` tells. Counters are the sum over all workers where `PROMETHEUS_MULTIPROC_DIR` is set, as `gateway
serve` does; in a process by itself they are its own. No label names a node or a secret.
"""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

_PREFIX = "penguin_gateway"

COMMITTED = Counter(f"{_PREFIX}_committed", "Messages committed.", ["kind"])
DUPLICATES = Counter(f"{_PREFIX}_duplicate_batches", "Batches that had been counted before.")
REFUSED = Counter(f"{_PREFIX}_refused", "Requests refused, by the error's code.", ["code"])
GROUP_SECONDS = Histogram(
    f"{_PREFIX}_group_seconds",
    "How long a group's transaction took.",
    ["kind"],
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10),
)


def render_metrics() -> bytes:
    """All measures in Prometheus's text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest()
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
