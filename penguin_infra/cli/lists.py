"""`penguin-infra lists`: every blacklist, what it may be asked and was, how it does, and whether it is trusted.

What the numbers follow from is `domain/list_budget.py`'s; asking a list is `check-ip`'s and `doctor`'s.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table
from sqlalchemy import Connection

from penguin_infra.cli.output import AsJson, console, notes, person, print_json, told_in_words, transaction, wire
from penguin_infra.dnsbl.catalogue import Blacklist, load_catalogue
from penguin_infra.domain.list_budget import BudgetLimits, allowance_of
from penguin_infra.domain.list_pace import Spent
from penguin_infra.store import list_health, list_paces, listings
from penguin_infra.store.list_paces import ListPace
from penguin_infra.wiring import Wiring

app = typer.Typer(
    help="The blacklists: what they may be asked, how they do, and which are frozen.", no_args_is_help=True
)

_HEALTH_FIELDS = ("resolver", "ip_version", "is_healthy", "fault", "reason", "passes", "since", "checked_at")

NOT_CHOSEN = "[blacklists] zones of the policy file does not name it."
REPLACED = "The lists that your key opens take its place."


@dataclass(slots=True)
class Memory:
    """What the database knows of the lists; empty where there is none."""

    spent: dict[str, Spent] = field(default_factory=dict)
    paces: dict[str, ListPace] = field(default_factory=dict)
    health: dict[str, list[dict[str, Any]]] = field(default_factory=lambda: defaultdict(list))
    frozen: dict[str, str] = field(default_factory=dict)


@app.command("show")
@told_in_words
def show_lists(as_json: AsJson = False) -> None:
    """Show each list: on or off and why, its key, what it may be asked a day and was, how often, and how it does.

    A list that fails its test points is quarantined: its answers count for nothing until two looks passed. A frozen one
    pauses nobody until you trust it. docs/runbooks/blacklists.md says what each fault means and what helps.

    Example: penguin-infra lists show
    """
    fleet = wire()
    with _memory_of(fleet) as connection:
        known = load_catalogue(fleet.settings.blacklist_file).with_keys(fleet.blacklist_keys)
        memory = _recall(connection, [one.zone for one in known], fleet.clock.now()) if connection else Memory()
    chosen = {one.zone for one in fleet.blacklists}
    rows = [
        _row(one, chosen, has_choice=fleet.policy.blacklist_zones is not None, limits=fleet.policy.budgets)
        | _remembered(one.zone, memory, is_on=one.zone in chosen, now=fleet.clock.now())
        for one in sorted(known, key=lambda one: one.zone not in chosen)
    ]
    if as_json:
        print_json(rows)
        return
    _print_table(rows)


@app.command("trust")
@told_in_words
def trust_list(zone: Annotated[str, typer.Argument(help="The list's zone.")]) -> None:
    """Let a frozen list pause nodes again. Look first whether its listings are true.

    Example: penguin-infra lists trust zen.spamhaus.org
    """
    fleet = wire()
    with transaction(fleet) as connection:
        was_frozen = listings.lift_freeze(connection, zone, requested_by=person(), now=fleet.clock.now())
    console.print(f"{zone} is trusted again." if was_frozen else f"{zone} was not frozen.")


@contextmanager
def _memory_of(fleet: Wiring) -> Iterator[Connection | None]:
    """The fleet's database; None, and a word about it, where no fleet was brought up."""
    if fleet.settings.database_url is None:
        notes.print("No fleet was brought up here, so nothing is known of how the lists did (`penguin-infra up`).")
        yield None
        return
    with transaction(fleet) as connection:
        yield connection


def _recall(connection: Connection, zones: Sequence[str], now: datetime) -> Memory:
    memory = Memory(
        list_paces.spent_questions(connection, zones, now),
        list_paces.load_paces(connection),
        frozen={row.zone: row.reason for row in listings.open_freezes(connection)},
    )
    for row in list_health.list_health(connection, zones):
        memory.health[row.zone].append({name: getattr(row, name) for name in _HEALTH_FIELDS})
    return memory


def _row(one: Blacklist, chosen: set[str], *, has_choice: bool, limits: BudgetLimits) -> dict[str, Any]:
    why_off = None
    if one.zone not in chosen:
        why_off = one.why_off or (NOT_CHOSEN if has_choice else REPLACED)
    allowance = allowance_of(one.published_terms, limits)
    return {
        "zone": one.zone,
        "name": one.name,
        "operator": one.operator,
        "family": one.family,
        "is_on": one.zone in chosen,
        "why_off": why_off,
        "has_key": one.key is not None,
        "takes_key": one.key_name,
        "needs": one.needs,
        "budget_per_day": allowance.per_day,
        "budget_source": allowance.source,
        "terms": one.terms,
        "evidence": one.evidence,
        "checked_on": one.checked_on,
    }


def _remembered(zone: str, memory: Memory, *, is_on: bool, now: datetime) -> dict[str, Any]:
    paced = memory.paces.get(zone)
    rests_until = paced.pace.rests_until if paced else None
    return {
        "asked_in_24_hours": memory.spent.get(zone, Spent()).in_24_hours,
        "interval_seconds": paced.interval_seconds if paced and is_on else None,
        "refused_because": paced.refused_because if paced and is_on else None,
        "rests_until": rests_until if rests_until and rests_until > now else None,
        "frozen": memory.frozen.get(zone),
        "health": memory.health.get(zone, []),
    }


def _print_table(rows: Sequence[dict[str, Any]]) -> None:
    table = Table("list", "on", "key", "a day at most", "in 24 h", "each address every", "health")
    for row in rows:
        key = "yes" if row["has_key"] else "none set" if row["takes_key"] else ""
        table.add_row(
            escape(f"{row['name']}\n{row['zone']}"),
            "[green]yes[/]" if row["is_on"] else "no",
            key,
            f"{row['budget_per_day']:,}",
            f"{row['asked_in_24_hours']:,}",
            _span(row["interval_seconds"]),
            _health_words(row),
        )
    console.print(table)
    for row in rows:
        for words in _below(row):
            console.print(escape(f"{row['zone']}: {words}"), soft_wrap=True)


def _below(row: dict[str, Any]) -> Iterator[str]:
    """What needs a sentence: below the table, whole."""
    if row["why_off"]:
        yield f"off. {row['why_off']}"
    if row["refused_because"]:
        yield f"not asked. {row['refused_because']}"
    if row["rests_until"]:
        yield f"rests until {row['rests_until']:%H:%M} UTC: its quota is used up"
    if row["frozen"]:
        yield f"frozen, it pauses nobody: {row['frozen']}. `penguin-infra lists trust {row['zone']}` ends that"
    for seen in row["health"]:
        if not seen["is_healthy"]:
            yield f"quarantined through {seen['resolver']} (IPv{seen['ip_version']}): {seen['reason']}"


def _health_words(row: dict[str, Any]) -> str:
    ill = [seen for seen in row["health"] if not seen["is_healthy"]]
    if not row["health"]:
        return "not asked yet" if row["is_on"] else ""
    if not ill:
        return "[green]well[/]"
    faults = ", ".join(dict.fromkeys(str(seen["fault"] or "ill") for seen in ill))
    word = faults if len(ill) == len(row["health"]) else f"{faults} through {len(ill)} of {len(row['health'])} ways"
    return f"[yellow]{escape(word)}[/]"


def _span(seconds: float | None) -> str:
    if seconds is None:
        return ""
    if seconds < 3600:
        return f"{seconds / 60:.3g} min"
    return f"{seconds / 3600:.3g} h"
