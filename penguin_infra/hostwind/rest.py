"""The adapter for the specification's REST contract (reference: hostwind-api.md, section 1).

The calls of the port, and how a creation survives a lost answer; a resize does as `rest_resize.py` says. HTTP itself
stands in `rest_transport.py`, the reading of answers in `rest_answers.py`.
"""

import logging
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote
from uuid import UUID, uuid5

import stamina

from penguin_infra.hostwind.provider import (
    Instance,
    InstanceNotFound,
    OutcomeUnknown,
    Plan,
    ProviderError,
    ProviderRefused,
)
from penguin_infra.hostwind.rest_answers import NotTheContract, read_instance, read_instance_page, read_plans
from penguin_infra.hostwind.rest_resize import resize_once
from penguin_infra.hostwind.rest_transport import Method, NotFound, RestTransport

T = TypeVar("T")

logger = logging.getLogger(__name__)

IMAGE = "ubuntu-22.04"  # the only image that the contract names
PAGE_SIZE = 100
# A lost creation may show only after a while: so many looks, with growing waits, before it is asked for again.
LOOKS_AFTER_A_LOST_ANSWER = 4
CREATE_ATTEMPTS = 3
REPEATABLE_ATTEMPTS = 3
# Any fixed value will do, but it must never change: the same label must give the same key in every version.
_IDEMPOTENCY_NAMESPACE = UUID("6f5f2a43-3c0e-4d53-9d0a-2f5b6c1c7e11")


