"""`make bench-dnsbl`: how fast a sweep asks, beside other clients, over a real rbldnsd on loopback; it fails nobody.

10,000 addresses, a tenth of them listed, on ten lists of 100,000 entries. Slow peers are asked about fewer addresses,
so that the whole takes a minute; the questions are the same. dnsperf, in C and without any meaning, is the limit.
"""

import argparse
import json
import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from rich.console import Console
from rich.table import Table

from penguin_infra.dnsbl.catalogue import load_catalogue
from penguin_infra_tests.benchmarks import dnsbl_client
from penguin_infra_tests.blacklist_servers import BlacklistServer
from penguin_infra_tests.server_process import find_program

BUDGET_RATE = 10_000
BUDGET_CPU_MICROSECONDS = 60
BUDGET_RATIOS = {"pydnsbl": 2.5, "dns.asyncresolver": 10.0}

ENTRIES = 100_000
ADDRESSES = 10_000
LISTED_SHARE = 0.1
ZONES = [f"list{number}.test" for number in range(10)]

# Addresses that each peer is asked about: some ten seconds' worth.
_PEERS = {"pydnsbl": 4_000, "aiodns": 4_000, "dns.asyncresolver": 800}
# A single run of a few seconds is at the mercy of its neighbours.
_RUNS_OF_OURS = 3
_LONGEST_RUN_SECONDS = 180


@dataclass(frozen=True, slots=True)
class Cost:
    """What one client's questions took; `lost`: without an answer that can be used."""

    questions: int
    seconds: float
    cpu_seconds: float
    listed: int
    lost: int

    @property
    def per_second(self) -> float:
        """Questions a second."""
        return self.questions / self.seconds

    @property
    def cpu_microseconds(self) -> float:
        """CPU time of the client for a question, the kernel's on its behalf included."""
        return self.cpu_seconds / self.questions * 1e6


class HugeList(BlacklistServer):
    """rbldnsd with ten lists of the same many entries, and no log of questions that would slow it."""

    def __init__(self, directory: Path, entries: Sequence[IPv4Address]) -> None:
        super().__init__(directory, load_catalogue().select()[:1])
        self._entries = entries

    def prepare(self) -> None:
        """The test point and the entries, each with the same code."""
        super().prepare()
        start = "$SOA 60 ns.list.test hostmaster.list.test 1 3600 600 86400 60\n$NS 60 ns.list.test\n"
        lines = [":127.0.0.2:listed", "127.0.0.2", *map(str, self._entries)]
        file = self.directory / "entries"
        file.write_text(start + "\n".join(lines) + "\n")
        file.chmod(0o644)

    def arguments(self) -> Sequence[str]:
        """In the foreground, and the same file for each list."""
        first = next(iter(self.zones))
        return ("-n", "-c", "0", "-b", f"{self.address}/{self.port}", *(f"{zone}:ip4set:entries" for zone in ZONES),
                f"{first}:ip4set:entries")  # fmt: skip


def measure_dnsbl_rate(directory: Path, peers_python: str) -> Iterator[tuple[str, Cost | str]]:
    """Each client with its cost, or why it has none."""
    generator = random.Random(5)
    first = int(IPv4Address("10.0.0.0"))
    entries = [IPv4Address(first + offset) for offset in generator.sample(range(1 << 22), ENTRIES)]
    listed = round(ADDRESSES * LISTED_SHARE)
    clean = [IPv4Address("172.16.0.0") + number for number in range(ADDRESSES - listed)]
    addresses = [*entries[:listed], *clean]
    generator.shuffle(addresses)
    file = directory / "addresses"
    file.write_text("\n".join(map(str, addresses)) + "\n")
    with HugeList(directory / "rbldnsd", entries) as server:
        runs = [_run(sys.executable, "ours", server.port, file, ADDRESSES) for _ in range(_RUNS_OF_OURS)]
        yield "ours", _median([run for run in runs if isinstance(run, Cost)]) or str(runs[0])
        for name, count in _PEERS.items():
            # dnspython is the project's own.
            python = sys.executable if name == "dns.asyncresolver" else peers_python
            yield name, _run(python, name, server.port, file, count)
        yield "dnsperf (the limit)", _run_dnsperf(server.port, directory, addresses)


def _median(runs: Sequence[Cost]) -> Cost | None:
    middle = statistics.median_low([run.per_second for run in runs]) if runs else None
    return next((run for run in runs if run.per_second == middle), None)


