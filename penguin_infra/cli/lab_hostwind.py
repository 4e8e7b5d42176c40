"""`penguin-infra lab`: run the simulated Hostwind, break it on purpose, read its bill.

The commands speak to the running simulator over HTTP, at the address and with the credentials of the settings. They
refuse any other address than a loopback one: faults are for the lab, not for the provider.
"""

import json
import os
import re
from collections.abc import Mapping
from enum import StrEnum
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Annotated, Literal, NoReturn

import dns.exception
import dns.tsig
import httpx
import typer
from rich.console import Console
from rich.table import Table

from penguin_infra.lab.dns_zone import REVERSE_ZONE
from penguin_infra.lab.hostwind_addresses import AddressPool, GivenAddresses, LoopbackRange
from penguin_infra.lab.hostwind_faults import FaultKind
from penguin_infra.lab.hostwind_reverse_dns import ReverseDnsServer
from penguin_infra.lab.hostwind_simulator import SimulatorNotStarted, serve_hostwind
from penguin_infra.settings import Settings, SettingsError, settings

LOOPBACK = "127.0.0.1"
# The simulator may be busy with a fault of its own making, but it is on this machine.
TIMEOUT_SECONDS = 10


class BillCycle(StrEnum):
    """How the bill is made."""

    HOURLY = "hourly"
    MONTHLY = "monthly"


app = typer.Typer(help="The simulated Hostwind: what it bills, and faults on demand.", no_args_is_help=True)


@app.command("serve-hostwind", hidden=True)
def serve_hostwind_command(
    port: Annotated[int | None, typer.Option(help="By default PENGUIN_LAB_HOSTWIND_PORT.")] = None,
    directory: Annotated[Path | None, typer.Option(help="Keeps the instances; by default under the home.")] = None,
    boot_seconds: Annotated[float, typer.Option(min=0, help="How long a boot and a resize take.")] = 5,
    addresses: Annotated[
        str | None, typer.Option(help="IPv4 addresses to hand out, with commas, or a file of them. Default: loopback.")
    ] = None,
    reverse_dns: Annotated[
        str | None, typer.Option(help="address:port of the DNS server that takes reverse names; without it, none.")
    ] = None,
    reverse_zone: Annotated[str, typer.Option(help="The zone that holds them.")] = REVERSE_ZONE,
    reverse_dns_delay: Annotated[float, typer.Option(min=0, help="Seconds until a reverse name is published.")] = 0.5,
) -> None:
    """Serve the simulated Hostwind in the foreground; `penguin-infra up` does this for you.

    A DNS server that wants signed changes: its key (hmac-sha256) in LAB_REVERSE_DNS_KEY_NAME and _SECRET.

    Example: HOSTWIND_API_URL=http://127.0.0.1:4268 HOSTWIND_API_KEY=lab HOSTWIND_API_SECRET=lab
    penguin-infra lab serve-hostwind --boot-seconds 1
    """
    known = _settings()
    key, secret = _credentials(known)
    try:
        serve_hostwind(
            host=LOOPBACK,
            port=port or known.lab_hostwind_port,
            directory=directory or known.home / "lab" / "hostwind",
            key=key,
            secret=secret,
            boot_seconds=boot_seconds,
            addresses=_address_pool(addresses),
            reverse_dns=_reverse_dns(reverse_dns, reverse_zone),
            reverse_dns_delay_seconds=reverse_dns_delay,
        )
    except SimulatorNotStarted as error:
        _stop(str(error))


@app.command()
def fault(
    kind: Annotated[FaultKind, typer.Argument(help="What goes wrong.")],
    seconds: Annotated[float, typer.Option(min=0, help="Of the latency, or of the Retry-After.")] = 1,
    count: Annotated[int | None, typer.Option(min=1, help="How many requests; without it, until cleared.")] = None,
    method: Annotated[str | None, typer.Option(help="Only requests of this method, such as POST.")] = None,
    path_prefix: Annotated[str | None, typer.Option(help="Only paths that begin so, such as /instances.")] = None,
) -> None:
    """Break the simulated Hostwind, and see what the fleet does about it.

    Example: the next creation is carried out and paid for, but its answer is lost:
    penguin-infra lab fault cut_after_act --method POST --count 1
    """
    asked = {"kind": kind, "seconds": seconds, "count": count, "method": method, "path_prefix": path_prefix}
    added = _ask("POST", "/lab/faults", asked)
    typer.echo(f"In force: {json.dumps(added)}\nEnd it with `penguin-infra lab clear-faults`.")


@app.command()
def faults() -> None:
    """List the faults in force.

    Example: penguin-infra lab faults
    """
    table = Table("kind", "seconds", "requests left", "method", "path")
    for row in _rows(_ask("GET", "/lab/faults"), "faults"):
        left = "until cleared" if row["count"] is None else str(row["count"])
        table.add_row(
            str(row["kind"]), str(row["seconds"]), left, str(row["method"] or "any"), str(row["path_prefix"] or "any")
        )
    _show(table, empty="No faults are in force.")


