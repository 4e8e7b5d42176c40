"""What is known of one blacklist: how it is asked, what it answers, what it allows, and how to get off it.

Facts and their checks only: which lists there are is `catalogue.py`'s. Keys of paid services are never part of a file;
they come from the settings, and leave this object only inside the name that is asked (`query_zone`).
"""

from dataclasses import field, replace
from datetime import date
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Annotated

from pydantic import ConfigDict, Field, PositiveInt, SecretStr
from pydantic.dataclasses import dataclass

from penguin_infra.domain.list_budget import ListTerms
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

KEY_PLACE = "{key}"

STRICT = ConfigDict(extra="forbid", validate_by_name=True)

_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"

Text = Annotated[str, Field(min_length=1)]
ZoneName = Annotated[str, Field(pattern=rf"^({_LABEL}\.)+{_LABEL}$", max_length=200)]


class Scope(StrEnum):
    """What a listing is about: the address, or a range that it shares with strangers."""

    ADDRESS = "address"
    RANGE = "range"


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Blacklist:
    """One list. `zone` names it everywhere and never holds a key.

    `family` is its section among the runbooks. `test_codes` is what its test point answers (the first code where nobody
    documents it); `unlisted_point` an address that it surely does not list; `ipv6_prefix` how long the prefixes are
    that it lists (64: one answer for all of a /64). `off_reason` says why it is not swept by default, `needs` what its
    operator asks for beforehand. With a key it is asked at `keyed_zone`, under `keyed_budget_per_day`, and takes the
    place of the public list `stands_for`.
    """

    zone: ZoneName
    name: Text
    operator: Text
    codes: tuple[ListedCode, ...]
    evidence: Text
    checked_on: date
    family: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,50}$")] = "other"
    scope: Scope = Scope.ADDRESS
    ipv6: bool = False
    ipv6_prefix: Annotated[int, Field(ge=1, le=128)] = 128
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
    keyed_budget_per_day: PositiveInt | None = None
    stands_for: ZoneName | None = None
    budget_per_day: PositiveInt | None = None
    budget_per_30_days: PositiveInt | None = None
    max_questions_per_second: PositiveInt | None = None
    off_reason: Text | None = None
    warning: Text | None = None
    key: SecretStr | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not self.codes:
            raise ValueError("codes: a list without codes can list nothing")
        if not set(self.test_codes) <= {code.code for code in self.codes}:
            raise ValueError("test_codes: must be among the codes")
        for code in self.codes:
            _check_code(code, self)
        if "{" in (self.delist_url(UNLISTED_POINT) or ""):
            raise ValueError("delist_url: knows no placeholder but {ip}")
        _check_keyed_zone(self)

    @property
    def query_zone(self) -> str:
        """The zone as it stands in a question, key included: for the wire only, never for words."""
        if self.key is None or self.keyed_zone is None:
            return self.zone
        return self.keyed_zone.replace(KEY_PLACE, self.key.get_secret_value())

    @property
    def key_name(self) -> str | None:
        """Under which name its key is looked for; None where it takes none."""
        return self.operator.lower() if self.keyed_zone else None

    @property
    def why_off(self) -> str | None:
        """Why a sweep does not ask it unless told to; None where it does."""
        if self.off_reason is not None:
            return self.off_reason
        if self.needs_key and self.key is None:
            return f"It needs a key. {self.needs or ''}".strip()
        return None

    @property
    def is_enabled_by_default(self) -> bool:
        """Whether a sweep asks it unless told otherwise."""
        return self.why_off is None

    @property
    def published_terms(self) -> ListTerms:
        """What its operator publishes, as the budgets take it."""
        return ListTerms(self.zone, self.budget_per_day, self.budget_per_30_days)

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

    def with_key(self, key: SecretStr) -> "Blacklist":
        """The same list as the key's owner asks it: the public service's terms are not the paid one's."""
        if self.needs_key:
            return replace(self, key=key)
        return replace(self, key=key, terms=None, budget_per_day=self.keyed_budget_per_day, budget_per_30_days=None)


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class RetiredList:
    """A list that must never be asked again, with its subzones."""

    zone: ZoneName
    name: Text
    reason: Text
    retired_on: date | None = None

    def covers(self, asked: str) -> bool:
        """Whether a name means this list: its zone, one below it, or its name."""
        return asked in (self.zone, self.name.lower()) or asked.endswith(f".{self.zone}")

    @property
    def refusal(self) -> str:
        """Why nobody may ask it."""
        return f"{self.name} ({self.zone}) {self.reason}. Remove it."


@dataclass(frozen=True, slots=True, kw_only=True, config=STRICT)
class Subscription:
    """A list whose zone only its subscribers know: it comes by the user's own file."""

    name: Text
    operator: Text
    family: Text
    needs: Text


def _check_keyed_zone(of: Blacklist) -> None:
    if of.keyed_zone is not None and of.keyed_zone.count("{") + of.keyed_zone.count("}") != 2:
        raise ValueError(f"keyed_zone: holds {KEY_PLACE} once, where the key belongs, and no other placeholder")
    if of.keyed_zone is not None and KEY_PLACE not in of.keyed_zone:
        raise ValueError(f"keyed_zone: must hold {KEY_PLACE} where the key belongs; the key itself stands in no file")
    if of.keyed_zone is None and (of.needs_key or of.keyed_budget_per_day or of.stands_for or of.key):
        raise ValueError("keyed_zone: must say where a list with a key answers")


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
