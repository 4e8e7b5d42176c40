"""One client asks some lists about some addresses and says what that cost: a process for each in `dnsbl_rate.py`.

It runs by the client's own Python, of the project or of the peers' environment, and imports nothing but that client.
What it does before its first question, imports among it, is not counted.
"""

# ruff: noqa: PLC0415 - each client needs its own packages, and no other has them

import argparse
import asyncio
import gc
import json
import os
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from importlib import import_module
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

# What rbldnsd takes without losing any; more made no peer faster.
IN_FLIGHT = 100

# Answers with addresses, and questions without an answer that can be used.
Found = tuple[int, int]
Client = Callable[[Sequence[str], Sequence[str], int], Found]


def ask_with_ours(addresses: Sequence[str], zones: Sequence[str], port: int) -> Found:
    """One sweep, test points included: they are not counted as questions, but their time is."""
    from penguin_infra.dnsbl.asking import Asking
    from penguin_infra.dnsbl.catalogue import parse_catalogue
    from penguin_infra.dnsbl.resolvers import Resolver
    from penguin_infra.dnsbl.sweep import sweep
    from penguin_infra.domain.listing import Verdict

    lists = parse_catalogue("\n".join(map(_as_toml, zones))).select()
    about = [IPv4Address(address) for address in addresses]
    with _measuring():
        found = sweep(
            [Asking(one, about) for one in lists], [Resolver("127.0.0.1", port)], clock=lambda: datetime.now(UTC)
        )
    assert found.quarantined == ()
    verdicts = [one.verdict for one in found.observations]
    lost = len(addresses) * len(zones) - len(verdicts) + verdicts.count(Verdict.ERROR)
    return verdicts.count(Verdict.LISTED), lost


def ask_with_pydnsbl(addresses: Sequence[str], zones: Sequence[str], port: int) -> Found:
    """As its documentation shows; only its resolver is told where to ask."""
    aiodns, pydnsbl, providers = map(_peer, ("aiodns", "pydnsbl", "pydnsbl.providers"))
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    checker = pydnsbl.DNSBLIpChecker([providers.Provider(zone) for zone in zones], concurrency=IN_FLIGHT, loop=loop)
    checker._resolver = aiodns.DNSResolver(["127.0.0.1"], loop=loop, timeout=5, tries=2, udp_port=port, tcp_port=port)
    with _measuring():
        results = checker.bulk_check(list(addresses))
    return sum(len(one.detected_by) for one in results), sum(len(one.failed_providers) for one in results)


def ask_with_aiodns(addresses: Sequence[str], zones: Sequence[str], port: int) -> Found:
    """c-ares below asyncio, which pydnsbl uses too, without the latter's objects."""
    aiodns = _peer("aiodns")

    async def ask_all() -> Found:
        resolver = aiodns.DNSResolver(["127.0.0.1"], timeout=5, tries=2, udp_port=port, tcp_port=port)

        async def ask(name: str) -> bool | None:
            try:
                return bool(await resolver.query(name, "A"))
            except aiodns.error.DNSError as error:
                return False if error.args[0] == aiodns.error.ARES_ENOTFOUND else None

        return await _ask_all(addresses, zones, ask)

    return asyncio.run(ask_all())


def ask_with_asyncresolver(addresses: Sequence[str], zones: Sequence[str], port: int) -> Found:
    """dnspython's own resolver."""
    import dns.asyncresolver
    import dns.exception
    import dns.resolver

    async def ask_all() -> Found:
        resolver = dns.asyncresolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], port

        async def ask(name: str) -> bool | None:
            try:
                return bool(await resolver.resolve(name, "A", search=False))
            except dns.resolver.NXDOMAIN:
                return False
            except dns.exception.DNSException:
                return None

        return await _ask_all(addresses, zones, ask)

    return asyncio.run(ask_all())


CLIENTS: dict[str, Client] = {
    "ours": ask_with_ours,
    "pydnsbl": ask_with_pydnsbl,
    "aiodns": ask_with_aiodns,
    "dns.asyncresolver": ask_with_asyncresolver,
}


async def _ask_all(
    addresses: Sequence[str], zones: Sequence[str], ask: Callable[[str], Awaitable[bool | None]]
) -> Found:
    """A fixed crew takes the names from one queue."""
    names = iter([f"{_reverse(address)}.{zone}" for address in addresses for zone in zones])
    answers: list[bool | None] = []

    async def work(queue: Iterator[str]) -> None:
        for name in queue:
            answers.append(await ask(name))  # noqa: PERF401 - one after another, that is the point

    with _measuring():
        await asyncio.gather(*(work(names) for _ in range(IN_FLIGHT)))
    return answers.count(True), answers.count(None)


class _measuring:  # noqa: N801 - reads as what it does
    """Notes the seconds and the CPU time, its own and the kernel's, of what happens inside."""

    seconds = 0.0
    cpu_seconds = 0.0

    def __enter__(self) -> None:
        gc.collect()
        self._from = (time.perf_counter(), os.times())

    def __exit__(self, *_: object) -> None:
        began, before = self._from
        now = os.times()
        _measuring.seconds = time.perf_counter() - began
        _measuring.cpu_seconds = now.user + now.system - before.user - before.system


def _peer(name: str) -> Any:
    """A package that the project has no types of."""
    return import_module(name)


def _reverse(address: str) -> str:
    return ".".join(reversed(address.split(".")))


def _as_toml(zone: str) -> str:
    return f"""
[[lists]]
zone = "{zone}"
name = "{zone}"
operator = "bench"
codes = [{{ code = "127.0.0.2", meaning = "listed", severity = "high" }}]
evidence = "bench"
checked_on = 2026-11-24
"""


def main() -> None:
    """Ask, and print the costs as JSON."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("client", choices=CLIENTS)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--addresses", type=Path, required=True, help="A file, an address a line.")
    parser.add_argument("--count", type=int, required=True, help="So many of them.")
    parser.add_argument("--zones", nargs="+", required=True)
    told = parser.parse_args()
    addresses = told.addresses.read_text().split()[: told.count]
    listed, lost = CLIENTS[told.client](addresses, told.zones, told.port)
    cost = {"seconds": _measuring.seconds, "cpu_seconds": _measuring.cpu_seconds, "listed": listed, "lost": lost}
    print(json.dumps({"questions": len(addresses) * len(told.zones), **cost}))


if __name__ == "__main__":
    main()
