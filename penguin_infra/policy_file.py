"""The policy file: the rules' limits as an operator may set them, read from TOML; a file names only what differs.

What may stand in it is `policy.py`'s; where it lies, a setting.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import (
    SecretStr,
    ValidationError,
)

from penguin_infra.dnsbl.catalogue import NO_KEYS, Blacklist, CatalogueError, load_catalogue
from penguin_infra.domain.list_budget import Allowance, BudgetLimits, allowance_of
from penguin_infra.policy import Policy, PolicySections


class PolicyFileError(Exception):
    """The policy file cannot be used; the message names the file and each field."""


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
    return _read_file(path, blacklist_file, blacklist_keys).policy()


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
        for section, limits in PolicySections.model_fields.items()
        for name, known in type(limits.default).model_fields.items()
    ]


def _read_file(path: Path | None, blacklist_file: Path | None, keys: Mapping[str, SecretStr]) -> PolicySections:
    if path is None:
        return PolicySections()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyFileError(f"PENGUIN_POLICY_FILE: cannot read {path}: {error}") from None
    try:
        file = PolicySections.model_validate(tomllib.loads(text))
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
