"""The catalogue of blacklists: loads and checks `catalogue.toml` and the user's own file, and chooses the lists to ask.

What is known of one list stands in `blacklist.py`; asking lists is `sweep.py`'s.

    CatalogueError            a file is wrong (file, zone and field are named), or a list cannot be chosen
    ├── RetiredZone           the list is retired; the message says since when and why
    └── UnknownZone           no such list; the message names the nearest
"""

import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import SecretStr, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from penguin_infra.dnsbl.blacklist import (
    STRICT,
    TEST_POINTS,
    UNLISTED_POINT,
    Blacklist,
    RetiredList,
    Scope,
    Subscription,
)

__all__ = [
    "TEST_POINTS",
    "UNLISTED_POINT",
    "Blacklist",
    "Catalogue",
    "CatalogueError",
    "RetiredList",
    "RetiredZone",
    "Scope",
    "UnknownZone",
    "load_catalogue",
    "parse_catalogue",
]

NO_KEYS: Mapping[str, SecretStr] = {}


class CatalogueError(Exception):
    """The catalogue is wrong, or a list cannot be chosen from it; the message says which and why."""


class RetiredZone(CatalogueError):
    """The list is retired and must not be asked again."""


class UnknownZone(CatalogueError):
    """The catalogue has no such list."""


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Catalogue:
    """All lists that are known: alive, retired, and those that only their subscribers can name."""

    lists: tuple[Blacklist, ...] = ()
    retired: tuple[RetiredList, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()

    def __post_init__(self) -> None:
        zones = [one.zone for one in self.lists] + [one.zone for one in self.retired]
        for zone in zones:
            if zones.count(zone) > 1:
                raise ValueError(f"{zone}: zone: stands there twice")
        for one in self.lists:
            for retired in self.retired:
                if retired.covers(one.zone):
                    raise ValueError(f"{one.zone}: zone: {retired.refusal}")

    def select(
        self, zones: Sequence[str] | None = None, *, keys: Mapping[str, SecretStr] = NO_KEYS
    ) -> tuple[Blacklist, ...]:
        """The lists of these zones, or those that are swept by default; `keys` by operator, in small letters.

        Errors: `RetiredZone`, `UnknownZone`, and `CatalogueError` for a list that lacks its key, or a key that no list
        takes.
        """
        if zones is not None:
            return tuple({one.zone: one for one in (self._choose(zone, keys) for zone in zones)}.values())
        enabled = [one for one in self.with_keys(keys) if one.is_enabled_by_default]
        replaced = {one.stands_for for one in enabled if one.key is not None}
        return tuple(one for one in enabled if one.zone not in replaced)

    def with_keys(self, keys: Mapping[str, SecretStr] = NO_KEYS) -> tuple[Blacklist, ...]:
        """Every living list, with its key where there is one. Errors: `CatalogueError` for a key that no list takes."""
        takers = {one.key_name for one in self.lists if one.key_name}
        for number, name in enumerate(keys, start=1):
            if name not in takers:
                # Not the name itself: whoever wrote key and operator the wrong way round would read the key here.
                raise CatalogueError(
                    f"PENGUIN_BLACKLIST_KEYS: key {number} is for an operator whose lists take none; those that take "
                    f"one are of {', '.join(sorted(takers))}"
                )
        return tuple(_keyed(one, keys) for one in self.lists)

    def find(self, zone: str) -> Blacklist:
        """The list of this zone or name, without any key. Errors: `RetiredZone`, `UnknownZone`."""
        asked = zone.strip().rstrip(".").lower()
        for retired in self.retired:
            if retired.covers(asked):
                raise RetiredZone(f"{zone} is refused: {retired.refusal}")
        for one in self.lists:
            if asked in (one.zone, one.name.lower()):
                return one
        for paid in self.subscriptions:
            if asked in (paid.name.lower(), paid.operator.lower()):
                raise UnknownZone(f"{paid.name} has no zone of its own here. {paid.needs}")
        known = {one.zone for one in self.lists}
        near = get_close_matches(asked, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(sorted(known))}."
        raise UnknownZone(f"the catalogue has no list {zone!r}. {hint}")

    def _choose(self, zone: str, keys: Mapping[str, SecretStr]) -> Blacklist:
        one = _keyed(self.find(zone), keys)
        if one.needs_key and one.key is None:
            raise CatalogueError(
                f"{one.name} ({one.zone}) cannot be asked without a key: set PENGUIN_BLACKLIST_KEYS to "
                f"{one.key_name}=... {one.needs or ''}".strip()
            )
        return one


def parse_catalogue(text: str) -> Catalogue:
    """Read a catalogue from TOML; `CatalogueError` names each zone and field at fault."""
    try:
        rows = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"the catalogue is not TOML: {error}") from None
    _refuse_keys(rows)
    try:
        return TypeAdapter(Catalogue).validate_python(rows)
    except ValidationError as error:
        lines = [f"{_place(rows, item['loc'])}{_message(item['msg'])}" for item in error.errors()]
        raise CatalogueError("\n".join(dict.fromkeys(lines))) from None


def load_catalogue(user_file: Path | None = None) -> Catalogue:
    """The catalogue that ships with this package, changed by the user's file where there is one.

    Errors: `CatalogueError`; each line names the file.
    """
    shipped = _shipped_catalogue()
    if user_file is None:
        return shipped
    try:
        return _merge(shipped, parse_catalogue(user_file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError) as error:
        raise CatalogueError(f"PENGUIN_BLACKLIST_FILE: cannot read {user_file}: {error}") from None
    except CatalogueError as error:
        raise CatalogueError("\n".join(f"{user_file}: {line}" for line in str(error).splitlines())) from None


@lru_cache(maxsize=1)
def _shipped_catalogue() -> Catalogue:
    return parse_catalogue((files("penguin_infra.dnsbl") / "catalogue.toml").read_text(encoding="utf-8"))


def _merge(shipped: Catalogue, own: Catalogue) -> Catalogue:
    """The user's lists in the place of those of the same zone, the others behind; what the user retires is off."""
    by_zone = {one.zone: one for one in shipped.lists} | {one.zone: one for one in own.lists}
    lists = tuple(one for zone, one in by_zone.items() if not any(retired.covers(zone) for retired in own.retired))
    retired = {one.zone: one for one in (*shipped.retired, *own.retired)}
    subscriptions = {one.name: one for one in (*shipped.subscriptions, *own.subscriptions)}
    try:
        return Catalogue(lists=lists, retired=tuple(retired.values()), subscriptions=tuple(subscriptions.values()))
    except ValidationError as error:
        raise CatalogueError("\n".join(_message(item["msg"]) for item in error.errors())) from None


def _keyed(one: Blacklist, keys: Mapping[str, SecretStr]) -> Blacklist:
    key = keys.get(one.key_name) if one.key_name else None
    return one if key is None else one.with_key(key)


def _refuse_keys(rows: Mapping[str, Any]) -> None:
    lists = rows.get("lists")
    for row in lists if isinstance(lists, list) else ():
        if isinstance(row, dict) and "key" in row:
            raise CatalogueError(
                f"{row.get('zone', 'a list')}: key: stands in PENGUIN_BLACKLIST_KEYS or its file, never in a catalogue"
            )


def _place(rows: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """Where in the file an error stands: zone and field rather than table and position."""
    match location:
        case (str(table), int(index), *fields):
            row = rows[table][index]
            zone = row.get("zone", f"{table}[{index}]") if isinstance(row, dict) else f"{table}[{index}]"
            return f"{zone}: " + "".join(f"{name}: " for name in fields)
        case _:
            return "".join(f"{part}: " for part in location)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")
