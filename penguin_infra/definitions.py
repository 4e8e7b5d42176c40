"""What Dagster loads: settings -> wiring -> definitions; nothing else."""

from penguin_infra.defs.build import build_definitions
from penguin_infra.settings import settings
from penguin_infra.wiring import Wiring

defs = build_definitions(Wiring(settings(), application_name="penguin-infra-dagster"))