@app.command("clear-faults")
def clear_faults() -> None:
    """End all faults.

    Example: penguin-infra lab clear-faults
    """
    _ask("DELETE", "/lab/faults")
    typer.echo("No faults are in force.")


@app.command("bill")
def show_bill(
    cycle: Annotated[BillCycle, typer.Option(help="By started hours, or by months paid ahead.")] = BillCycle.HOURLY,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print provider_id and amount_usd alone, as CSV.")] = False,
) -> None:
    """Show what the simulated Hostwind has billed so far, deleted instances included.

    Example: penguin-infra lab bill

    Example: penguin-infra lab bill --csv | penguin-infra costs reconcile - --since 2026-01-01
    """
    answer = _ask("GET", "/lab/bill", query={"cycle": cycle.value})
    rows = _rows(answer, "instances")
    if as_csv:
        typer.echo("provider_id,amount_usd")
        for row in rows:
            typer.echo(f"{row['id']},{row['amount_usd']}")
        return
    table = Table("id", "label", "plan", "started hours", "USD", "state", caption=f"total {answer['total_usd']} USD")
    for row in rows:
        state = "deleted" if row["deleted_at"] else "running up"
        table.add_row(*(str(row[name]) for name in ("id", "label", "plan", "hours", "amount_usd")), state)
    _show(table, empty="Nothing was billed yet.")


@app.command("next-address")
def next_address() -> None:
    """Print the address that the next instance will get: list it beforehand, and see it turned down.

    Example: penguin-infra lab list-ip $(penguin-infra lab next-address)
    """
    ip = _ask("GET", "/lab/next-address")["ip"]
    if ip is None:
        _stop("no address is free: the next instance will get none")
    typer.echo(ip)


def _address_pool(told: str | None) -> AddressPool:
    if told is None:
        return LoopbackRange()
    text = Path(told).read_text() if Path(told).is_file() else told
    try:
        return GivenAddresses([IPv4Address(part) for part in re.split(r"[\s,]+", text) if part])
    except ValueError as error:
        _stop(f"--addresses: {error}")


def _reverse_dns(told: str | None, zone: str) -> ReverseDnsServer | None:
    if told is None:
        return None
    name, secret = (os.environ.get(f"LAB_REVERSE_DNS_KEY_{part}") for part in ("NAME", "SECRET"))
    try:
        key = dns.tsig.Key(name, secret) if name and secret else None
    except (ValueError, dns.exception.DNSException):
        _stop("LAB_REVERSE_DNS_KEY_NAME is no name, or LAB_REVERSE_DNS_KEY_SECRET is no base64")
    address, _, port = told.rpartition(":")
    try:
        return ReverseDnsServer(IPv4Address(address), int(port), zone, key)
    except ValueError:
        _stop(f"--reverse-dns: {told!r} is not an IPv4 address:port")


def _ask(
    method: Literal["GET", "POST", "DELETE"], path: str, body: object = None, query: Mapping[str, str] | None = None
) -> dict[str, object]:
    known = _settings()
    url = httpx.URL(str(known.hostwind_api_url or f"http://{LOOPBACK}:{known.lab_hostwind_port}"))
    if not _is_loopback(url.host):
        _stop(f"HOSTWIND_API_URL names {url.host}, not the lab: `penguin-infra lab` speaks to a simulator only")
    try:
        response = httpx.request(
            method,
            url.copy_with(path=path),
            json=body,
            params=query,
            auth=_credentials(known),
            timeout=TIMEOUT_SECONDS,
            trust_env=False,
        )
    except httpx.RequestError as error:
        _stop(f"no simulated Hostwind answers at {url.host}:{url.port} ({error}): is `penguin-infra up` running?")
    if not response.is_success:
        _stop(f"the simulated Hostwind answered {response.status_code}: {response.text[:300]}")
    answer = response.json()
    if not isinstance(answer, dict):
        _stop("what answers there is not the simulated Hostwind")
    return answer


def _settings() -> Settings:
    try:
        return settings()
    except SettingsError as error:
        _stop(str(error))


def _credentials(known: Settings) -> tuple[str, str]:
    if known.hostwind_api_key is None or known.hostwind_api_secret is None:
        _stop("HOSTWIND_API_URL, HOSTWIND_API_KEY and HOSTWIND_API_SECRET are not set: run `penguin-infra up` first")
    return known.hostwind_api_key.get_secret_value(), known.hostwind_api_secret.get_secret_value()


def _rows(answer: dict[str, object], name: str) -> list[dict[str, object]]:
    rows = answer[name]
    return rows if isinstance(rows, list) else []


def _show(table: Table, *, empty: str) -> None:
    if table.row_count:
        Console().print(table)
    else:
        typer.echo(empty)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _stop(message: str) -> NoReturn:
    typer.echo(message, err=True)
    raise typer.Exit(1)
