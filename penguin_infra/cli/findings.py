"""What a check of the surroundings finds, in words for people; the checks themselves stand in `doctor_*.py`."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from penguin_infra.dnsbl.catalogue import Blacklist
from penguin_infra.domain.list_health import ListFault, ListHealth
from penguin_infra.domain.list_remedies import REMEDIES
from penguin_infra.wiring import Wiring


class Verdict(StrEnum):
    """How bad a finding is; members stand from the best down."""

    WELL = "well"
    LOOK = "look"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check saw: of what, how bad, in words, and what helps."""

    check: str
    subject: str
    verdict: Verdict
    words: str
    remedy: str | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """A named look at the surroundings. Expected errors may leave `look`: they are findings too."""

    name: str
    look: Callable[[Wiring], Iterable[Finding]]


def explain_faults(check: str, health: Iterable[ListHealth], lists: Mapping[str, Blacklist]) -> list[Finding]:
    """What is wrong with lists, one finding for each resolver and fault, with what helps."""
    groups: dict[tuple[str, ListFault, str], dict[str, str]] = {}
    for one in health:
        if one.fault is None:
            continue
        remedy = _remedy(one.fault.kind, lists[one.zone])
        groups.setdefault((one.resolver, one.fault.kind, remedy), {})[one.zone] = one.fault.reason
    return [
        Finding(
            check,
            resolver,
            Verdict.BROKEN if kind is ListFault.PUBLIC_RESOLVER else Verdict.LOOK,
            f"{_asked(kind, zones)}. {REMEDIES[kind].meaning}",
            remedy,
        )
        for (resolver, kind, remedy), zones in groups.items()
    ]


def _asked(kind: ListFault, reasons: Mapping[str, str]) -> str:
    if len(reasons) == 1:
        ((zone, reason),) = reasons.items()
        return f"{zone}: {reason}"
    code = " (127.255.255.254)" if kind is ListFault.PUBLIC_RESOLVER else ""
    return f"{kind.replace('_', ' ')}{code} at {len(reasons)} lists: {', '.join(sorted(reasons))}"


def _remedy(kind: ListFault, blacklist: Blacklist) -> str:
    told = [REMEDIES[kind].remedy]
    if blacklist.needs and kind in {ListFault.REFUSED, ListFault.SILENT}:
        told.insert(0, blacklist.needs)
    if blacklist.key is not None and kind in {ListFault.REFUSED, ListFault.EMPTIED}:
        told.insert(0, "Its key may be wrong, or out of date.")
    return " ".join(told)
