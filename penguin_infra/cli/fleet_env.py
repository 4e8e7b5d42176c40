"""Lab or real, and which databases: what `up` decides, and the file `fleet.env` that tells other terminals.

The file holds what `up` made up itself (the embedded server's addresses, the lab's credentials), never what the user
set. Nothing is started here.
"""

import os
import secrets
import tempfile
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import make_url

from penguin_infra.lab.dns_zone import FORWARD_ZONE
from penguin_infra.settings import FLEET_ENV_FILE, Settings

LOOPBACK = "127.0.0.1"

_LAB_REPORT_CRON = "*/5 * * * *"

_LAB_POLICY = """\
# The lab's limits, where they differ from the defaults. Yours to change; `penguin-infra up` reads it when it starts.

[blacklists]
# An hour of clean answers ends a listing; a lab is watched, and its lists lie to nobody.
clean_span_seconds = 60

[provisioning]
# The lab's instances boot in seconds.
poll_seconds = 1
# The nodes' addresses are this machine's own: every port that anything here listens on would count as open on a node.
scan_ports = false

# A lab's node is asked for 720 messages an hour. These limits let a person watch what takes weeks otherwise: a fresh
# node carries that at once, and is ripe in days.
[warmup]
curve = "lab"
curves = { lab = [31200, 32400, 33600] }
delivered_share = 0.5

[capacity]
messages_per_hour = { ssd-1 = 1400, ssd-2 = 2800, ssd-4 = 5600 }

[delivery]
# Within what an hour's allowance lets a bounce storm send.
bounce_alert_rate = 0.03
bounce_pause_rate = 0.04
# A fresh lab's nodes have sent nothing yet: of 100 mails, four of 1.2 % bounces come by chance. A storm takes a minute.
minimum_attempted = 500

[resize]
# Ten minutes of a deep queue, and two for its drain.
windows = 2
drain_minutes = 2

[growth]
warm_spares = 0
# All of a new lab's nodes are young.
fewest_young_allowed = 20
most_requests_a_day = 20
most_monthly_usd = 200
"""

_DNS_KEY_NAME = "penguin-lab"
_SINK_MAILBOX = "verify@sink.lab.test"


@dataclass(frozen=True, slots=True)
class FleetPlan:
    """How this home's fleet runs: against the lab or the provider, on its own PostgreSQL or the user's."""

    is_lab: bool
    user_database_url: str | None = field(repr=False)
    user_dagster_url: str | None = field(repr=False)

    @property
    def is_embedded(self) -> bool:
        """Whether `up` runs the PostgreSQL."""
        return self.user_database_url is None

    @property
    def database_name(self) -> str:
        """The embedded server's database: the lab's nodes never share a registry with the provider's."""
        return "penguin_lab" if self.is_lab else "penguin"

    @property
    def dagster_database_name(self) -> str:
        """Dagster's database on the embedded server."""
        return "dagster_lab" if self.is_lab else "dagster"

    @property
    def sentence(self) -> str:
        """What a person should know before anything starts."""
        if self.is_lab:
            return "No Hostwind credentials are set (HOSTWIND_API_URL, _KEY, _SECRET): this fleet runs in the lab."
        return "Hostwind credentials are set: this fleet is real, and what it creates costs money."


def plan_fleet(user_settings: Settings, earlier: Mapping[str, str]) -> FleetPlan:
    """Decide from what the user set; what stands in the earlier `fleet.env` too was not set by the user.

    A shell that has sourced the file would otherwise pin the fleet to an address that is gone.
    """

    def set_by_user(value: SecretStr | None, name: str) -> str | None:
        plain = value.get_secret_value() if value else None
        return None if plain == earlier.get(name) else plain

    return FleetPlan(
        is_lab=set_by_user(user_settings.hostwind_api_key, "HOSTWIND_API_KEY") is None,
        user_database_url=set_by_user(user_settings.database_url, "PENGUIN_DATABASE_URL"),
        user_dagster_url=set_by_user(user_settings.dagster_database_url, "PENGUIN_DAGSTER_DATABASE_URL"),
    )


def read_fleet_env(home: Path) -> dict[str, str]:
    """Read what the last `up` wrote; empty when there was none."""
    path = home / FLEET_ENV_FILE
    lines = path.read_text().splitlines() if path.exists() else []
    pairs = (line.partition("=") for line in lines if not line.startswith("#"))
    return {name: value.strip("'") for name, _, value in pairs}


