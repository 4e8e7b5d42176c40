"""What the lab's nodes ask of the world around them, over sockets: the registry, the provider's machines, complaints.

Errors are httpx's: a gateway or a provider that is away is part of what a lab is for.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from penguin_infra.lab.complaint_mail import feedback_report
from penguin_infra.lab.history import demand_batches, history_batches
from penguin_infra.lab.host_orders import HostRefused
from penguin_infra.messages.telemetry import DeliveryBatch

# Short: all nodes wait for it, and everything asked is on this machine.
_TIMEOUT_SECONDS = 3.0
_TRIES = 3


@dataclass(frozen=True, slots=True)
class Registered:
    """A node as the registry has it."""

    node_id: str
    label: str
    status: str
    ip_address: str | None
    hostname: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """A node's instance at the provider: its plan, and how often it was rebooted."""

    plan: str
    reboots: int


class Surroundings:
    """The gateway and the provider. `api_key` is an operator's; nodes' own tokens are not known here."""

    def __init__(
        self, *, gateway_url: str, api_key: str, provider_url: str, provider_credentials: tuple[str, str]
    ) -> None:
        self._gateway = httpx.Client(
            base_url=gateway_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=_TIMEOUT_SECONDS,
            trust_env=False,
        )
        self._provider = httpx.Client(
            base_url=provider_url, auth=provider_credentials, timeout=_TIMEOUT_SECONDS, trust_env=False
        )

    def registered_nodes(self) -> dict[str, Registered]:
        """All nodes by their id."""
        answer = self._gateway.get("/api/v1/infrastructure/nodes").raise_for_status().json()
        names = Registered.__dataclass_fields__
        return {node["node_id"]: Registered(**{name: node[name] for name in names}) for node in answer["nodes"]}

    def machines(self) -> dict[str, Machine]:
        """The provider's instances by the end of their label, which tells whose each is."""
        found: dict[str, Machine] = {}
        page: int | None = 1
        while page:
            answer = self._provider.get("/instances", params={"page": page, "per_page": 100}).raise_for_status().json()
            for instance in answer["instances"]:
                inside = self._provider.get(f"/lab/instances/{instance['id']}")
                if inside.status_code == httpx.codes.NOT_FOUND:
                    continue  # deleted since the list was made
                reboots = int(inside.raise_for_status().json()["reboots"])
                found[instance["label"].rpartition("-")[2]] = Machine(instance["plan"], reboots)
            page = answer["next_page"]
        return found

    def tell_history(self, node_id: str, token: str, *, seed: int, now: datetime) -> None:
        """Tell the gateway what a node delivered before it was born, as its agent would."""
        self._tell(history_batches(node_id, now=now, seed=seed), token)

    def tell_demand(self, node_id: str, token: str, seed: int, percents: tuple[int, int]) -> None:
        """Tell it what the node would have delivered besides, had demand been raised; errors: `HostRefused`."""
        before, after = percents
        batches = demand_batches(node_id, now=datetime.now(UTC), seed=seed, from_percent=before, to_percent=after)
        try:
            self._tell(batches, token)
        except httpx.HTTPError as error:
            why = f"the gateway does not take it ({error}): ask again, what it has counts once"
            raise HostRefused(why, status=503, code="unavailable") from None

    def _tell(self, batches: Iterable[DeliveryBatch], token: str) -> None:
        for batch in batches:
            self._post(batch, token).raise_for_status()

    def _post(self, batch: DeliveryBatch, token: str) -> httpx.Response:
        """As an agent does: a gateway that says it is too much is asked again in a second."""
        for _ in range(_TRIES):
            answer = self._gateway.post(
                "/api/v1/agents/deliveries", json=batch.to_json(), headers={"Authorization": f"Bearer {token}"}
            )
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                break
            time.sleep(1)
        return answer

    def complain(self, ip_address: str, now: datetime) -> None:
        """Let a recipient call a node's mail spam."""
        report = feedback_report(ip_address, now)
        self._gateway.post("/api/v1/feedback/arf", content=report, headers={"Content-Type": "message/rfc822"})
