"""The eight calls of the REST contract as the simulated Hostwind answers them (reference: hostwind-api.md, section 1).

Only what the contract says, and validation. Memory is `hostwind_state.py`; faults, credentials and the lab's own
calls are put around this in `hostwind_simulator.py`.
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from ipaddress import IPv4Address

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from penguin_infra.lab.hostwind_addresses import NoAddressLeft
from penguin_infra.lab.hostwind_instance import SimulatedInstance
from penguin_infra.lab.hostwind_plans import IMAGES, PLANS, REGIONS
from penguin_infra.lab.hostwind_state import HostwindState

Clock = Callable[[], datetime]

_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?")
_HOSTNAME = re.compile(r"(?=.{1,253}\Z)([A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+[A-Za-z]([A-Za-z0-9-]{0,61})")
_PER_PAGE, _MOST_PER_PAGE = 50, 100
_EXTRA_ADDRESSES = IPv4Address("127.80.0.0")
MOST_EXTRA_ADDRESSES = 8
_MOST_DIGITS = 9  # of a page number: more would not fit anywhere


class Refusal(Exception):
    """An answer in the contract's error shape."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class HostwindRoutes:
    """The contract's calls over one state."""

    def __init__(
        self, state: HostwindState, *, boot_seconds: float, reverse_dns_delay_seconds: float, clock: Clock
    ) -> None:
        self._state = state
        self._now = clock
        self._boot_time = timedelta(seconds=boot_seconds)
        self._reverse_dns_delay = timedelta(seconds=reverse_dns_delay_seconds)

    def routes(self) -> list[Route]:
        """The calls by method and path."""
        return [
            Route("/instances", self._create, methods=["POST"]),
            Route("/instances", self._list, methods=["GET"]),
            Route("/instances/{id}/status", self._status, methods=["GET"]),
            Route("/instances/{id}/resize", self._resize, methods=["POST"]),
            Route("/instances/{id}/reboot", self._reboot, methods=["POST"]),
            Route("/instances/{id}/rdns", self._set_rdns, methods=["PUT"]),
            Route("/instances/{id}", self._delete, methods=["DELETE"]),
            Route("/plans", self._plans, methods=["GET"]),
        ]

    async def _create(self, request: Request) -> Response:
        body = await read_body(request)
        now = self._now()
        label = _matching(body, "label", _LABEL)
        region = _one_of(body, "region", REGIONS)
        plan = _one_of(body, "plan", PLANS)
        image = _one_of(body, "image", IMAGES)
        ssh_keys = body.get("ssh_keys", [])
        if not isinstance(ssh_keys, list) or not all(isinstance(key, str) for key in ssh_keys):
            raise Refusal(422, "invalid_ssh_keys", "ssh_keys is a list of strings")
        asked = json.dumps([label, region, plan, image, ssh_keys])
        idempotency_key = request.headers.get("Idempotency-Key") or None
        if idempotency_key and (former := self._state.created_with(idempotency_key)):
            return _repeated(former, asked, now)
        try:
            instance = self._state.create(
                label=label,
                region=region,
                plan=plan,
                image=image,
                ssh_keys=ssh_keys,
                idempotency_key=idempotency_key,
                request=asked,
                now=now,
                ready_at=None if request.state.is_address_withheld else now + self._boot_time,
            )
        except NoAddressLeft:
            raise Refusal(409, "no_capacity", "no address is free") from None
        return JSONResponse(_answer(instance, now), 202)

    async def _list(self, request: Request) -> Response:
        page = _positive(request, "page", 1)
        per_page = min(_positive(request, "per_page", _PER_PAGE), _MOST_PER_PAGE)
        # One more than is shown tells whether there is another page.
        instances = self._state.live_instances(limit=per_page + 1, offset=(page - 1) * per_page)
        now = self._now()
        return JSONResponse(
            {
                "instances": [_answer(instance, now) for instance in instances[:per_page]],
                "next_page": page + 1 if len(instances) > per_page else None,
            }
        )

    async def _status(self, request: Request) -> Response:
        return JSONResponse(_answer(self._live(request), self._now()))

    async def _resize(self, request: Request) -> Response:
        now = self._now()
        instance = self._settled(request, now)
        plan = _one_of(await read_body(request), "plan", PLANS)
        if plan == instance.plan(now):
            raise Refusal(422, "unchanged_plan", f"the instance is on {plan} already")
        self._state.resize(instance, plan=plan, done_at=now + self._boot_time)
        return JSONResponse(_answer(self._live(request), now), 202)

    async def _reboot(self, request: Request) -> Response:
        self._state.reboot(self._settled(request, self._now()))
        return JSONResponse({}, 202)

    async def _set_rdns(self, request: Request) -> Response:
        now = self._now()
        instance = self._settled(request, now)
        body = await read_body(request)
        ip, hostname = body.get("ip"), _matching(body, "hostname", _HOSTNAME)
        if ip != str(instance.address):
            raise Refusal(422, "invalid_ip", "ip is not an address of this instance")
        self._state.set_rdns(instance, ip=str(ip), hostname=hostname, due_at=now + self._reverse_dns_delay)
        return JSONResponse({"ip": ip, "hostname": hostname})

    async def _delete(self, request: Request) -> Response:
        self._state.delete(self._live(request), now=self._now())
        return JSONResponse({}, 202)

    async def _plans(self, _: Request) -> Response:
        return JSONResponse({"plans": self._state.prices.offers(self._now())})

    def _live(self, request: Request) -> SimulatedInstance:
        instance = self._state.live_instance(request.path_params["id"])
        if instance is None:
            raise Refusal(404, "instance_not_found", f"no instance {request.path_params['id']}")
        return instance

    def _settled(self, request: Request, now: datetime) -> SimulatedInstance:
        instance = self._live(request)
        if instance.status(now) != "running":
            raise Refusal(409, "instance_busy", f"the instance is {instance.status(now)}")
        return instance


