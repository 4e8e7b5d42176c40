"""The policy file: the rules' limits as an operator may set them, read from TOML into the domain's own dataclasses.

Every default is the domain's; a file names only what differs. Where the file lies is a setting.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from penguin_infra.dnsbl.catalogue import NO_KEYS, Blacklist, CatalogueError, load_catalogue
from penguin_infra.domain.actions import ActionKind, RetryLimits
from penguin_infra.domain.delivery_limits import DeliveryLimits
from penguin_infra.domain.guardrails import GuardrailLimits
from penguin_infra.domain.heartbeat import SilenceLimits
from penguin_infra.domain.list_budget import Allowance, BudgetLimits, allowance_of
from penguin_infra.domain.listing_limits import ListingLimits
from penguin_infra.domain.policies.recover_unhealthy import HealthLimits
from penguin_infra.operations.node_work import ProvisionLimits


class PolicyFileError(Exception):
    """The policy file cannot be used; the message names the file and each field."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All limits that the rules work with, and which blacklists are asked (None: the catalogue's default)."""

    guardrails: GuardrailLimits = field(default_factory=GuardrailLimits)
    retry: RetryLimits = field(default_factory=RetryLimits)
    provisioning: ProvisionLimits = field(default_factory=ProvisionLimits)
    listing: ListingLimits = field(default_factory=ListingLimits)
    delivery: DeliveryLimits = field(default_factory=DeliveryLimits)
    health: HealthLimits = field(default_factory=HealthLimits)
    budgets: BudgetLimits = field(default_factory=BudgetLimits)
    blacklist_zones: tuple[str, ...] | None = None


_DEFAULTS = Policy()


class _Section(BaseModel):
    # TOML knows inf and nan, which no span and no share can be.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _Guardrails(_Section):
    disruption_share_per_hour: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.guardrails.disruption_share_per_hour
    cool_down_minutes: Annotated[int, Field(ge=0)] = _DEFAULTS.guardrails.cool_down_minutes
    smallest_rotation_share: Annotated[float, Field(ge=0, le=1)] = _DEFAULTS.guardrails.smallest_rotation_share
    rejection_rest_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.guardrails.rejection_rest_hours
    approve: tuple[ActionKind, ...] = tuple(sorted(_DEFAULTS.guardrails.approve))
    observe: tuple[ActionKind, ...] = tuple(sorted(_DEFAULTS.guardrails.observe))

    @model_validator(mode="after")
    def _one_mode_a_kind(self) -> Self:
        both = sorted(set(self.approve) & set(self.observe))
        # A default gives way to what the file says.
        if both and "approve" in self.model_fields_set:
            raise ValueError(f"{', '.join(both)} cannot be in approve and in observe")
        return self

    def limits(self) -> GuardrailLimits:
        """As the rules take them."""
        modes = {"approve": frozenset(self.approve), "observe": frozenset(self.observe)}
        return GuardrailLimits(**self.model_dump() | modes)


class _Retry(_Section):
    max_attempts: Annotated[int, Field(ge=1, le=20)] = _DEFAULTS.retry.max_attempts
    rest_seconds: tuple[Annotated[int, Field(ge=0)], ...] = _DEFAULTS.retry.rest_seconds


class _Provisioning(_Section):
    address_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.address_timeout_minutes
    most_addresses: Annotated[int, Field(ge=1, le=20)] = _DEFAULTS.provisioning.most_addresses
    screen_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.screen_timeout_minutes
    dns_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.dns_timeout_minutes
    install_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.install_timeout_minutes
    mail_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.mail_timeout_minutes
    heartbeat_timeout_minutes: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.heartbeat_timeout_minutes
    drain_minutes: Annotated[float, Field(ge=0)] = _DEFAULTS.provisioning.drain_minutes
    orphan_grace_minutes: Annotated[float, Field(ge=0)] = _DEFAULTS.provisioning.orphan_grace_minutes
    scan_ports: bool = _DEFAULTS.provisioning.scan_ports
    poll_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.provisioning.poll_seconds


class _Blacklists(_Section):
    # None of them would look like a fleet without listings.
    zones: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    clean_answers_to_delist: Annotated[int, Field(ge=1)] = _DEFAULTS.listing.clean_answers_to_delist
    clean_span_seconds: Annotated[int, Field(ge=0)] = _DEFAULTS.listing.clean_span_seconds
    default_budget_per_day: PositiveInt = _DEFAULTS.budgets.default_per_day
    longest_interval_hours: Annotated[float, Field(gt=0)] = _DEFAULTS.budgets.longest_interval_hours
    budgets: dict[str, PositiveInt] = {}

    @field_validator("budgets", mode="before")
    @classmethod
    def _whole_zones(cls, value: object) -> object:
        # TOML makes tables within tables of a bare zen.spamhaus.org.
        if isinstance(value, dict) and any(isinstance(one, dict) for one in value.values()):
            raise ValueError('a zone stands in quotes: "zen.spamhaus.org" = 100000')
        return value

    def budget_limits(self) -> BudgetLimits:
        """As the rules take them."""
        return BudgetLimits(self.default_budget_per_day, self.longest_interval_hours, self.budgets)

    def listing_limits(self) -> ListingLimits:
        """As the rules take them."""
        return ListingLimits(self.clean_answers_to_delist, self.clean_span_seconds)


