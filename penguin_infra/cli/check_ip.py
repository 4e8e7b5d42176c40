"""`penguin-infra check-ip`: one look at one address on every list, now. It records nothing and pauses nobody."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penguin_infra.dnsbl.catalogue import Blacklist, CatalogueError, load_catalogue
from penguin_infra.dnsbl.resolvers import ResolverError, choose_resolvers
from penguin_infra.dnsbl.sweep import SweptObservation, sweep
from penguin_infra.domain.listing import Verdict
from penguin_infra.settings import SettingsError, settings

EXIT_CLEAN, EXIT_LISTED, EXIT_USAGE, EXIT_UNKNOWN = 0, 1, 2, 3

_STYLES = {Verdict.CLEAN: "green", Verdict.LISTED: "bold red", Verdict.UNRECOGNISED: "yellow", Verdict.ERROR: "yellow"}


def check_ip(
    ip: Annotated[str, typer.Argument(help="The address, for example 203.0.113.7.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")] = False,
    zones: Annotated[list[str] | None, typer.Option("--zone", help="Only this list; may be repeated.")] = None,
) -> None:
    """Ask every blacklist about one address, now.

    This is a single look: a hit is "seen, not confirmed". The fleet's sweeps confirm it with a second one.

    Exit code: 0 no list that answered lists it, 1 at least one does, 2 wrong usage, 3 no list could be asked.

    penguin-infra check-ip 203.0.113.7

    penguin-infra check-ip 203.0.113.7 --zone zen.spamhaus.org --json
    """
    try:
        address = ip_address(ip)
    except ValueError:
        _refuse(f"{ip!r} is not an IP address")
    try:
        told = settings()
        keys = {} if told.lab else told.blacklist_keys
        lists = load_catalogue(told.blacklist_file).select(zones or None, keys=keys)
        resolvers = choose_resolvers(told.resolvers)
    except (CatalogueError, ResolverError, SettingsError) as error:
        _refuse(str(error))
    found = sweep([address], lists, resolvers, clock=lambda: datetime.now(UTC)).observations
    if not found:
        _refuse(f"none of these lists holds IPv{address.version} addresses")
    by_zone = {one.zone: one for one in lists}
    if as_json:
        rows = [_as_json(one, by_zone[one.zone]) for one in found]
        print(json.dumps({"address": str(address), "is_confirmed": False, "observations": rows}, indent=2))
    else:
        _print_table(found, by_zone)
    raise typer.Exit(_exit_code(found))


def _exit_code(found: Sequence[SweptObservation]) -> int:
    verdicts = {one.verdict for one in found}
    if Verdict.LISTED in verdicts:
        return EXIT_LISTED
    return EXIT_CLEAN if Verdict.CLEAN in verdicts else EXIT_UNKNOWN


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


def _print_table(found: Sequence[SweptObservation], by_zone: dict[str, Blacklist]) -> None:
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


def _refuse(problem: str) -> NoReturn:
    typer.echo(f"Error: {problem}", err=True)
    raise typer.Exit(EXIT_USAGE)
