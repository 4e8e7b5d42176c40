"""The catalogue of blacklists: loads and checks `catalogue.toml`, and chooses the lists to ask.

Facts about lists only: asking them is `sweep.py`'s, and what their answers mean is `domain/listing.py`'s.

    CatalogueError            the file is wrong (zone and field are named), or a list cannot be chosen
    ├── RetiredZone           the list is retired; the message says since when and why
    └── UnknownZone           no such list; the message names the nearest
"""

import tomllib
from collections.abc import Sequence
from datetime import date
from difflib import get_close_matches
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated, Any

from pydantic import ConfigDict, Field, PositiveInt, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from penguin_infra.domain.listing import (
    LIST_ANSWERS,
    NEVER_A_LISTING,
    QUERY_ERRORS,
    ListCodes,
    ListedCode,
    Severity,
)

# RFC 5782 s5: every list lists these two, so that one can see that it works.
TEST_POINTS = (IPv4Address("127.0.0.2"), IPv6Address("::ffff:7f00:2"))

# RFC 5737 TEST-NET-1: never routed, so no mail can have come from it and no list has cause to list it.
UNLISTED_POINT = IPv4Address("192.0.2.1")

_STRICT = ConfigDict(extra="forbid")

Text = Annotated[str, Field(min_length=1)]


class CatalogueError(Exception):
    """The catalogue is wrong, or a list cannot be chosen from it; the message says which and why."""


class RetiredZone(CatalogueError):
    """The list is retired and must not be asked again."""


class UnknownZone(CatalogueError):
    """The catalogue has no such list."""


class Scope(StrEnum):
    """What a listing is about: the address, or a range that it shares with strangers."""

    ADDRESS = "address"
    RANGE = "range"


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Blacklist:
    """One list: how to ask it, what it answers, and how to get off it.

    `test_codes` is what its test point answers (the first code where nobody documents it); `unlisted_point` an address
    that it surely does not list; `off_reason` says why it is not swept by default, `needs` what its operator asks for
    beforehand; `keyed_zone` is where its paid service answers.
    """

    zone: Text
    name: Text
    operator: Text
    codes: tuple[ListedCode, ...]
    evidence: Text
    checked_on: date
    scope: Scope = Scope.ADDRESS
    ipv6: bool = False
    errors: dict[IPv4Address, Text] = Field(default_factory=dict)
    not_listed: dict[IPv4Address, Text] = Field(default_factory=dict)
    test_points: tuple[IPv4Address | IPv6Address, ...] = TEST_POINTS
    test_codes: tuple[IPv4Address, ...] = ()
    is_negative_test_exempt: bool = False
    unlisted_point: IPv4Address = UNLISTED_POINT
    delist_url_pattern: Annotated[str | None, Field(alias="delist_url", pattern=r"^https://")] = None
    delist_note: Text | None = None
    terms: Text | None = None
    needs: Text | None = None
    needs_key: bool = False
    keyed_zone: Text | None = None
    budget_per_day: PositiveInt | None = None
    budget_per_30_days: PositiveInt | None = None
    max_questions_per_second: PositiveInt | None = None
    off_reason: Text | None = None
    warning: Text | None = None

    def __post_init__(self) -> None:
        if not self.codes:
            raise ValueError("codes: a list without codes can list nothing")
        if self.needs_key != ("{" in self.zone):
            raise ValueError("zone: holds a {placeholder} exactly where needs_key is true")
        if self.needs_key and self.is_enabled_by_default:
            raise ValueError("off_reason: a list that needs a key cannot be swept by default")
        if not set(self.test_codes) <= {code.code for code in self.codes}:
            raise ValueError("test_codes: must be among the codes")
        for code in self.codes:
            _check_code(code, self)
        if "{" in (self.delist_url(UNLISTED_POINT) or ""):
            raise ValueError("delist_url: knows no placeholder but {ip}")

    @property
    def is_enabled_by_default(self) -> bool:
        """Whether a sweep asks it unless told otherwise."""
        return self.off_reason is None

    @property
    def list_codes(self) -> ListCodes:
        """Its answers, as `classify` takes them."""
        return ListCodes({code.code: code for code in self.codes}, self.not_listed, self.errors)

    @property
    def test_point_codes(self) -> tuple[IPv4Address, ...]:
        """What its test point is expected to answer."""
        return self.test_codes or (self.codes[0].code,)

    @property
    def worst_code(self) -> ListedCode:
        """The first of its gravest codes."""
        return max(self.codes, key=lambda code: code.severity.gravity)

    def delist_url(self, ip: IPv4Address | IPv6Address | str) -> str | None:
        """The operator's page about an address, None where there is none (`delist_note` may say more)."""
        pattern = self.delist_url_pattern
        return None if pattern is None else pattern.replace("{ip}", str(ip))


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class RetiredList:
    """A list that must never be asked again, with its subzones."""

    zone: Text
    name: Text
    reason: Text
    retired_on: date | None = None

    def covers(self, asked: str) -> bool:
        """Whether a name means this list: its zone, one below it, or its name."""
        return asked in (self.zone, self.name.lower()) or asked.endswith(f".{self.zone}")


