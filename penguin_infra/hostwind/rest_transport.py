"""One call of the REST contract over HTTP: credentials, time-outs, pace, harmless repeats, typed errors.

What an answer means stands in `rest_answers.py`, and what to do about a lost one in `rest.py`. A repeat happens here
only where it can change nothing: a GET, a DELETE, and any request that surely was not carried out.
"""

import json
import random
from collections.abc import Mapping
from decimal import Decimal
from typing import Literal

import httpx
import stamina
from pyrate_limiter import Limiter, Rate

from penguin_infra.hostwind.credentials import bare_url, redactor
from penguin_infra.hostwind.provider import (
    OutcomeUnknown,
    ProviderAuthFailed,
    ProviderError,
    ProviderRefused,
    ProviderUnavailable,
)
from penguin_infra.hostwind.rest_answers import ErrorBody, read_error_body, read_retry_after

Method = Literal["GET", "POST", "PUT", "DELETE"]

_REQUEST_TIMEOUT, _TOO_MANY_REQUESTS = 408, 429
# An error's text comes from outside: enough to understand it, too little to flood a log.
_LONGEST_MESSAGE, _LONGEST_EXCERPT = 300, 80


class NotCarriedOut(ProviderUnavailable):
    """The request surely changed nothing, so that a repeat is harmless; `retry_after_seconds` if the provider said."""

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class NotFound(ProviderRefused):
    """A 404 in the contract's shape: what it means depends on the call."""