class RestProvider:
    """The provider over the REST contract; may be shared by threads.

    `attempts` bounds how often a harmless call is sent; the waits between grow from `first_wait_seconds` to
    `longest_wait_seconds`, which caps a `Retry-After` too.
    """

    def __init__(
        self,
        *,
        url: str,
        key: str,
        secret: str,
        requests_per_second: float = 2.0,
        timeout_seconds: float = 10.0,
        attempts: int = 4,
        first_wait_seconds: float = 0.5,
        longest_wait_seconds: float = 60.0,
    ) -> None:
        self._first_wait_seconds = first_wait_seconds
        self._longest_wait_seconds = longest_wait_seconds
        self._transport = RestTransport(
            url=url,
            key=key,
            secret=secret,
            requests_per_second=requests_per_second,
            timeout_seconds=timeout_seconds,
            attempts=attempts,
            first_wait_seconds=first_wait_seconds,
            longest_wait_seconds=longest_wait_seconds,
        )

    def __repr__(self) -> str:
        return f"RestProvider({str(self._transport.url)!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def create_instance(self, *, label: str, region: str, plan: str, ssh_keys: Sequence[str] = ()) -> Instance:
        """Create the one instance of this label, or return it where it exists already.

        A label belongs to one intent for good: after a deletion, ask with a new label.
        Errors: `OutcomeUnknown` when the answer was lost and no look could tell what became of the request.
        """
        if found := self.find_instances(label):
            return found[0]
        body = {"label": label, "region": region, "plan": plan, "image": IMAGE, "ssh_keys": list(ssh_keys)}
        lost: OutcomeUnknown | None = None
        for _ in range(CREATE_ATTEMPTS):
            try:
                return self._post_instance(label, body)
            except OutcomeUnknown as error:
                lost = error
            except ProviderError as error:
                if lost is None:
                    raise
                # Refused now, but an earlier request may have been carried out, and be the very cause of this refusal.
                lost = OutcomeUnknown(f"{lost}. Asked again: {error}")
            if adopted := self._look_again(label, lost):
                return adopted
        raise OutcomeUnknown(
            f"{lost}. Asked {CREATE_ATTEMPTS} times for an instance labelled {label!r}, and none is listed yet: "
            "repeat the creation with the same label later"
        ) from None

    def find_instances(self, label: str) -> list[Instance]:
        """All instances of exactly this label, oldest first."""
        found = [instance for instance in self.list_instances() if instance.label == label]
        return sorted(found, key=lambda instance: (instance.created_at, instance.provider_id))

    def list_instances(self) -> list[Instance]:
        """All instances of the account, foreign ones too.

        The contract pages by number: an instance can be missed while others are deleted during the walk, so that one
        absence proves nothing.
        """
        instances: dict[str, Instance] = {}
        page: int | None = 1
        while page is not None:
            params = {"page": page, "per_page": PAGE_SIZE}
            answer = self._transport.call("GET", "/instances", params=params)
            this = self._read("GET", "/instances", read_instance_page, answer)
            is_turning = this.next_page is not None and any(
                instance.provider_id not in instances for instance in this.instances
            )
            if this.next_page is not None and not (is_turning and this.next_page > page):
                raise self._transport.not_the_api(
                    "GET", "/instances", f"page {page} names {this.next_page} as the next page, and the list has no end"
                )
            instances |= {instance.provider_id: instance for instance in this.instances}
            page = this.next_page
        return list(instances.values())

    def get_instance(self, provider_id: str) -> Instance:
        """One instance. Errors: `InstanceNotFound`."""
        path = f"{_instance_path(provider_id)}/status"
        try:
            return self._read("GET", path, read_instance, self._transport.call("GET", path))
        except NotFound as error:
            raise InstanceNotFound(f"Hostwind knows no instance {provider_id!r}: {error}") from None

    def delete_instance(self, provider_id: str) -> None:
        """Destroy an instance; one that is gone already counts as done."""
        try:
            self._transport.call("DELETE", _instance_path(provider_id))
        except NotFound:
            logger.info("instance %s was gone already", provider_id)

    def reboot_instance(self, provider_id: str) -> None:
        """Ask for an instance's reboot. Errors: `InstanceNotFound`.

        A node that boots twice is none the worse: one whose answer was lost is asked for again.
        """
        self._call_repeatably("POST", provider_id, "reboot")

    def resize_instance(self, provider_id: str, plan: str) -> None:
        """Ask for another plan of an instance. Errors: `InstanceNotFound`; `OutcomeUnknown` if no look could tell."""

        def ask() -> None:
            try:
                self._transport.call("POST", f"{_instance_path(provider_id)}/resize", body={"plan": plan})
            except NotFound as error:
                raise InstanceNotFound(f"Hostwind knows no instance {provider_id!r}: {error}") from None

        resize_once(provider_id, plan, ask=ask, look=self.get_instance)

    def set_reverse_name(self, provider_id: str, ip_address: IPv4Address, hostname: str) -> None:
        """Let the address's reverse name (PTR) be that. Errors: `InstanceNotFound`."""
        self._call_repeatably("PUT", provider_id, "rdns", body={"ip": str(ip_address), "hostname": hostname})

    def list_plans(self) -> list[Plan]:
        """The plans on offer."""
        return self._read("GET", "/plans", read_plans, self._transport.call("GET", "/plans"))

    def _call_repeatably(self, method: Method, provider_id: str, verb: str, body: object = None) -> None:
        """A call that does no harm when done twice: one whose answer was lost is asked for again."""
        path = f"{_instance_path(provider_id)}/{verb}"
        for attempt in range(1, REPEATABLE_ATTEMPTS + 1):
            try:
                self._transport.call(method, path, body=body)
            except NotFound as error:
                raise InstanceNotFound(f"Hostwind knows no instance {provider_id!r}: {error}") from None
            except OutcomeUnknown as error:
                if attempt == REPEATABLE_ATTEMPTS:
                    raise
                logger.warning("asking again for the %s of %s: %s", verb, provider_id, error)
            else:
                return

    def _post_instance(self, label: str, body: object) -> Instance:
        headers = {"Idempotency-Key": str(uuid5(_IDEMPOTENCY_NAMESPACE, label))}
        answer = self._transport.call("POST", "/instances", body=body, headers=headers)
        instance = self._read("POST", "/instances", read_instance, answer)
        if instance.label != label:
            # No look would ever find it again: it must not be taken for the one that was asked for.
            raise self._transport.not_the_api(
                "POST", "/instances", f"asked for label {label!r}, got {instance.label!r}, id {instance.provider_id}"
            )
        return instance

    def _look_again(self, label: str, lost: OutcomeUnknown) -> Instance | None:
        try:
            for attempt in stamina.retry_context(
                on=_NotListed,
                attempts=LOOKS_AFTER_A_LOST_ANSWER,
                timeout=None,
                wait_initial=self._first_wait_seconds,
                wait_max=self._longest_wait_seconds,
                wait_jitter=self._first_wait_seconds,
            ):
                with attempt:
                    return self._adopt(label)
        except _NotListed:
            return None
        except ProviderError as error:
            raise OutcomeUnknown(
                f"{lost}. The look for an instance labelled {label!r} failed too ({error}): "
                "repeat the creation with the same label later"
            ) from None
        return None

    def _adopt(self, label: str) -> Instance:
        found = self.find_instances(label)
        if not found:
            raise _NotListed(f"no instance is labelled {label!r} yet")
        logger.warning("adopted instance %s for %s after a lost answer", found[0].provider_id, label)
        return found[0]

    def _read(self, method: Method, path: str, read: Callable[[object], T], answer: object) -> T:
        try:
            return read(answer)
        except NotTheContract as error:
            what = str(error)
        raise self._transport.not_the_api(method, path, what)


class _NotListed(Exception):
    """A look found nothing."""


def _instance_path(provider_id: str) -> str:
    # Such an id would name another resource: the list, or the API's root.
    if provider_id in {"", ".", ".."}:
        raise ProviderRefused(f"{provider_id!r} is not an instance's id", field="provider_id")
    return f"/instances/{quote(provider_id, safe='')}"
