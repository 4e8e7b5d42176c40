"""`python -m penguin_infra`: the command `penguin-infra`, for processes that know only their interpreter."""

from penguin_infra.cli.main import app

app()
