"""`penguin-infra lab`: the lab's DNS server, and the scenarios that make blacklists list, delist and fail.

The server and the changes to it are `lab/`'s; here are words, defaults and exits.
"""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, NoReturn

import dns.exception
import dns.tsig
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from penguin_infra.dnsbl.catalogue import Blacklist, CatalogueError, load_catalogue
from penguin_infra.domain.listing import ListedCode
from penguin_infra.lab.dns_changes import HOST, LabListing, add_listing, read_zone, remove_listing, set_fault
from penguin_infra.lab.dns_server import serve_dns
from penguin_infra.lab.dns_zone import FORWARD_ZONE, REVERSE_ZONE, LabDnsError
from penguin_infra.lab.dns_zones import TEST_POINTS, Fault
from penguin_infra.policy import Policy
from penguin_infra.policy_file import PolicyFileError, read_policy
from penguin_infra.settings import Settings, SettingsError, settings

app = typer.Typer(help="Make things happen in the lab's blacklists.", no_args_is_help=True)

# Short, so that a second look past the TTL is a matter of seconds.
DEFAULT_TTL_SECONDS = 2

Ip = Annotated[str, typer.Argument(help="The address, for example 10.20.0.7.")]
Zone = Annotated[str, typer.Option("--zone", help="The blacklist, by zone or name: zen.spamhaus.org.")]


@app.command("serve-dns")
def serve_dns_command(
    port: Annotated[int | None, typer.Option(help="Default: PENGUIN_LAB_DNS_PORT.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Where zones are kept. Default: lab/dns in the home.")] = None,
    ttl_seconds: Annotated[int, typer.Option(min=0, help="Life of every answer.")] = DEFAULT_TTL_SECONDS,
) -> None:
    """Serve the catalogue's blacklists, the nodes' names and their reverse names on loopback until stopped.

    Each blacklist lists its test points and what the other commands put there; records outlive a restart. Changes of
    the nodes' names are signed with the key of PENGUIN_DNS_KEY_NAME and PENGUIN_DNS_KEY_SECRET.

    Example: penguin-infra lab serve-dns --port 4269

    Try it: dig @127.0.0.1 -p 4269 2.0.0.127.zen.spamhaus.org
    """
    lists = _served()
    told = _settings()
    chosen_port = port or told.lab_dns_port
    zones = {one.zone: [str(code) for code in one.test_point_codes] for one in lists}
    key = _key(told)
    served = f"{len(zones)} blacklists, {FORWARD_ZONE} and {REVERSE_ZONE}"
    try:
        serve_dns(
            host=HOST,
            port=chosen_port,
            directory=directory or told.home / "lab" / "dns",
            zones=zones,
            ipv6_zones=[one.zone for one in lists if one.ipv6],
            key=key,
            ttl_seconds=ttl_seconds,
            on_ready=lambda: print(f"The lab's DNS serves {served} on {HOST}:{chosen_port}", flush=True),
        )
    except LabDnsError as error:
        _refuse(error)


@app.command("list-ip")
def list_ip(
    ip: Ip,
    zone: Zone = "zen.spamhaus.org",
    code: Annotated[str | None, typer.Option(help="Return code. Default: the zone's gravest.")] = None,
    reason: Annotated[str | None, typer.Option(help="The list's words (TXT).")] = None,
) -> None:
    """Put an address on a blacklist.

    penguin-infra lab list-ip 10.20.0.7

    penguin-infra lab list-ip 10.20.0.7 --zone zen.spamhaus.org --code 127.0.0.10 --reason "Policy: dynamic range"
    """
    address = _address(ip)
    blacklist = _blacklist(zone)
    listed = _code(blacklist, code)
    try:
        add_listing(
            _port(), blacklist.zone, address, str(listed.code), reason or f"Listed in the lab: {listed.meaning}"
        )
    except LabDnsError as error:
        _refuse(error)
    print(f"{address} is on {blacklist.name} now: {listed.code}, {listed.meaning} (severity {listed.severity}).")
    print("Next: the coming sweep suspects it, asks again past the answer's TTL, and confirms it.")
    print(f"Look now with `penguin-infra check-ip {address}`; undo with `penguin-infra lab delist-ip {address}`.")


@app.command("delist-ip")
def delist_ip(
    ip: Ip, zone: Annotated[str | None, typer.Option(help="Only this blacklist. Default: all of them.")] = None
) -> None:
    """Take an address off one blacklist or all.

    penguin-infra lab delist-ip 10.20.0.7
    """
    address = _address(ip)
    only = _blacklist(zone).zone if zone else None
    try:
        held = [one for one in _listings() if str(one.address) == address and only in (None, one.zone)]
        for listing in held:
            remove_listing(_port(), listing.zone, address)
    except LabDnsError as error:
        _refuse(error)
    if not held:
        print(f"{address} was not listed{f' on {only}' if only else ''}: nothing to do.")
        return
    print(f"{address} is off {', '.join(one.zone for one in held)}.")
    print(_how_a_listing_ends())


