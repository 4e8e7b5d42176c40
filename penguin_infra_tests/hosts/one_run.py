"""One run of a node's job in this process, as Dagster makes it: `python -m ...hosts.one_run KIND ACTION_ID`."""

import sys

import dagster as dg

from penguin_infra.defs.build import build_definitions
from penguin_infra.defs.remediation.ticks import ACTION_TAG
from penguin_infra.settings import read_settings
from penguin_infra.wiring import Wiring


def main() -> None:
    kind, action_id = sys.argv[1:]
    job = build_definitions(Wiring(read_settings())).resolve_job_def(kind)
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, tags={ACTION_TAG: action_id}, raise_on_error=False)
    sys.exit(0 if result.success else 1)


if __name__ == "__main__":
    main()
