"""`penguin-infra check-ip`: one look at one address on every list, now. It records nothing and pauses nobody."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn
from rich.table import Table

from penguin_infra.cli.findings import explain_faults
from penguin_infra.cli.output import notes
from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.catalogue import Blacklist, CatalogueError, load_catalogue
from penguin_infra.dnsbl.resolvers import ResolverError, choose_resolvers
from penguin_infra.dnsbl.sweep import SweepResult, SweptObservation, sweep
from penguin_infra.domain.list_health import ListFault
from penguin_infra.domain.listing import Verdict
from penguin_infra.settings import SettingsError, settings

EXIT_CLEAN, EXIT_LISTED, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3

_STYLES = {Verdict.CLEAN: "green", Verdict.LISTED: "bold red", Verdict.UNRECOGNISED: "yellow", Verdict.ERROR: "yellow"}

# Faults that one look is enough to do something about; the others are the list's own, and come and go.
_WORTH_SAYING = frozenset({ListFault.PUBLIC_RESOLVER, ListFault.QUOTA, ListFault.REFUSED})

Tell = Callable[[SweptObservation], None]


def check_ip(
    ip: Annotated[str, typer.Argument(help="The address, for example 203.0.113.7.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    as_lines: Annotated[bool, typer.Option("--jsonl", help="Print each look as a line of JSON, as it comes.")] = False,
    zones: Annotated[list[str] | None, typer.Option("--zone", help="Only this list; may be repeated.")] = None,
) -> None:
    """Ask every blacklist about one address, now; each answer is shown as it comes.

    This is a single look: a hit is "seen, not confirmed". The fleet's sweeps confirm it with a second one.

    Exit code: 0 no list that answered lists it, 1 at least one does, 2 wrong usage, 3 no list could be asked.

    penguin-infra check-ip 203.0.113.7

    penguin-infra check-ip 203.0.113.7 --zone zen.spamhaus.org --json
    """
    try:
        address = ip_address(ip)
    except ValueError:
        _refuse(f"{ip!r} is not an IP address")
    if as_json and as_lines:
        _refuse("choose one of --json and --jsonl")
    try:
        told = settings()
        keys = {} if told.lab else told.blacklist_keys
        lists = load_catalogue(told.blacklist_file).select(zones or None, keys=keys)
        resolvers = choose_resolvers(told.resolvers)
    except (CatalogueError, ResolverError, SettingsError) as error:
        _refuse(str(error))
    by_zone = {one.zone: one for one in lists if address.version == 4 or one.ipv6}
    if not by_zone:
        _refuse(f"none of these lists holds IPv{address.version} addresses")
    askings = [Asking(one, [address]) for one in by_zone.values()]
    with _streaming(by_zone, as_json=as_json, as_lines=as_lines) as tell:
        result = sweep(askings, resolvers, clock=lambda: datetime.now(UTC), on_observation=tell)
    found = result.observations
    if as_json:
        rows = [_as_json(one, by_zone[one.zone]) for one in found]
        print(json.dumps({"address": str(address), "is_confirmed": False, "observations": rows}, indent=2))
    elif not as_lines:
        _print_table(found, by_zone)
    _print_advice(result, by_zone)
    raise typer.Exit(_exit_code(found))


def _exit_code(found: Sequence[SweptObservation]) -> int:
    verdicts = {one.verdict for one in found}
    if Verdict.LISTED in verdicts:
        return EXIT_LISTED
    return EXIT_CLEAN if Verdict.CLEAN in verdicts else EXIT_UNKNOWN


@contextmanager
def _streaming(by_zone: Mapping[str, Blacklist], *, as_json: bool, as_lines: bool) -> Iterator[Tell]:
    """What is told of each look as it comes; on a terminal with how many lists have answered."""
    if as_json:
        yield lambda _one: None
        return
    if as_lines:
        yield lambda one: print(json.dumps(_as_json(one, by_zone[one.zone])), flush=True)
        return
    console = Console()
    columns = (SpinnerColumn(), MofNCompleteColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        answered: set[str] = set()
        task = progress.add_task("lists have answered", total=len(by_zone))

        def tell(one: SweptObservation) -> None:
            answered.add(one.zone)
            progress.update(task, completed=len(answered))
            console.print(f"[{_STYLES[one.verdict]}]{one.verdict:<12}[/] {escape(by_zone[one.zone].name)}")

        yield tell


def _as_json(one: SweptObservation, blacklist: Blacklist) -> dict[str, Any]:
    seen = one.observation
    return {
        "zone": one.zone,
        "list": blacklist.name,
        "verdict": one.verdict,
        "severity": seen.severity,
        "codes": [{"code": str(code.code), "meaning": code.meaning, "severity": code.severity} for code in seen.codes],
        "unrecognised": [str(code) for code in seen.unrecognised],
        "reason": seen.reason,
        "delist_url": blacklist.delist_url(one.address) if one.verdict is Verdict.LISTED else None,
        "resolver": seen.answer.resolver,
        "ttl_seconds": seen.answer.ttl_seconds,
        "observed_at": seen.answer.observed_at.isoformat(),
    }


def _print_table(found: Sequence[SweptObservation], by_zone: Mapping[str, Blacklist]) -> None:
    console = Console()
    table = Table("List", "Verdict", "Severity", "What it says")
    ways_off = []
    # Listings first: they are what one looks for.
    for one in sorted(found, key=lambda one: one.verdict is not Verdict.LISTED):
        seen, blacklist = one.observation, by_zone[one.zone]
        says = [f"{code.code} {code.meaning}" for code in seen.codes] + ([seen.reason] if seen.reason else [])
        verdict = f"[{_STYLES[one.verdict]}]{one.verdict}[/]"
        table.add_row(blacklist.name, verdict, seen.severity or "", escape("\n".join(says)))
        if one.verdict is Verdict.LISTED:
            way_off = [text for text in (blacklist.delist_url(one.address), blacklist.delist_note) if text]
            ways_off.append(f"To get off {blacklist.name}: {' '.join(way_off) or 'no documented way'}")
    console.print(table)
    # Below the table, whole and on a line each, so that a link can be followed or copied.
    for way in dict.fromkeys(ways_off):
        console.print(way, soft_wrap=True)
    verdicts = [one.verdict for one in found]
    if Verdict.LISTED in verdicts:
        print("Seen, not confirmed: this was a single look. Look again once its answer has expired.")
    unknown = sum(verdict in (Verdict.ERROR, Verdict.UNRECOGNISED) for verdict in verdicts)
    if unknown:
        print(f"{unknown} of {len(verdicts)} looks say nothing about the address, neither good nor bad.")


def _print_advice(result: SweepResult, by_zone: Mapping[str, Blacklist]) -> None:
    """What the lists hold against the resolver, beside the result: on stderr."""
    ill = [one for one in result.health if one.fault is not None and one.fault.kind in _WORTH_SAYING]
    for one in explain_faults("lists", ill, by_zone):
        notes.print(f"[yellow]{escape(f'Resolver {one.subject}: {one.words}')}[/]", soft_wrap=True)
        if one.remedy:
            notes.print(escape(f"What helps: {one.remedy}"), soft_wrap=True)


def _refuse(problem: str) -> NoReturn:
    typer.echo(f"Error: {problem}", err=True)
    raise typer.Exit(EXIT_USAGE)
