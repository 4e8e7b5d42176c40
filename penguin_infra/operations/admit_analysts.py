"""Let people read what was made for them, each by a login of their own, and let them in no more.

The password is returned once and kept by the server alone, as what it checks it by.
"""

import re
from secrets import token_urlsafe

from sqlalchemy import Connection

from penguin_infra.operations.request_nodes import BadRequest
from penguin_infra.store import analyst_logins

# PostgreSQL cuts longer names, keeps pg_ for itself, and folds capitals in some tools and not in others.
_NAME = re.compile(r"^(?!pg_)[a-z][a-z0-9_]{0,62}\Z")
_SECRET_BYTES = 32

# What stands where a password must, in statements that somebody else completes.
PASSWORD_PLACEHOLDER = "CHOOSE-A-PASSWORD"  # noqa: S105 - it stands for one


def admit_analyst(connection: Connection, name: str) -> str:
    """Make an analyst's login, or give theirs a new password; returns it.

    Errors: `BadRequest`, `AnalystNameTaken`, `AnalystsNotAllowed`.
    """
    password = token_urlsafe(_SECRET_BYTES)
    analyst_logins.save_login(connection, _checked(name), password)
    return password


def dismiss_analyst(connection: Connection, name: str) -> bool:
    """End an analyst's login and sessions; False where the server keeps the powerless role, for what it holds.

    Errors: `BadRequest`, `AnalystNotFound`, `AnalystsNotAllowed`.
    """
    return analyst_logins.end_login(connection, _checked(name))


def login_script(name: str) -> tuple[str, ...]:
    """A new analyst's login, as statements for somebody else to run; raises `BadRequest`."""
    return tuple(analyst_logins.login_statements(_checked(name), PASSWORD_PLACEHOLDER, is_new=True))


def _checked(name: str) -> str:
    if not _NAME.match(name):
        raise BadRequest(
            f"name: {name!r}: use 1 to 63 lower-case letters, digits and underscores, a letter first, no pg_"
        )
    return name