class RestTransport:
    """Sends the contract's calls, shared by threads; one pace for all of them."""

    def __init__(
        self,
        *,
        url: str,
        key: str,
        secret: str,
        requests_per_second: float,
        timeout_seconds: float,
        attempts: int,
        first_wait_seconds: float,
        longest_wait_seconds: float,
    ) -> None:
        self.url = bare_url(url)
        self.redact = redactor(key, secret)
        self._requests_per_second = requests_per_second
        self._attempts = attempts
        self._first_wait_seconds = first_wait_seconds
        self._longest_wait_seconds = longest_wait_seconds
        burst = max(1, int(requests_per_second))
        self._limiter = Limiter(Rate(burst, max(1, round(burst / requests_per_second * 1000))), buffer_ms=1)
        self._client = httpx.Client(
            base_url=self.url,
            auth=httpx.BasicAuth(key, secret),
            timeout=timeout_seconds,
            headers={"Accept": "application/json", "User-Agent": "penguin-infra"},
            follow_redirects=False,  # a redirect would carry the credentials elsewhere
            trust_env=False,  # the environment, proxies too, is read in settings.py only
        )

    def close(self) -> None:
        """Close the connections and stop the pace keeper."""
        self._client.close()
        self._limiter.close()

    def call(
        self,
        method: Method,
        path: str,
        *,
        body: object = None,
        params: Mapping[str, int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """The answer's JSON, None for an empty body.

        Errors: `NotCarriedOut` or `OutcomeUnknown` when the repeats are used up, `NotFound`, `ProviderRefused`,
        `ProviderAuthFailed`, `ProviderUnavailable` where the answer is not the API's.
        """
        is_lost = False

        def wait_before_repeat(error: Exception) -> bool | float:
            nonlocal is_lost
            if isinstance(error, OutcomeUnknown):
                is_lost = True
                return method == "DELETE"
            if not isinstance(error, NotCarriedOut):
                return False
            if error.retry_after_seconds is None:
                return True
            # Many processes are told the same moment: the jitter keeps them from all coming back at once.
            jitter_seconds = random.uniform(0, self._first_wait_seconds)  # noqa: S311 - spreads load, guards nothing
            return min(error.retry_after_seconds, self._longest_wait_seconds) + jitter_seconds

        try:
            for attempt in stamina.retry_context(
                on=wait_before_repeat,
                attempts=self._attempts,
                timeout=None,  # a Retry-After may outlast stamina's own limit; attempts and waits are bounded
                wait_initial=self._first_wait_seconds,
                wait_max=self._longest_wait_seconds,
                wait_jitter=self._first_wait_seconds,
            ):
                with attempt:
                    return self._send(method, path, body, params, headers)
        except NotCarriedOut as error:
            if not is_lost:
                raise
            # An earlier attempt may have been carried out, so that "nothing was changed" would be a lie.
            failure = OutcomeUnknown(str(error))
        raise failure

    def not_the_api(self, method: Method, path: str, what: str) -> ProviderUnavailable:
        """The error for a 2xx that is not the contract's: whatever was asked for may have happened all the same."""
        kind = ProviderUnavailable if method == "GET" else OutcomeUnknown
        return kind(self._not_the_api(method, path, what))

    def _send(
        self,
        method: Method,
        path: str,
        body: object,
        params: Mapping[str, int] | None,
        headers: Mapping[str, str] | None,
    ) -> object:
        self._limiter.try_acquire("hostwind")
        named = self._named(method, path)
        failure: ProviderError
        try:
            response = self._client.request(method, path, json=body, params=params, headers=headers)
        # Raised below, outside of the handler: an httpx error carries the request, and with it the credentials.
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            failure = NotCarriedOut(f"{named}: no connection ({self._cause(error)}). Is HOSTWIND_API_URL right?")
        except httpx.RequestError as error:
            failure = self._lost(method, f"{named}: no answer ({self._cause(error)})")
        else:
            return self._read(method, path, response)
        raise failure

    def _read(self, method: Method, path: str, response: httpx.Response) -> object:
        status, named = response.status_code, self._named(method, path)
        is_json, answer = _parse(response)
        error = read_error_body(answer)
        if response.is_success and is_json and error is None:
            return answer
        said = f"answered {status} ({self._said(error, response)})"
        if status in {401, 403}:
            raise ProviderAuthFailed(
                f"{named} {said}: the credentials were not accepted. Check HOSTWIND_API_KEY and HOSTWIND_API_SECRET",
                code=self._code(error),
            )
        if status == _TOO_MANY_REQUESTS:
            raise NotCarriedOut(
                f"{named} {said}: too many requests, although this client keeps to {self._requests_per_second:g} "
                "a second. Lower HOSTWIND_REQUESTS_PER_SECOND, or wait",
                retry_after_seconds=read_retry_after(
                    response.headers.get("Retry-After"), answered_at=response.headers.get("Date")
                ),
            )
        if response.is_server_error or status == _REQUEST_TIMEOUT:
            raise self._lost(method, f"{named} {said}")
        if response.is_client_error and error is not None:
            refusal = NotFound if status == httpx.codes.NOT_FOUND else ProviderRefused
            raise refusal(f"{named} {said}", code=self._code(error), field=error.field)
        # A 404 or a 200 from something that is not the API must never be read as "no such instance" or as "deleted".
        what = f"{status}, {self._excerpt(response.text, _LONGEST_EXCERPT)!r}"
        if response.is_success:
            raise self.not_the_api(method, path, what)
        raise ProviderUnavailable(self._not_the_api(method, path, what))

    def _not_the_api(self, method: Method, path: str, what: str) -> str:
        return (
            f"{self._named(method, path)}: this URL does not answer as the Hostwind API does "
            f"({self._excerpt(what, _LONGEST_MESSAGE)}). Check HOSTWIND_API_URL"
        )

    def _lost(self, method: Method, what: str) -> ProviderUnavailable:
        if method == "GET":
            return NotCarriedOut(f"{what}. The provider may be down; try again later")
        return OutcomeUnknown(f"{what}. It may have been carried out; look before asking again")

    def _named(self, method: str, path: str) -> str:
        return f"{method} {path} at {self.url.host}"

    def _cause(self, error: httpx.RequestError) -> str:
        return f"{type(error).__name__}: {self._excerpt(str(error), _LONGEST_MESSAGE)}"

    def _said(self, error: ErrorBody | None, response: httpx.Response) -> str:
        if error is None:
            return repr(self._excerpt(response.text, _LONGEST_EXCERPT))
        return self._excerpt(f"{error.code}: {error.message}", _LONGEST_MESSAGE)

    def _code(self, error: ErrorBody | None) -> str:
        return self._excerpt(error.code, _LONGEST_EXCERPT) if error else ""

    def _excerpt(self, text: str, longest: int) -> str:
        # Redacted before it is cut: half a secret is a secret too.
        return self.redact(text)[:longest]


def _parse(response: httpx.Response) -> tuple[bool, object]:
    if not response.content:
        return True, None
    try:
        return True, json.loads(response.content, parse_float=Decimal)
    except ValueError:
        return False, None