class _Health(_Section):
    most_silent_share: Annotated[float, Field(gt=0, le=1)] = _DEFAULTS.health.silence.most_silent_share
    fewest_silent: Annotated[int, Field(ge=1)] = _DEFAULTS.health.silence.fewest_silent
    directive_timeout_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.directive_timeout_seconds
    reboot_timeout_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.reboot_timeout_seconds
    poll_seconds: Annotated[float, Field(gt=0)] = _DEFAULTS.health.poll_seconds
    falls_to_maintenance: Annotated[int, Field(ge=1)] = _DEFAULTS.health.falls_to_maintenance
    rest_minutes: Annotated[int, Field(ge=0)] = _DEFAULTS.health.rest_minutes
    most_at_once: Annotated[int, Field(ge=1)] = _DEFAULTS.health.most_at_once

    def limits(self) -> HealthLimits:
        """As the rules take them."""
        told = self.model_dump()
        silence = SilenceLimits(**{name: told.pop(name) for name in ("most_silent_share", "fewest_silent")})
        return HealthLimits(silence=silence, **told)


_Share = Annotated[float, Field(ge=0, le=1)]


class _Delivery(_Section):
    bounce_alert_rate: _Share = _DEFAULTS.delivery.bounce_alert_rate
    bounce_pause_rate: _Share = _DEFAULTS.delivery.bounce_pause_rate
    complaint_alert_rate: _Share = _DEFAULTS.delivery.complaint_alert_rate
    complaint_pause_rate: _Share = _DEFAULTS.delivery.complaint_pause_rate
    policy_rejection_alert_rate: _Share = _DEFAULTS.delivery.policy_rejection_alert_rate
    # A rate of nothing is unknown, and would be above nought for every node.
    minimum_attempted: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.minimum_attempted
    complaint_minimum_sent: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.complaint_minimum_sent
    window_messages: Annotated[int, Field(ge=1)] = _DEFAULTS.delivery.window_messages
    minimum_pause_hours: Annotated[float, Field(ge=0)] = _DEFAULTS.delivery.minimum_pause_hours


class _File(_Section):
    guardrails: _Guardrails = _Guardrails()
    retry: _Retry = _Retry()
    provisioning: _Provisioning = _Provisioning()
    blacklists: _Blacklists = _Blacklists()
    delivery: _Delivery = _Delivery()
    health: _Health = _Health()


@dataclass(frozen=True, slots=True)
class LimitInForce:
    """One limit as the rules work with it. `is_from_file`: the policy file names it, be it with the default's value."""

    section: str
    name: str
    value: object
    default: object
    is_from_file: bool


def read_policy(
    path: Path | None, *, blacklist_file: Path | None = None, blacklist_keys: Mapping[str, SecretStr] = NO_KEYS
) -> Policy:
    """Read the policy file, or take every default without one; the others say what the blacklists' terms are.

    Errors: `PolicyFileError`, one line a fault, with the field's name as the file spells it; `CatalogueError` for a
    blacklist file that is wrong.
    """
    file = _read_file(path, blacklist_file, blacklist_keys)
    retry = RetryLimits(**file.retry.model_dump())
    return Policy(
        guardrails=file.guardrails.limits(),
        retry=retry,
        provisioning=ProvisionLimits(**file.provisioning.model_dump(), retry=retry),
        blacklist_zones=file.blacklists.zones,
        listing=file.blacklists.listing_limits(),
        budgets=file.blacklists.budget_limits(),
        delivery=DeliveryLimits(**file.delivery.model_dump()),
        health=file.health.limits(),
    )


def limits_in_force(
    path: Path | None, *, blacklist_file: Path | None = None, blacklist_keys: Mapping[str, SecretStr] = NO_KEYS
) -> list[LimitInForce]:
    """Every limit that a file may set, in the file's own order. Errors: as `read_policy`."""
    file = _read_file(path, blacklist_file, blacklist_keys)
    return [
        LimitInForce(
            section=section,
            name=name,
            value=getattr(getattr(file, section), name),
            default=known.default,
            is_from_file=name in getattr(file, section).model_fields_set,
        )
        for section, limits in _File.model_fields.items()
        for name, known in type(limits.default).model_fields.items()
    ]


def _read_file(path: Path | None, blacklist_file: Path | None, keys: Mapping[str, SecretStr]) -> _File:
    if path is None:
        return _File()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyFileError(f"PENGUIN_POLICY_FILE: cannot read {path}: {error}") from None
    try:
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise PolicyFileError(f"{path}: not TOML: {error}") from None
    except ValidationError as error:
        faults = [f"{path}: {'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()]
        raise PolicyFileError("\n".join(faults)) from None
    # Without a number there is nothing to hold against the catalogue, which takes a while to load.
    budgets = file.blacklists.budgets
    faults = _budget_faults(budgets, blacklist_file, keys) if budgets else []
    if faults:
        raise PolicyFileError("\n".join(f"{path}: blacklists.budgets: {fault}" for fault in faults))
    return file


def _budget_faults(budgets: Mapping[str, int], blacklist_file: Path | None, keys: Mapping[str, SecretStr]) -> list[str]:
    """What is wrong with an operator's own numbers: a zone that nobody knows, or more than its terms allow."""
    catalogue = load_catalogue(blacklist_file)
    lists = {one.zone: one for one in catalogue.with_keys(keys)}
    faults = []
    for zone, number in budgets.items():
        try:
            known = lists[catalogue.find(zone).zone]
        except CatalogueError as error:
            faults.append(str(error))
            continue
        if known.zone != zone:
            faults.append(f"{zone}: write {known.zone}, which is its zone")
        elif (allowed := _allowed(known)) and number > allowed.per_day:
            terms = f" ({known.terms.rstrip('.')})" if known.terms else ""
            faults.append(f"{zone}: {number:,} a day, but {allowed.source}{terms}")
    return faults


def _allowed(known: Blacklist) -> Allowance | None:
    """What a list's operator publishes, None where nothing is."""
    if known.budget_per_day is None and known.budget_per_30_days is None:
        return None
    return allowance_of(known.published_terms, BudgetLimits())
