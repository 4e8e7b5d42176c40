"""What the agent costs a node: CPU and memory of the zipapp in a process of its own, beside one that only sleeps.

The log grows by 20 deliveries a second, the gateway answers on loopback. `python -m
penguin_infra_tests.benchmarks.agent_budget [--seconds 600]`; it fails nobody.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from penguin_infra.agent.archive import build_archive
from penguin_infra_tests.agent.log_writer import append, delivery, removed
from penguin_infra_tests.agent.node_python import find_python_3_10
from penguin_infra_tests.agent.stub_gateway import StubGateway, StubServer

CPU_BUDGET_PERCENT = 1.0
MEMORY_BUDGET_MIB = 40.0
LINES_PER_SECOND = 20


@dataclass(frozen=True)
class Cost:
    """Of one process: percent of a core over the time, children included, and its highest resident set."""

    cpu_percent: float
    peak_mib: float


@dataclass(frozen=True)
class AgentBudget:
    """Both costs, and whether the agent did its work meanwhile."""

    agent: Cost
    sleeper: Cost
    python: str
    seconds: float
    heartbeats: int
    lines: int
    counted: int


def measure_agent_budget(folder: Path, *, seconds: float) -> AgentBudget:
    """Run the zipapp for `seconds` at its own rhythm (a heartbeat every 30 s); its start is part of the cost."""
    python = find_python_3_10() or sys.executable
    archive = build_archive(folder / "penguin-agent.pyz")
    stub = StubGateway(directive={"version": 1, "transport": "release", "hourly_allowance": 10**6})
    server = StubServer(stub)
    log, config = folder / "mail.log", folder / "config.json"
    log.touch()
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text("benchmark")
    config.write_text(json.dumps({
        "node_id": "benchmark", "gateway_url": stub.url, "token_file": str(token),
        "spool_folder": str(folder / "spool"), "mail_log": str(log),
    }))  # fmt: skip
    agent = subprocess.Popen([python, str(archive), "--config", str(config)])
    sleeper = subprocess.Popen([python, "-c", "import time; time.sleep(86400)"])
    began, lines = time.monotonic(), 0
    try:
        while (elapsed := time.monotonic() - began) < seconds:
            due = int(elapsed * LINES_PER_SECOND)
            append(log, *(line for number in range(lines, due) for line in (delivery(number), removed(number))))
            lines = due
            time.sleep(0.5)
        costs = _cost(agent.pid, seconds), _cost(sleeper.pid, seconds)
        agent.terminate()
        agent.wait(30)
        return AgentBudget(*costs, python, seconds, len(stub.heartbeats), lines, stub.total())
    finally:
        for process in (agent, sleeper):
            process.kill()
            process.wait()
        server.close()


def _cost(pid: int, seconds: float) -> Cost:
    # After the name in parentheses: utime, stime, and those of children that were waited for.
    columns = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = sum(int(column) for column in columns[11:15])
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return Cost(100 * ticks / os.sysconf("SC_CLK_TCK") / seconds, int(status["VmHWM"].split()[0]) / 1024)


def main() -> None:
    """Measure, and print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="penguin-bench-") as folder:
        found = measure_agent_budget(Path(folder), seconds=options.seconds)
    print(f"{found.seconds:.0f} s under {found.python}, {LINES_PER_SECOND} deliveries a second")
    print(f"  heartbeats {found.heartbeats}, deliveries written {found.lines}, counted by the end {found.counted}")
    print(f"  {'':24}{'agent':>8}{'budget':>8}{'sleeper':>9}")
    for name, ours, budget, peer in (
        ("CPU, % of a core", found.agent.cpu_percent, CPU_BUDGET_PERCENT, found.sleeper.cpu_percent),
        ("peak memory, MiB", found.agent.peak_mib, MEMORY_BUDGET_MIB, found.sleeper.peak_mib),
    ):
        print(f"  {name:24}{ours:8.2f}{budget:8.1f}{peer:9.2f}   {'within' if ours <= budget else 'OVER'}")


if __name__ == "__main__":
    main()
