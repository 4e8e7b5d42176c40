"""What the lab's customers ask of its nodes, kept in one file: a restart of the process changes nobody's demand.

Usually as much of each node as it always sent. Once that was raised, one sum for all: a node more relieves the others.
"""

import json
from pathlib import Path

from penguin_infra.lab.private_files import write_private

# Beyond that a node's log is all that this machine writes.
MOST_PERCENT = 500


class Customers:
    """`percent`: how much more than usual is asked for, of as many nodes as served when it was first raised."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = json.loads(file.read_text()) if file.exists() else {}
        self.percent = int(kept.get("percent", 0))
        self._nodes = int(kept.get("nodes", 0))

    @property
    def is_raised(self) -> bool:
        """Whether more than usual is asked for."""
        return self.percent > 0

    def factor(self, serving: int) -> float:
        """What each of so many serving nodes is asked for, as a multiple of its usual rate."""
        if not self.is_raised or not serving:
            return 1.0
        return self._nodes * (1 + self.percent / 100) / serving

    def ask(self, percent: int, serving: int) -> None:
        """Ask for so much more than usual from now on; 0: as usual, of every node that serves by then."""
        self._nodes = (self._nodes if self.is_raised else serving) if percent else 0
        self.percent = percent
        write_private(self._file, json.dumps({"percent": self.percent, "nodes": self._nodes}))