@app.command("listings")
def listings() -> None:
    """Show every address that the lab lists, and the blacklists that are made to fail.

    Example: penguin-infra lab listings
    """
    console = Console()
    table = Table("Address", "List", "Codes", "Reason")
    try:
        for one in _listings():
            table.add_row(str(one.address), one.zone, ", ".join(one.codes), escape(one.reason))
        faults = {one.zone: read_zone(_port(), one.zone)[1] for one in _served()}
    except LabDnsError as error:
        _refuse(error)
    if table.row_count:
        console.print(table)
    else:
        print("No address is listed. Try `penguin-infra lab list-ip 10.20.0.7`.")
    for zone, fault in faults.items():
        if fault is not Fault.NONE:
            print(f"{zone} is made to fail: {fault}")


@app.command("break-list")
def break_list(
    zone: Annotated[str, typer.Argument(help="The blacklist, by zone or name.")],
    mode: Annotated[Fault, typer.Argument(help="How it fails; `none` mends it.")],
) -> None:
    """Make a blacklist fail, as real ones have.

    `wildcard` lists every address (SpamCop, January 2021), `empty` none, not even its test points (SORBS, June 2024),
    `timeout` says nothing, `error-code` answers 127.255.255.255 to every question (too many), `open-resolver`
    127.255.255.254 (a public resolver), `servfail` and `refused` say so.

    penguin-infra lab break-list bl.spamcop.net wildcard
    """
    blacklist = _blacklist(zone)
    try:
        set_fault(_port(), blacklist.zone, mode)
    except LabDnsError as error:
        _refuse(error)
    if mode is Fault.NONE:
        print(f"{blacklist.name} works again. Next: it counts again as soon as its test points pass.")
        return
    print(f"{blacklist.name} fails now: {mode}.")
    print("Next: its test points fail, so it is quarantined: its answers neither list nor clear anybody.")
    print(f"Mend it with `penguin-infra lab break-list {blacklist.zone} none`.")


def _how_a_listing_ends() -> str:
    limits = _policy().listing
    return (
        f"Next: a confirmed listing ends after {limits.clean_answers_to_delist} clean answers over at least "
        f"{limits.clean_span_seconds} s; then `penguin-infra nodes resume` brings the node back."
    )


def _served() -> tuple[Blacklist, ...]:
    """Every list that a fleet in the lab may ask: the enabled ones and those that the policy names, none by a key."""
    try:
        catalogue = load_catalogue(_settings().blacklist_file)
        lists = (*catalogue.select(), *catalogue.select(_policy().blacklist_zones))
    except CatalogueError as error:
        _refuse(error)
    return tuple({one.zone: one for one in lists}.values())


def _policy() -> Policy:
    told = _settings()
    try:
        return read_policy(told.policy_file, blacklist_file=told.blacklist_file)
    except (CatalogueError, PolicyFileError) as error:
        _refuse(error)


def _listings() -> list[LabListing]:
    found = [one for blacklist in _served() for one in read_zone(_port(), blacklist.zone)[0]]
    return sorted(found, key=lambda one: (one.address.version, int(one.address), one.zone))


def _settings() -> Settings:
    try:
        return settings()
    except SettingsError as error:
        _refuse(error)


def _key(told: Settings) -> dns.tsig.Key | None:
    if told.dns_key_name is None or told.dns_key_secret is None:
        return None
    try:
        return dns.tsig.Key(told.dns_key_name, told.dns_key_secret.get_secret_value(), told.dns_key_algorithm)
    except (ValueError, dns.exception.DNSException):
        _refuse("PENGUIN_DNS_KEY_NAME is no name, or PENGUIN_DNS_KEY_SECRET is no base64")


def _port() -> int:
    return _settings().lab_dns_port


def _address(text: str) -> str:
    try:
        address = str(ip_address(text))
    except ValueError:
        _refuse(f"{text!r} is not an IP address")
    if address in TEST_POINTS:
        _refuse(f"{address} is a test point: every list holds it")
    return address


def _blacklist(zone: str) -> Blacklist:
    served = {one.zone: one for one in _served()}
    try:
        blacklist = load_catalogue(_settings().blacklist_file).find(zone)
    except CatalogueError as error:
        _refuse(error)
    if blacklist.zone not in served:
        why = "needs a key" if blacklist.needs_key else "is off"
        _refuse(f"the lab does not serve {blacklist.zone}, which {why}; it serves {', '.join(served)}")
    return blacklist


def _code(blacklist: Blacklist, text: str | None) -> ListedCode:
    if text is None:
        return blacklist.worst_code
    by_code = {str(code.code): code for code in blacklist.codes}
    if text not in by_code:
        known = "; ".join(f"{code.code} {code.meaning} ({code.severity})" for code in blacklist.codes)
        _refuse(f"{blacklist.name} has no code {text!r}. Its codes: {known}")
    return by_code[text]


def _refuse(problem: object) -> NoReturn:
    typer.echo(f"Error: {problem}", err=True)
    raise typer.Exit(2)
