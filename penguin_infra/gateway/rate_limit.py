"""How often one node may speak: a bucket of tokens each, refilled with time. Only known nodes have buckets."""

from penguin_infra.gateway.errors import ApiError


class RateLimit:
    """`burst` requests at once, `per_second` in the long run."""

    def __init__(self, *, per_second: float, burst: int) -> None:
        self._per_second = per_second
        self._burst = burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, node_id: str, now: float) -> None:
        """Count a request at a monotonic moment; raises a 429 that says when to come again."""
        left, at = self._buckets.get(node_id, (float(self._burst), now))
        left = min(self._burst, left + (now - at) * self._per_second)
        if left < 1:
            self._buckets[node_id] = (left, now)
            wait = int((1 - left) / self._per_second) + 1
            raise ApiError(429, "too_many_requests", f"this node sends too often: wait {wait} s", retry_after=wait)
        self._buckets[node_id] = (left - 1, now)
