"""Analysts' logins: members of the role that reads, each with a password of its own. What they read is the role's.

Passwords are made elsewhere, and never stand in a statement: a server's log holds no more of them than its catalogue.

    AnalystError
    ├── AnalystNameTaken    a role of that name exists and is no analyst's
    ├── AnalystNotFound     no analyst has that name
    └── AnalystsNotAllowed  the fleet's own role may not do it: the server's administrator must
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.store.analyst_role import ANALYST_ROLE, INSUFFICIENT_PRIVILEGE, sqlstate_of

_STILL_DEPENDED_ON = "2BP01"
_UNDEFINED_OBJECT = "42704"

# A tool that opens too many connections must not take the fleet's own.
_MOST_CONNECTIONS = 10

# Against mistakes and forgotten windows: a query without an end, a transaction that holds up vacuum. Settings of the
# role itself would not reach its members.
_SETTINGS = {
    "default_transaction_read_only": "on",
    "statement_timeout": "60s",
    "idle_in_transaction_session_timeout": "60s",
}

# A role that may do more than read is no analyst's, whatever it is a member of: its password is not ours to set.
_ROLES = text("""
SELECT rolname AS name,
    NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)
    AND (SELECT coalesce(bool_and(granted.rolname = :role), false)
        FROM pg_auth_members JOIN pg_roles AS granted ON granted.oid = roleid WHERE member = one.oid) AS is_analyst
FROM pg_roles AS one ORDER BY rolname
""")

_END_SESSIONS = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = :name")


class AnalystError(Exception):
    """An analyst could not be let in or out; the message says what to do."""


class AnalystNameTaken(AnalystError):
    """A role of that name exists, and is no analyst's."""


class AnalystNotFound(AnalystError):
    """No analyst has that name."""


class AnalystsNotAllowed(AnalystError):
    """The connection's role may not make roles, or give this one on."""


def save_login(connection: Connection, name: str, password: str) -> None:
    """Let an analyst log in by this password, and by no former one.

    Errors: `AnalystNameTaken`, `AnalystsNotAllowed`.
    """
    roles = _are_analysts(connection)
    if not roles.get(name, True):
        raise AnalystNameTaken(f"a role named {name} exists and is no analyst's: choose another name")
    verifier = _verifier(connection, name, password)
    with _allowed(name):
        for statement in login_statements(name, verifier, is_new=name not in roles):
            _run(connection, statement)


def end_login(connection: Connection, name: str) -> bool:
    """Let an analyst in no more, and end their sessions; False where the role itself stays, for what it holds.

    Errors: `AnalystNotFound`, `AnalystsNotAllowed`.
    """
    known = [each for each, is_analyst in _are_analysts(connection).items() if is_analyst]
    if name not in known:
        raise AnalystNotFound(f"no analyst is named {name}; there are: {', '.join(known) or 'none'}")
    with _allowed(name):
        _run(connection, f'REVOKE {ANALYST_ROLE} FROM "{name}"')
        _run(connection, f'ALTER ROLE "{name}" NOLOGIN PASSWORD NULL')
    # Where that is not allowed, they live on and read nothing any more.
    _unless(connection, INSUFFICIENT_PRIVILEGE, lambda: connection.execute(_END_SESSIONS, {"name": name}))
    return _unless(connection, _STILL_DEPENDED_ON, lambda: _run(connection, f'DROP ROLE "{name}"'))


def login_statements(name: str, password: str, *, is_new: bool) -> Iterator[str]:
    """An analyst's login as statements; `name` has letters, digits and underscores only, `password` no quote."""
    verb = "CREATE" if is_new else "ALTER"
    yield f"{verb} ROLE \"{name}\" LOGIN PASSWORD '{password}' CONNECTION LIMIT {_MOST_CONNECTIONS}"
    yield f'GRANT {ANALYST_ROLE} TO "{name}"'
    for setting, value in _SETTINGS.items():
        yield f"ALTER ROLE \"{name}\" SET {setting} = '{value}'"


def _are_analysts(connection: Connection) -> dict[str, bool]:
    return {row.name: row.is_analyst for row in connection.execute(_ROLES, {"role": ANALYST_ROLE})}


def _verifier(connection: Connection, name: str, password: str) -> str:
    """What the server keeps in the password's place (SCRAM), so that it never sees the password itself."""
    driver = connection.connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that just read roles has its driver's
    made: bytes = driver.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256")
    return made.decode()


@contextmanager
def _allowed(name: str) -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        if sqlstate_of(error) not in {INSUFFICIENT_PRIVILEGE, _UNDEFINED_OBJECT}:
            raise
        cause = str(error.orig).strip().splitlines()[0]
        raise AnalystsNotAllowed(
            f"the fleet's own role may not change the login of {name} ({cause}): let the server's administrator run "
            f"what `penguin-infra db analyst {name} --sql` prints, or drop the role"
        ) from None


def _unless(connection: Connection, sqlstate: str, act: Callable[[], object]) -> bool:
    """Do that, and leave all as it was where it fails for this cause; whether it was done."""
    try:
        with connection.begin_nested():
            act()
    except DBAPIError as error:
        if sqlstate_of(error) != sqlstate:
            raise
        return False
    return True


def _run(connection: Connection, statement: str) -> None:
    connection.exec_driver_sql(statement, execution_options={"no_parameters": True})
