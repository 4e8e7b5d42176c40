"""The only chooser of adapters: from settings to a database, a provider, resolvers and limits, each on first use.

No rule and no SQL stands here, and nothing is opened before it is asked for: definitions load without any of it.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr
from sqlalchemy import URL, Engine

from penguin_infra.dns_records.publisher import DnsPublisher
from penguin_infra.dnsbl.catalogue import Blacklist, load_catalogue
from penguin_infra.domain.actions import ActionKind
from penguin_infra.domain.list_budget import sweep_seconds_of
from penguin_infra.hostwind.provider import NodeProvider
from penguin_infra.installer.installer import Installer
from penguin_infra.operations.find_savings import SavingSearch
from penguin_infra.operations.plan_actions import ReadWanted
from penguin_infra.operations.provision_parts import ProvisionParts
from penguin_infra.operations.read_fleet_size import SizeLimits
from penguin_infra.operations.sweep_blacklists import BlacklistSweep
from penguin_infra.operations.wanted import WANTED, WantedLimits
from penguin_infra.policy import Policy
from penguin_infra.policy_file import read_policy
from penguin_infra.settings import Settings
from penguin_infra.store.database import DatabaseError, make_engine, parse_url

if TYPE_CHECKING:
    from stamina.instrumentation import RetryDetails

logger = logging.getLogger(__name__)

DAGSTER_DATABASE = "dagster"


class NotConfigured(Exception):
    """Something that was asked for has no settings; the message names them."""


class SystemClock:
    """The system's clock, in UTC."""

    def now(self) -> datetime:
        """The aware time of now."""
        return datetime.now(UTC)  # noqa: TID251 - the one clock that everything below is handed

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Wiring:
    """Everything a process of this fleet works with, made from its settings when first used."""

    settings: Settings
    application_name: str = "penguin-infra"

    @property
    def clock(self) -> SystemClock:
        """The time."""
        return SystemClock()

    @property
    def report_folder(self) -> Path:
        """Where the daily reports are kept."""
        return self.settings.report_folder or self.settings.home / "reports"

    @cached_property
    def database_url(self) -> URL:
        """The fleet's database; raises `DatabaseError` where none is set."""
        if self.settings.database_url is None:
            raise DatabaseError(
                f"no database: no fleet was brought up in {self.settings.home} (`penguin-infra up`), and "
                "PENGUIN_DATABASE_URL is not set"
            )
        return parse_url(self.settings.database_url.get_secret_value())

    @cached_property
    def dagster_database_url(self) -> URL:
        """Dagster's database: its own setting, or `dagster` on the fleet's server. For psycopg2, which Dagster uses."""
        if self.settings.dagster_database_url is None:
            url = self.database_url.set(database=DAGSTER_DATABASE)
        else:
            secret = self.settings.dagster_database_url.get_secret_value()
            url = parse_url(secret, setting="PENGUIN_DAGSTER_DATABASE_URL")
        return url.set(drivername="postgresql+psycopg2")

    @cached_property
    def engine(self) -> Engine:
        """Connections to the fleet's database."""
        return make_engine(self.database_url, application_name=self.application_name)

    @cached_property
    def policy(self) -> Policy:
        """The rules' limits."""
        known = self.settings
        return read_policy(known.policy_file, blacklist_file=known.blacklist_file, blacklist_keys=self.blacklist_keys)

    @cached_property
    def wanted_limits(self) -> WantedLimits:
        """The limits by which the fleet's own policies judge."""
        known = self.policy
        return WantedLimits(
            guardrails=known.guardrails,
            delivery=known.delivery,
            health=known.health,
            size=SizeLimits(known.growth, known.curve, known.warmup, known.throughput, known.resize),
            shrink=known.shrink,
            drain_minutes=known.provisioning.drain_minutes,
        )

    @property
    def saving_search(self) -> SavingSearch:
        """The limits by which savings are found."""
        known = self.policy
        return SavingSearch(self.wanted_limits.size, known.shrink, known.cost, known.savings)

    def wanted(self, kind: ActionKind) -> ReadWanted:
        """What the fleet wants done of that kind, as it is now."""
        want, now = WANTED[kind], self.clock.now()
        return lambda connection: want(connection, self.wanted_limits, now)

    @property
    def blacklist_keys(self) -> Mapping[str, SecretStr]:
        """The keys of paid lists by operator; none in the lab, whose servers know nothing of them."""
        return {} if self.settings.lab else self.settings.blacklist_keys

    @cached_property
    def blacklists(self) -> Sequence[Blacklist]:
        """The lists that are swept."""
        catalogue = load_catalogue(self.settings.blacklist_file)
        return catalogue.select(self.policy.blacklist_zones, keys=self.blacklist_keys)

    @cached_property
    def provider(self) -> NodeProvider:
        """The VPS provider; raises `NotConfigured` without credentials."""
        # httpx and its retries take a while to import, and a sensor's process needs neither.
        import stamina  # noqa: PLC0415

        from penguin_infra.hostwind.rest import RestProvider  # noqa: PLC0415

        # Dagster brings structlog, to which stamina would print on stdout, into the midst of a command's JSON.
        stamina.instrumentation.set_on_retry_hooks([_log_retry])
        url, key, secret = (
            self.settings.hostwind_api_url,
            self.settings.hostwind_api_key,
            self.settings.hostwind_api_secret,
        )
        if url is None or key is None or secret is None:
            raise NotConfigured("no provider: set HOSTWIND_API_URL, HOSTWIND_API_KEY and HOSTWIND_API_SECRET")
        try:
            return RestProvider(
                url=str(url),
                key=key.get_secret_value(),
                secret=secret.get_secret_value(),
                requests_per_second=self.settings.hostwind_requests_per_second,
            )
        except ValueError as error:
            raise NotConfigured(str(error)) from None

    @cached_property
    def dns_publisher(self) -> DnsPublisher | None:
        """The zone of the nodes' names; None where none is configured."""
        from penguin_infra.dns_records.dynamic_update import DynamicUpdatePublisher  # noqa: PLC0415 - as above

        known = self.settings
        if known.dns_zone is None or known.dns_server is None:
            return None
        try:
            return DynamicUpdatePublisher(
                zone=known.dns_zone,
                server=known.dns_server,
                key_name=known.dns_key_name,
                key_secret=known.dns_key_secret.get_secret_value() if known.dns_key_secret else None,
                key_algorithm=known.dns_key_algorithm,
            )
        except ValueError as error:
            raise NotConfigured(str(error)) from None

    @cached_property
    def installer(self) -> Installer | None:
        """What installs nodes: Ansible, or a service in its place; None where neither is configured."""
        from penguin_infra.installer.ansible_installer import AnsibleInstaller  # noqa: PLC0415 - as above
        from penguin_infra.installer.remote_installer import RemoteInstaller  # noqa: PLC0415

        known = self.settings
        timeout_seconds = self.policy.provisioning.install_timeout_minutes * 60
        if known.installer_url is not None:
            key = known.lab_api_key.get_secret_value() if known.lab_api_key else None
            return RemoteInstaller(url=str(known.installer_url), api_key=key, timeout_seconds=timeout_seconds)
        if known.ssh_key_file is None:
            return None
        return AnsibleInstaller(
            ssh_key_file=known.ssh_key_file,
            ssh_user=known.ssh_user,
            work_folder=known.home / "installer",
            worker_artifact=known.worker_artifact,
            sink_domain=known.sink_mailbox.partition("@")[2] if known.sink_mailbox else None,
            sink_route=known.sink_route,
            gateway_ca_file=known.gateway_ca_file,
            timeout_seconds=timeout_seconds,
        )

    @cached_property
    def provision_parts(self) -> ProvisionParts:
        """All that a provisioning needs beside the provider; raises `NotConfigured` with every setting that lacks."""
        from penguin_infra.dns_records.lookup import NameLookup  # noqa: PLC0415 - as above
        from penguin_infra.dnsbl.resolvers import ResolverError, choose_resolvers  # noqa: PLC0415
        from penguin_infra.operations.screen_lists import screen_lists  # noqa: PLC0415
        from penguin_infra.verification.outside import look_from_outside  # noqa: PLC0415

        known = self.settings
        try:
            resolvers = choose_resolvers(known.resolvers)
        except ResolverError as error:
            raise NotConfigured(str(error)) from None
        needed = {
            "PENGUIN_DNS_ZONE and PENGUIN_DNS_SERVER": self.dns_publisher,
            "PENGUIN_SSH_KEY_FILE": self.installer,
            "PENGUIN_GATEWAY_URL": known.gateway_url,
            "PENGUIN_SINK_MAILBOX": known.sink_mailbox,
        }
        if self.dns_publisher is None or self.installer is None or known.gateway_url is None or not known.sink_mailbox:
            missing = ", ".join(name for name, value in needed.items() if value is None)
            raise NotConfigured(f"no node can be made: set {missing} (docs/provisioning.md says how)")
        listings = self.blacklist_sweep(logger.info)
        return ProvisionParts(
            screen=lambda address: screen_lists(listings, address),
            dns=self.dns_publisher,
            names=NameLookup([(resolver.address, resolver.port) for resolver in resolvers]),
            installer=self.installer,
            look_from_outside=lambda address: look_from_outside(address, scan=self.policy.provisioning.scan_ports),
            authorized_keys=_public_keys(known.ssh_key_file),
            gateway_url=str(known.gateway_url).rstrip("/"),
            sink_mailbox=known.sink_mailbox,
        )

    def blacklist_sweep(self, say: Callable[[str], None]) -> BlacklistSweep:
        """A sweep of the fleet's addresses; `say` hears of its progress."""
        from penguin_infra.dnsbl.questions import fetch_reason  # noqa: PLC0415 - as above: a sensor asks no DNS
        from penguin_infra.dnsbl.resolvers import choose_resolvers  # noqa: PLC0415
        from penguin_infra.dnsbl.sweep import sweep  # noqa: PLC0415

        resolvers = choose_resolvers(self.settings.resolvers)
        return BlacklistSweep(
            engine=self.engine,
            lists=self.blacklists,
            ask=lambda askings, health, on_progress: sweep(
                askings, resolvers, clock=self.clock.now, health=health, on_progress=on_progress
            ),
            fetch_reason=lambda address, blacklist: fetch_reason(address, blacklist, resolvers[0]),
            limits=self.policy.listing,
            clock=self.clock,
            say=say,
            budgets=self.policy.budgets,
            sweep_seconds=sweep_seconds_of(self.settings.sweep_cron),
            resolver_count=len(resolvers),
        )


def _public_keys(key_file: Path | None) -> tuple[str, ...]:
    """The public half, by which a new instance lets the installer in."""
    if key_file is None:
        return ()
    public = key_file.with_name(f"{key_file.name}.pub")
    try:
        return (public.read_text(encoding="ascii").strip(),)
    except (OSError, UnicodeDecodeError) as error:
        raise NotConfigured(f"PENGUIN_SSH_KEY_FILE: its public half cannot be read: {error}") from None


def _log_retry(details: "RetryDetails") -> None:
    logger.info("%s; trying again in %.1f s", details.caused_by, details.wait_for)
