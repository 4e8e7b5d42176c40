"""Which scenario each lab node plays, kept in one file: a restart of the process changes nobody's behaviour."""

import json
from collections.abc import Mapping
from pathlib import Path

from penguin_infra.lab.node_moods import Scenario
from penguin_infra.lab.private_files import write_private


class ScenarioFile:
    """The scenarios by label."""

    def __init__(self, file: Path) -> None:
        self._file = file
        kept = json.loads(file.read_text()) if file.exists() else {}
        self._scenarios = {label: Scenario(name) for label, name in kept.items()}

    def of(self, label: str) -> Scenario:
        """What a node plays; one that was never told to plays nothing special."""
        return self._scenarios.get(label, Scenario.CALM)

    def keep(self, played: Mapping[str, Scenario]) -> None:
        """Write down what these play now, if it is news."""
        after = {**self._scenarios, **played}
        if after != self._scenarios:
            self._scenarios = after
            write_private(self._file, json.dumps(after))

    def forget(self, label: str) -> None:
        """The node is gone: another of its label begins afresh."""
        if self._scenarios.pop(label, None) is not None:
            write_private(self._file, json.dumps(self._scenarios))