def _run(python: str, client: str, port: int, addresses: Path, count: int) -> Cost | str:
    options = ["--port", str(port), "--addresses", str(addresses), "--count", str(count), "--zones", *ZONES]
    # The peers' environment has no part of the project: by its file, and not as a module.
    how = ["-m", dnsbl_client.__name__] if python == sys.executable else [str(Path(dnsbl_client.__file__))]
    try:
        done = subprocess.run(
            [python, *how, client, *options], capture_output=True, text=True, timeout=_LONGEST_RUN_SECONDS, check=False
        )
    except FileNotFoundError:
        return "no environment of the peers: `make bench-dnsbl` makes it"
    except subprocess.TimeoutExpired:
        return f"not done after {_LONGEST_RUN_SECONDS} s"
    if "ModuleNotFoundError" in done.stderr:
        return f"not installed: {done.stderr.strip().splitlines()[-1]}"
    if done.returncode != 0:
        return (done.stderr.strip().splitlines() or ["it failed without a word"])[-1]
    return Cost(**json.loads(done.stdout))


def _run_dnsperf(port: int, directory: Path, addresses: Sequence[IPv4Address]) -> Cost | str:
    program = find_program("dnsperf")
    if program is None:
        return "not installed: apt-get install dnsperf"
    names = [
        f"{address.reverse_pointer.removesuffix('.in-addr.arpa')}.{zone}" for address in addresses for zone in ZONES
    ]
    questions = directory / "questions"
    questions.write_text("".join(f"{name} A\n" for name in names))
    options = ["-s", "127.0.0.1", "-p", str(port), "-d", str(questions), "-n", "1", "-q", str(dnsbl_client.IN_FLIGHT)]
    before = os.times()
    done = subprocess.run(
        [program, *options], capture_output=True, text=True, timeout=_LONGEST_RUN_SECONDS, check=False
    )
    after = os.times()
    cpu_seconds = after.children_user + after.children_system - before.children_user - before.children_system
    figures = dict(re.findall(r"^\s+(Queries \w+|Run time \(s\)):\s+([\d.]+)", done.stdout, re.MULTILINE))
    codes = dict(re.findall(r"(\w+) (\d+) \(", done.stdout))
    if "Queries sent" not in figures:
        return (done.stderr.strip().splitlines() or ["dnsperf printed no figures"])[-1]
    return Cost(
        int(figures["Queries sent"]),
        float(figures["Run time (s)"]),
        cpu_seconds,
        int(codes.get("NOERROR", 0)),
        int(figures["Queries lost"]),
    )


def _table(costs: dict[str, Cost | str]) -> Table:
    ours = costs["ours"]
    table = Table(
        "client", "questions", "questions/s", "CPU µs a question", "listed", "lost", "ours is … times as fast"
    )
    for name, cost in costs.items():
        if isinstance(cost, str):
            table.add_row(name, "-", cost, "-", "-", "-", "-")
            continue
        ratio = f"{ours.per_second / cost.per_second:.2f}" if isinstance(ours, Cost) else "-"
        table.add_row(
            name, f"{cost.questions:,}", f"{cost.per_second:,.0f}", f"{cost.cpu_microseconds:.1f}",
            f"{cost.listed:,}", f"{cost.lost:,}", ratio,
        )  # fmt: skip
    return table


def _budgets(costs: dict[str, Cost | str]) -> Iterator[tuple[str, bool]]:
    ours = costs["ours"]
    if isinstance(ours, str):
        yield f"ours could not be measured: {ours}", False
        return
    yield f"at least {BUDGET_RATE:,} questions a second", ours.per_second >= BUDGET_RATE
    yield f"at most {BUDGET_CPU_MICROSECONDS} µs of CPU a question", ours.cpu_microseconds <= BUDGET_CPU_MICROSECONDS
    expected = round(ADDRESSES * LISTED_SHARE) * len(ZONES)
    yield f"no question lost, and {expected:,} listed", ours.lost == 0 and ours.listed == expected
    for name, ratio in BUDGET_RATIOS.items():
        peer = costs[name]
        is_kept = isinstance(peer, Cost) and ours.per_second >= ratio * peer.per_second
        yield f"at least {ratio:g} times {name}'s rate" + ("" if isinstance(peer, Cost) else ": not measured"), is_kept


def main() -> None:
    """Measure and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", default=".venv-bench/bin/python", help="The Python of the peers' environment.")
    told = parser.parse_args()
    if HugeList.find_binary() is None:
        sys.exit("rbldnsd is not installed, and nothing else serves a list as large: apt-get install rbldnsd")
    console = Console(width=None if os.isatty(1) else 140)
    costs: dict[str, Cost | str] = {}
    with tempfile.TemporaryDirectory(prefix="penguin-bench-") as folder:
        directory = Path(folder)
        for name, cost in measure_dnsbl_rate(directory, told.peers):
            console.print(f"{name} ...")
            costs[name] = cost
    console.print(_table(costs))
    for words, is_within in _budgets(costs):
        console.print(f"{'yes' if is_within else 'NO '}  {words}")


if __name__ == "__main__":
    main()