def build_fleet_env(
    plan: FleetPlan, user_settings: Settings, earlier: Mapping[str, str], embedded_urls: tuple[str, str] | None
) -> dict[str, str]:
    """Everything that other commands need to speak to this fleet, and that the user did not set.

    `embedded_urls` are the fleet's and Dagster's databases on the embedded server.
    """
    values = {}
    if embedded_urls is not None:
        values["PENGUIN_DATABASE_URL"] = embedded_urls[0]
        if plan.user_dagster_url is None:
            values["PENGUIN_DAGSTER_DATABASE_URL"] = dagster_url(embedded_urls[1])
    if plan.is_lab:
        values |= {
            "PENGUIN_LAB": "1",
            "HOSTWIND_API_URL": f"http://{LOOPBACK}:{user_settings.lab_hostwind_port}",
            "HOSTWIND_API_KEY": earlier.get("HOSTWIND_API_KEY") or secrets.token_urlsafe(24),
            "HOSTWIND_API_SECRET": earlier.get("HOSTWIND_API_SECRET") or secrets.token_urlsafe(24),
            "PENGUIN_LAB_API_KEY": earlier.get("PENGUIN_LAB_API_KEY") or secrets.token_urlsafe(32),
            # The real lists must never be asked about the lab's made-up addresses.
            "PENGUIN_RESOLVERS": f"{LOOPBACK}:{user_settings.lab_dns_port}",
            **_lab_installation_env(user_settings, earlier),
        }
        if user_settings.policy_file in (None, lab_policy_file(user_settings.home)):
            values["PENGUIN_POLICY_FILE"] = str(lab_policy_file(user_settings.home))
        every_minute = "* * * * *"  # a lab is watched: five minutes are long
        if "sweep_cron" not in user_settings.model_fields_set or user_settings.sweep_cron == every_minute:
            values["PENGUIN_SWEEP_CRON"] = every_minute
        if "report_cron" not in user_settings.model_fields_set or user_settings.report_cron == _LAB_REPORT_CRON:
            values["PENGUIN_REPORT_CRON"] = _LAB_REPORT_CRON
    return values


def _lab_installation_env(user_settings: Settings, earlier: Mapping[str, str]) -> dict[str, str]:
    """What installs nodes in the lab, whatever the user set for a real fleet: no lab's node is published elsewhere."""
    return {
        "PENGUIN_DNS_ZONE": FORWARD_ZONE,
        "PENGUIN_DNS_SERVER": f"{LOOPBACK}:{user_settings.lab_dns_port}",
        "PENGUIN_DNS_KEY_NAME": _DNS_KEY_NAME,
        "PENGUIN_DNS_KEY_SECRET": earlier.get("PENGUIN_DNS_KEY_SECRET") or b64encode(secrets.token_bytes(32)).decode(),
        "PENGUIN_DNS_KEY_ALGORITHM": "hmac-sha256",
        "PENGUIN_GATEWAY_URL": f"http://{LOOPBACK}:{user_settings.gateway_port}",
        "PENGUIN_INSTALLER_URL": f"http://{LOOPBACK}:{user_settings.lab_nodes_port}",
        "PENGUIN_SINK_MAILBOX": _SINK_MAILBOX,
        "PENGUIN_SINK_ROUTE": f"{LOOPBACK}:{user_settings.sink_port}",
        "PENGUIN_SINK_HOST": LOOPBACK,
    }


def build_process_env(plan: FleetPlan, fleet_env: Mapping[str, str]) -> dict[str, str]:
    """What the fleet's processes get beside the caller's environment: secret, never on a command line."""
    values = dict(fleet_env)
    if "PENGUIN_DAGSTER_DATABASE_URL" not in values:
        given = plan.user_dagster_url or make_url(plan.user_database_url or "").set(
            database=plan.dagster_database_name
        ).render_as_string(hide_password=False)
        values["PENGUIN_DAGSTER_DATABASE_URL"] = dagster_url(given)
    return values


def dagster_url(url: str) -> str:
    """Name the driver that dagster-postgres brings: a bare address means another one to SQLAlchemy 2.1."""
    return make_url(url).set(drivername="postgresql+psycopg2").render_as_string(hide_password=False)


def lab_policy_file(home: Path) -> Path:
    """Return the file with the lab's policy."""
    return home / "lab" / "policy.toml"


def write_lab_policy(home: Path) -> None:
    """Write the lab's policy, unless it is there: its user may change it."""
    path = lab_policy_file(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(_LAB_POLICY, encoding="utf-8")


def write_fleet_env(home: Path, values: Mapping[str, str]) -> None:
    """Replace the file in one step, readable by its owner only."""
    lines = ["# Written by `penguin-infra up`: how other commands reach this fleet. Changes here are lost.\n"]
    lines += [f"{name}='{value}'\n" for name, value in sorted(values.items())]
    write_private(home / FLEET_ENV_FILE, "".join(lines))


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: no reader sees half of it."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    Path(name).replace(path)