def _answer(instance: SimulatedInstance, now: datetime) -> dict[str, object]:
    return {
        "id": instance.provider_id,
        "label": instance.label,
        "region": instance.region,
        "plan": instance.plan(now),
        "status": instance.status(now),
        "ip": str(instance.address) if instance.is_booted(now) else None,
        "created_at": instance.created_at.isoformat(),
        **_extra_ips(instance, now),
    }


def _extra_ips(instance: SimulatedInstance, now: datetime) -> dict[str, object]:
    """No part of the contract: only an instance that has such addresses tells of them."""
    first = _EXTRA_ADDRESSES + instance.number * MOST_EXTRA_ADDRESSES
    addresses = [str(first + place) for place in range(instance.extra_addresses(now))]
    return {"extra_ips": addresses} if addresses else {}


def _repeated(former: SimulatedInstance, asked: str, now: datetime) -> Response:
    if former.request != asked:
        raise Refusal(422, "idempotency_key_reused", "this Idempotency-Key came with another request before")
    if former.deleted_at:
        raise Refusal(409, "idempotency_key_spent", f"the instance of this key, {former.provider_id}, was deleted")
    return JSONResponse(_answer(former, now), 202)


async def read_body(request: Request) -> Mapping[str, object]:
    """The request's JSON object. Errors: `Refusal`."""
    try:
        body = await request.json()
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal(400, "invalid_json", "the body is not a JSON object")
    return body


def _one_of(body: Mapping[str, object], field: str, known: tuple[str, ...] | Mapping[str, object]) -> str:
    value = body.get(field)
    if not isinstance(value, str) or value not in known:
        raise Refusal(422, f"unknown_{field}", f"{field} {value!r} is unknown; known are {', '.join(known)}")
    return value


def _matching(body: Mapping[str, object], field: str, pattern: re.Pattern[str]) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise Refusal(422, f"invalid_{field}", f"{field} {value!r} is not allowed")
    return value


def _positive(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name, str(default))
    if not (text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS) or int(text) < 1:
        raise Refusal(422, f"invalid_{name}", f"{name} is a whole number from 1 on")
    return int(text)
