"""The agent as a process: its arguments, its log on stderr, its signals and exit codes. Nothing else knows these."""

import argparse
import logging
import signal
import sqlite3
import sys
import threading
from pathlib import Path

from penguin_infra.agent.agent import Agent, Ended
from penguin_infra.agent.config import AGENT_VERSION, ConfigRefused, read_config

# sysexits.h: a service manager restarts on the first (`Restart=on-failure`) and is to leave the second alone
# (`RestartPreventExitStatus=78`), since only a person can mend a configuration.
EXIT_RESTART = 75
EXIT_CONFIG = 78


def main(arguments: list[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT, or until told to restart; the exit code."""
    parser = argparse.ArgumentParser(prog="penguin-agent", description="Reports a mail node's state and deliveries.")
    parser.add_argument("--config", type=Path, default=Path("/etc/penguin-agent/config.json"), help="JSON settings")
    parser.add_argument("--check", action="store_true", help="read the settings and the token, and end")
    parser.add_argument("--version", action="version", version=f"penguin-agent {AGENT_VERSION}")
    options = parser.parse_args(arguments)
    # Without a time: the journal gives each line its own.
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s", stream=sys.stderr)
    try:
        agent = Agent(read_config(options.config))
    except ConfigRefused as refused:
        print(f"penguin-agent: {refused}", file=sys.stderr)
        return EXIT_CONFIG
    if options.check:
        print("the settings and the token can be used")
        return 0
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        return EXIT_RESTART if agent.run(stop) is Ended.RESTART else 0
    except (OSError, sqlite3.Error) as error:
        print(f"penguin-agent: cannot open the spool: {error}", file=sys.stderr)
        return EXIT_RESTART


if __name__ == "__main__":
    sys.exit(main())