@dataclass(frozen=True, slots=True, kw_only=True, config=_STRICT)
class Catalogue:
    """All lists that are known, alive and retired."""

    lists: tuple[Blacklist, ...]
    retired: tuple[RetiredList, ...] = ()

    def __post_init__(self) -> None:
        zones = [one.zone for one in self.lists] + [one.zone for one in self.retired]
        for zone in zones:
            if zones.count(zone) > 1:
                raise ValueError(f"{zone}: zone: stands there twice")

    def select(self, zones: Sequence[str] | None = None) -> tuple[Blacklist, ...]:
        """The lists of these zones, or those that are swept by default.

        Errors: `RetiredZone`, `UnknownZone`, and `CatalogueError` for a list that needs a key.
        """
        if zones is None:
            return tuple(one for one in self.lists if one.is_enabled_by_default)
        return tuple({one.zone: one for one in map(self._find, zones)}.values())

    def _find(self, zone: str) -> Blacklist:
        asked = zone.strip().rstrip(".").lower()
        for retired in self.retired:
            if retired.covers(asked):
                raise RetiredZone(f"{zone} is refused: {retired.name} ({retired.zone}) {retired.reason}. Remove it.")
        for one in self.lists:
            if asked not in (one.zone, one.name.lower()):
                continue
            if one.needs_key:
                raise CatalogueError(
                    f"{one.name} cannot be asked yet: keys are not supported. {one.needs or ''}".strip()
                )
            return one
        known = {one.zone for one in self.lists if not one.needs_key}
        near = get_close_matches(asked, known, n=3, cutoff=0.5)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Known are {', '.join(sorted(known))}."
        raise UnknownZone(f"the catalogue has no list {zone!r}. {hint}")


def parse_catalogue(text: str) -> Catalogue:
    """Read a catalogue from TOML; `CatalogueError` names each zone and field at fault."""
    try:
        rows = tomllib.loads(text)
        return TypeAdapter(Catalogue).validate_python(rows)
    except tomllib.TOMLDecodeError as error:
        raise CatalogueError(f"the catalogue is not TOML: {error}") from None
    except ValidationError as error:
        lines = [f"{_place(rows, item['loc'])}{_message(item['msg'])}" for item in error.errors()]
        raise CatalogueError("\n".join(dict.fromkeys(lines))) from None


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue that ships with this package, read once."""
    return parse_catalogue((files("penguin_infra.dnsbl") / "catalogue.toml").read_text(encoding="utf-8"))


def _check_code(code: ListedCode, of: Blacklist) -> None:
    address = code.code
    if address not in LIST_ANSWERS or address in QUERY_ERRORS or address in NEVER_A_LISTING:
        raise ValueError(f"codes: {address} can never be a listing")
    if address in of.errors or address in of.not_listed:
        raise ValueError(f"codes: {address} stands among errors or not_listed too")
    if [one.code for one in of.codes].count(address) > 1:
        raise ValueError(f"codes: {address} stands there twice")
    # A listing of strangers' addresses must never pause a node by itself.
    if of.scope is Scope.RANGE and code.severity.gravity > Severity.POLICY.gravity:
        raise ValueError(f"codes: {address} of a list of ranges cannot weigh more than policy")


def _place(rows: dict[str, Any], location: tuple[int | str, ...]) -> str:
    """Where in the file an error stands: zone and field rather than table and position."""
    match location:
        case (str(table), int(index), *fields):
            zone = rows[table][index].get("zone", f"{table}[{index}]")
            return f"{zone}: " + "".join(f"{field}: " for field in fields)
        case _:
            return "".join(f"{part}: " for part in location)


def _message(text: str) -> str:
    return text.removeprefix("Value error, ")
