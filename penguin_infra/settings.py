"""The only reader of the environment: every setting, its default and its bounds.

Values come from the process's environment, then from `fleet.env` in the fleet's home (written by `penguin-infra up`,
so that a second terminal speaks to the same fleet). Nothing here opens a connection, and no rule stands here: the
limits of the rules are the policy file's (`policy_file.py`).
"""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AliasChoices,
    Field,
    HttpUrl,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict

FLEET_ENV_FILE = "fleet.env"

# A key becomes a label of the name that is asked (RFC 1035 s2.3.4).
_BLACKLIST_KEY = re.compile(r"[A-Za-z0-9_-]{1,63}")

Port = Annotated[int, Field(ge=1, le=65535)]


class SettingsError(Exception):
    """A setting is missing or out of bounds; the message names each and says what it accepts."""


class Settings(BaseSettings):
    """What this process was told. Frozen; secrets are `SecretStr` and print as stars."""

    model_config = SettingsConfigDict(
        env_prefix="PENGUIN_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    home: Path = Field(default=Path(".penguin"), description="Where the fleet keeps its files on this machine.")
    fleet_name: str = Field(
        default="penguin",
        pattern=r"^[a-z][a-z0-9]{0,19}$",
        description="Marks this fleet's instances at the provider; two fleets on one account need two names.",
    )
    database_url: SecretStr | None = Field(
        default=None, description="A PostgreSQL 15 or later; without it, an embedded server under the home."
    )
    dagster_database_url: SecretStr | None = Field(
        default=None, description="Dagster's own database; by default `dagster` on the same server."
    )
    lab: bool = Field(
        default=False,
        description="This home's fleet runs against the lab: written by `penguin-infra up`, not set by hand.",
    )
    lab_api_key: SecretStr | None = Field(
        default=None, description="By which the lab's nodes reach the gateway: written by `penguin-infra up`."
    )
    lab_past: bool = Field(
        default=True, description="A fresh lab begins with sixty days of nodes that are no more behind it."
    )
    policy_file: Path | None = Field(default=None, description="TOML file with the limits of the rules.")

    hostwind_api: Literal["rest"] = Field(default="rest", validation_alias=AliasChoices("HOSTWIND_API", "hostwind_api"))
    hostwind_api_url: HttpUrl | None = Field(
        default=None, validation_alias=AliasChoices("HOSTWIND_API_URL", "hostwind_api_url")
    )
    hostwind_api_key: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HOSTWIND_API_KEY", "hostwind_api_key")
    )
    hostwind_api_secret: SecretStr | None = Field(
        default=None, validation_alias=AliasChoices("HOSTWIND_API_SECRET", "hostwind_api_secret")
    )
    hostwind_requests_per_second: float = Field(
        # No limit is published; the contract's advice is to keep to two (reference: hostwind-api.md).
        default=2.0,
        gt=0,
        validation_alias=AliasChoices("HOSTWIND_REQUESTS_PER_SECOND", "hostwind_requests_per_second"),
    )

    resolvers: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="`address:port` of the resolvers asked about blacklists; by default the system's."
    )
    blacklist_file: Path | None = Field(
        default=None, description="TOML file with lists of the user's own, in the format of the catalogue that ships."
    )
    blacklist_keys_file: Path | None = Field(
        default=None, description="File with the keys of paid lists, an `operator=key` a line; best of mode 0600."
    )
    # Below the file, which it is read from where that is set.
    blacklist_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        validate_default=True,
        description="Keys of paid lists, `operator=key`, separated by commas: `spamhaus=...,abusix=...`.",
    )
    dns_zone: str | None = Field(
        default=None,
        pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}$",
        description="The zone that holds the nodes' names: a node is `<label>.<zone>`.",
    )
    dns_server: str | None = Field(
        default=None, description="`address:port` of the zone's primary, which takes dynamic updates (RFC 2136)."
    )
    dns_key_name: str | None = Field(default=None, description="The name of the TSIG key that signs the updates.")
    dns_key_secret: SecretStr | None = Field(default=None, description="The TSIG key itself, in base64.")
    dns_key_algorithm: Literal["hmac-sha256", "hmac-sha384", "hmac-sha512"] = "hmac-sha256"

    ssh_key_file: Path | None = Field(
        default=None, description="The private key by which nodes are installed; its public half lies beside it (.pub)."
    )
    ssh_user: str = Field(default="root", pattern=r"^[a-z_][a-z0-9_-]{0,31}$", description="Who logs in on a new node.")
    worker_artifact: Path | None = Field(
        default=None, description="The worker that nodes run: one executable file; by default the reference worker."
    )
    installer_url: HttpUrl | None = Field(
        default=None, description="A service that installs nodes in Ansible's place: written by `penguin-infra up`."
    )
    gateway_url: HttpUrl | None = Field(
        default=None, description="Where the nodes' agents reach the gateway: https, or http on loopback."
    )
    gateway_ca_file: Path | None = Field(
        default=None, description="The authority that signed the gateway's certificate, where no public one did."
    )

    sink_mailbox: str | None = Field(
        default=None,
        pattern=r"^[a-z0-9.-]+@[a-z0-9.-]+$",
        description="The mailbox to which new nodes send their verification mail.",
    )
    sink_route: str | None = Field(
        default=None, description="`host:port` to which nodes hand that mail; by default what the domain's MX says."
    )
    sink_host: str = Field(default="127.0.0.1", description="The address at which the sink listens.")
    sink_certificate_file: Path | None = Field(
        default=None, description="The sink's certificate chain; by default one that it signs itself."
    )
    sink_private_key_file: Path | None = None

    sweep_cron: str = Field(default="*/5 * * * *", description="When the blacklists are swept.")
    report_cron: str = Field(default="5 * * * *", description="When the day's costs and reputation are summed up.")
    report_folder: Path | None = Field(
        default=None, description="Where the daily report is written; by default `reports` in PENGUIN_HOME."
    )

    ui_port: Port = 3000
    code_server_port: Port = 4266
    supervisor_port: Port = 4267
    lab_hostwind_port: Port = 4268
    lab_dns_port: Port = 4269
    gateway_port: Port = 4270
    lab_nodes_port: Port = 4271
    sink_port: Port = 4272

    @field_validator("resolvers", mode="before")
    @classmethod
    def _split_resolvers(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("blacklist_keys", mode="before")
    @classmethod
    def _read_blacklist_keys(cls, value: object, info: ValidationInfo) -> object:
        path = info.data.get("blacklist_keys_file")
        if path is None:
            return _split_keys(value.split(","), "part") if isinstance(value, str) else value
        if value:
            raise ValueError("set either this or PENGUIN_BLACKLIST_KEYS_FILE, not both")
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise ValueError(f"cannot read PENGUIN_BLACKLIST_KEYS_FILE ({path}): {reason}") from None
        return _split_keys(["" if line.lstrip().startswith("#") else line for line in lines], "line")

    @field_validator("home")
    @classmethod
    def _absolute_home(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @model_validator(mode="after")
    def _whole_credentials(self) -> Self:
        named = {
            "HOSTWIND_API_URL": self.hostwind_api_url,
            "HOSTWIND_API_KEY": self.hostwind_api_key,
            "HOSTWIND_API_SECRET": self.hostwind_api_secret,
        }
        missing = [name for name, value in named.items() if value is None]
        if missing and len(missing) < len(named):
            raise ValueError(f"{', '.join(missing)} must be set too: set all three of {', '.join(named)}, or none")
        return self

    @model_validator(mode="after")
    def _lab_or_provider(self) -> Self:
        """A shell with the provider's credentials must not steer it by the lab's registry."""
        if self.lab and self.hostwind_api_url is not None and self.hostwind_api_url.host != "127.0.0.1":
            raise ValueError(
                "HOSTWIND_API_URL names the provider, but this home's fleet runs in the lab (PENGUIN_LAB):"
                " unset HOSTWIND_API_*, or leave the lab by `penguin-infra down` and `up`, or set another PENGUIN_HOME"
            )
        beyond = {
            "PENGUIN_DNS_SERVER": self.dns_server,
            "PENGUIN_INSTALLER_URL": self.installer_url and self.installer_url.host,
            "PENGUIN_GATEWAY_URL": self.gateway_url and self.gateway_url.host,
            "PENGUIN_SINK_ROUTE": self.sink_route,
            "PENGUIN_SINK_HOST": self.sink_host,
        }
        named = [name for name, value in beyond.items() if value and value.partition(":")[0] != "127.0.0.1"]
        if self.lab and named:
            raise ValueError(
                f"{', '.join(named)}: set for the real world, but this home's fleet runs in the lab (PENGUIN_LAB):"
                " unset it, or set another PENGUIN_HOME"
            )
        return self

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003 - the hook's signature is pydantic's
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments beat the environment, the environment beats `fleet.env`."""
        return init_settings, env_settings, dotenv_settings, file_secret_settings


class _Home(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="PENGUIN_", env_ignore_empty=True, extra="ignore")

    home: Path = Path(".penguin")


def read_settings(*, with_fleet_env: bool = True) -> Settings:
    """Read the environment and the home's `fleet.env`; without the latter, what the user set and no more.

    Errors: `SettingsError`, one line a setting, with its name as the environment spells it.
    """
    fleet_env = _Home().home.expanduser() / FLEET_ENV_FILE if with_fleet_env else None
    try:
        return Settings(_env_file=fleet_env)
    except ValidationError as error:
        lines = [f"{_spelled(item['loc'])}{item['msg'].removeprefix('Value error, ')}" for item in error.errors()]
        raise SettingsError("\n".join(lines)) from None


@lru_cache(maxsize=1)
def settings() -> Settings:
    """This process's settings, read once."""
    return read_settings()


def _split_keys(parts: list[str], noun: str) -> dict[str, SecretStr]:
    """Keys by operator, in small letters. Errors name the place and never what stands there: it may be a key."""
    keys: dict[str, SecretStr] = {}
    for number, part in enumerate(parts, start=1):
        if not part.strip():
            continue
        operator, separator, key = (piece.strip() for piece in part.partition("="))
        if not separator or not operator or not _BLACKLIST_KEY.fullmatch(key):
            raise ValueError(f"{noun} {number} is not operator=key, with a key of letters, digits and hyphens")
        if operator.lower() in keys:
            raise ValueError(f"{noun} {number} is a second key for an operator that has one")
        keys[operator.lower()] = SecretStr(key)
    return keys


def _spelled(location: tuple[int | str, ...]) -> str:
    if not location:
        return ""
    name = str(location[0])
    spelled = name if name.isupper() else f"PENGUIN_{name.upper()}"
    return f"{spelled}: "
