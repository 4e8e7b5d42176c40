"""`python -m penguin_infra_tests.hosts`: bare hosts to develop against, up until Ctrl-C or SIGTERM.

With `--clear` none is started: what killed processes left of theirs is taken away.
"""

import argparse
import signal
import sys
from types import FrameType

from penguin_infra_tests.hosts.abandoned import clear_abandoned
from penguin_infra_tests.hosts.pool import host_pool
from penguin_infra_tests.hosts.requirements import missing_parts
from penguin_infra_tests.hosts.ssh_access import key_pair


def main() -> int:
    """Boot as many as asked for, print how to reach each, wait for the signal, leave nothing."""
    parser = argparse.ArgumentParser(prog="python -m penguin_infra_tests.hosts", description=__doc__)
    parser.add_argument("--count", type=int, default=1, help="how many hosts (default: 1)")
    parser.add_argument("--clear", action="store_true", help="take away what killed runs left; fails if that was any")
    chosen = parser.parse_args()
    if chosen.clear:
        return _clear()
    if missing := missing_parts():
        print(f"No hosts can run here: {'; '.join(missing)}", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, _interrupt)
    return _keep_up(chosen.count)


def _clear() -> int:
    cleared = clear_abandoned()
    for name in cleared:
        print(f"left behind by a killed run, and taken away: {name}", file=sys.stderr)
    return 1 if cleared else 0


def _keep_up(count: int) -> int:
    private_key, _ = key_pair()
    try:
        with host_pool() as pool:
            for host in pool.start_hosts(count):
                known = host.ssh.known_hosts
                print(f"{host.name}  address {host.address}  gateway {host.gateway}  key {private_key}", flush=True)
                print(f"  ssh -i {private_key} -o UserKnownHostsFile={known} root@{host.address}", flush=True)
            print("Ctrl-C ends them.", flush=True)
            signal.pause()
    except KeyboardInterrupt:
        return 0
    return 0


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
