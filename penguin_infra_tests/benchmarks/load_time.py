"""How long the definitions take to load beyond `import dagster`, beside a code location with one empty asset."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

BUDGET_SECONDS = 1.0
_REPEATS = 9

_MEASURE = """
import time
import warnings; warnings.simplefilter("ignore")
import dagster
began = time.perf_counter()
{load}
print(time.perf_counter() - began)
"""

_OURS = "import penguin_infra.definitions as location; location.defs.get_repository_def()"
_EMPTY = """
@dagster.asset
def nothing() -> None: ...
dagster.Definitions(assets=[nothing]).get_repository_def()
"""


@dataclass(frozen=True, slots=True)
class LoadTime:
    """Median seconds beyond `import dagster`."""

    ours: float
    one_empty_asset: float


def measure_load_time(home: Path) -> LoadTime:
    """Load both in fresh processes, in turn."""
    ours, empty = [], []
    for _ in range(_REPEATS):
        empty.append(_seconds(_EMPTY, home))
        ours.append(_seconds(_OURS, home))
    return LoadTime(median(ours), median(empty))


def _seconds(load: str, home: Path) -> float:
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE.format(load=load)],
        env={"PATH": "/usr/bin:/bin", "PENGUIN_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout)
