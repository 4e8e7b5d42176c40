"""Has hosts installed by a service that does it in Ansible's place: the lab, or a service of one's own.

What is asked for, as JSON; `{label}` is the host's, and a key goes along as `Authorization: Bearer`:

    PUT  {url}/hosts/{label}           {"node_id", "ip_address", "hostname", "gateway_url", "agent_token" (or null)}
                                       200 {"host_key", "dkim_selector", "dkim_public_key", "changed"}
    POST {url}/hosts/{label}/restart   204
    POST {url}/hosts/{label}/mail      {"sender", "recipient", "correlation_id"}   202
    GET  {url}/hosts/{label}/queue     200 {"queued": n}

404: no such host yet (`HostUnreachable`). 409 with the `code` `host_key_changed`: `HostKeyChanged`. Any other 4xx:
`InstallFailed` with the answer's `error`. No answer, or 5xx: `HostUnreachable`.
"""

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import quote

import httpx
import stamina

from penguin_infra.installer.installer import (
    Host,
    HostKeyChanged,
    HostUnreachable,
    Installation,
    Installed,
    Installer,
    InstallError,
    InstallFailed,
    Say,
    TestMail,
)

ATTEMPTS = 3
_LONGEST_MESSAGE = 500


class RemoteInstaller(Installer):
    """Asks the service at `url`; may be shared by threads. `timeout_seconds` bounds one answer.

    `api_key` None: the service takes requests without one.
    """

    def __init__(
        self, *, url: str, api_key: str | None, timeout_seconds: float, first_wait_seconds: float = 0.5
    ) -> None:
        self._url = url.rstrip("/")
        self._api_key = api_key
        self._first_wait_seconds = first_wait_seconds
        self._client = httpx.Client(
            timeout=timeout_seconds,
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            follow_redirects=False,  # a redirect would carry tokens elsewhere
            trust_env=False,  # the environment, proxies too, is read in settings.py only
        )

    def __repr__(self) -> str:
        return f"RemoteInstaller({self._url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def identify(self, host: Host, say: Say) -> None:
        """The service meets the host, and tells its key when it has installed it."""

    def install(self, installation: Installation, say: Say) -> Installed:
        """Have the host brought to what it should be."""
        host = installation.host
        say(f"asking {self._url} to install {host.label}")
        body = {
            "node_id": str(host.node_id),
            "ip_address": str(host.ip_address),
            "hostname": host.hostname,
            "gateway_url": installation.gateway_url,
            "agent_token": installation.agent_token,
        }
        answer = self._call("PUT", host, "", body, secret=installation.agent_token)
        installed = self._read_installed(host, answer)
        if host.host_key is not None and installed.host_key != host.host_key:
            raise HostKeyChanged(f"{host.label} was pinned with {host.host_key}, and now shows {installed.host_key}")
        say(f"{host.label} is installed, {installed.changed} changes")
        return installed

    def restart_services(self, host: Host, say: Say) -> None:
        """Have its services restarted."""
        say(f"asking {self._url} to restart the services of {host.label}")
        self._call("POST", host, "/restart", None)

    def send_mail(self, host: Host, mail: TestMail) -> None:
        """Have a mail handed to its mail server."""
        body = {"sender": mail.sender, "recipient": mail.recipient, "correlation_id": mail.correlation_id}
        self._call("POST", host, "/mail", body)

    def count_queued(self, host: Host) -> int:
        """How many mails wait in its queue."""
        answer = self._call("GET", host, "/queue", None)
        queued = answer.get("queued")
        if not isinstance(queued, int) or isinstance(queued, bool) or queued < 0:
            raise self._not_the_contract(host, "/queue")
        return queued

    def _call(
        self,
        method: Literal["GET", "PUT", "POST"],
        host: Host,
        path: str,
        body: Mapping[str, Any] | None,
        *,
        secret: str | None = None,
    ) -> dict[str, Any]:
        url = f"{self._url}/hosts/{quote(host.label, safe='')}{path}"

        def may_repeat(error: Exception) -> bool:
            # A second mail would come with the same correlation id, and a second restart hold up the first.
            return isinstance(error, _NotCarriedOut) or (isinstance(error, HostUnreachable) and method != "POST")

        for attempt in stamina.retry_context(
            on=may_repeat,
            attempts=ATTEMPTS,
            timeout=None,
            wait_initial=self._first_wait_seconds,
            wait_jitter=self._first_wait_seconds,
        ):
            with attempt:
                return self._call_once(method, url, body, secret)
        raise AssertionError("retry_context ends by returning or raising")

    def _call_once(self, method: str, url: str, body: Mapping[str, Any] | None, secret: str | None) -> dict[str, Any]:
        named = f"{method} {url}"
        failure: InstallError
        try:
            response = self._client.request(method, url, json=body)
        # Raised below, outside of the handler: an httpx error carries the request, and with it the token.
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            failure = _NotCarriedOut(f"{named}: no connection ({type(error).__name__}): is the service up?")
        except httpx.RequestError as error:
            failure = HostUnreachable(f"{named}: no answer ({type(error).__name__}): it may have been carried out")
        else:
            return self._read(named, response, secret)
        raise failure

    def _read(self, named: str, response: httpx.Response, secret: str | None) -> dict[str, Any]:
        answer = _object(response)
        if response.is_success:
            return answer
        said = str(answer.get("error", "no reason is told"))
        for hidden in filter(None, (secret, self._api_key)):
            said = said.replace(hidden, "***")
        what = f"{named}: {response.status_code}: {said[:_LONGEST_MESSAGE]}"
        if response.status_code == httpx.codes.NOT_FOUND:
            raise HostUnreachable(f"{what}: no such host yet")
        if response.status_code == httpx.codes.CONFLICT and answer.get("code") == "host_key_changed":
            raise HostKeyChanged(what)
        if response.is_client_error:
            raise InstallFailed(what)
        raise HostUnreachable(what)

    def _read_installed(self, host: Host, answer: Mapping[str, Any]) -> Installed:
        texts = {name: answer.get(name) for name in ("host_key", "dkim_selector", "dkim_public_key")}
        changed = answer.get("changed")
        if not all(isinstance(text, str) and text for text in texts.values()) or not isinstance(changed, int):
            raise self._not_the_contract(host, "")
        return Installed(**{name: str(text) for name, text in texts.items()}, changed=changed)

    def _not_the_contract(self, host: Host, path: str) -> InstallFailed:
        return InstallFailed(
            f"{self._url}/hosts/{host.label}{path} did not answer as an installer does: see PENGUIN_INSTALLER_URL"
        )


class _NotCarriedOut(HostUnreachable):
    """The request surely changed nothing."""


def _object(response: httpx.Response) -> dict[str, Any]:
    """The answer's JSON object; empty where there is none."""
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
