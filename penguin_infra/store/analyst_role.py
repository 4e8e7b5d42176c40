"""The role by which people read the tables made for them, and nothing else. Who is in it is `analyst_logins.py`'s.

The role belongs to the whole server, what it may read to this database.
"""

from collections.abc import Iterator

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from penguin_infra.store.analytics_tables import ANALYTICS_SCHEMA
from penguin_infra.store.capacity_tables import sending_allowances
from penguin_infra.store.tables import SCHEMA, sending_rotation
from penguin_infra.store.telemetry_tables import silent_nodes

ANALYST_ROLE = "penguin_analyst"

# PostgreSQL's word for "you may not".
INSUFFICIENT_PRIVILEGE = "42501"

# None of them shows more than a node's names, place and figures. Another view is not read before it stands here.
_FLEET_VIEWS = (sending_rotation, sending_allowances, silent_nodes)

# Another database of the same server may make it at the same moment.
_CREATE = f"""DO $$ BEGIN
    CREATE ROLE {ANALYST_ROLE} NOLOGIN;
EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL;
END $$"""

_STATE = text("""
SELECT to_regnamespace(:analytics) IS NOT NULL AS has_schema,
    EXISTS (SELECT FROM pg_roles WHERE rolname = :role) AS has_role
""")

# To grant anew what is granted would write to the catalogue at every start.
_IS_GRANTED = text("""
SELECT has_schema_privilege(:role, :fleet, 'USAGE') AND has_schema_privilege(:role, :analytics, 'USAGE')
AND NOT EXISTS (
    SELECT FROM pg_class AS relation JOIN pg_namespace ON pg_namespace.oid = relnamespace
    WHERE (nspname = :analytics OR nspname = :fleet AND relname = ANY (:views)) AND relkind IN ('r', 'p', 'v', 'm')
      AND NOT has_table_privilege(:role, relation.oid, 'SELECT'))
AND EXISTS (
    SELECT FROM pg_default_acl JOIN pg_namespace ON pg_namespace.oid = defaclnamespace
    CROSS JOIN LATERAL aclexplode(defaclacl) AS given JOIN pg_roles AS grantee ON grantee.oid = given.grantee
    WHERE nspname = :analytics AND defaclobjtype = 'r' AND pg_get_userbyid(defaclrole) = current_user
      AND grantee.rolname = :role AND privilege_type = 'SELECT')
""")


def let_analysts_read(connection: Connection) -> bool:
    """Make the role where it is missing, and give it what it may read; False where the fleet's own role may not.

    A schema of before the tables that analysts read has nothing to give, and all is well.
    """
    state = connection.execute(_STATE, {"analytics": ANALYTICS_SCHEMA, "role": ANALYST_ROLE}).one()
    if not state.has_schema:
        return True
    try:
        with connection.begin_nested():
            if not state.has_role:
                connection.execute(text(_CREATE))
            if not _is_granted(connection):
                for statement in _privileges():
                    connection.execute(text(statement))
    except DBAPIError as error:
        if sqlstate_of(error) != INSUFFICIENT_PRIVILEGE:
            raise
        return False
    # What is granted by somebody who may not is told by a notice only.
    return _is_granted(connection)


def role_statements(owner: str | None = None) -> tuple[str, ...]:
    """The role and what it may read, as statements for somebody else to run; `owner`: who makes the fleet's tables."""
    return (_CREATE, *_privileges(owner))


def sqlstate_of(error: DBAPIError) -> str | None:
    """PostgreSQL's code of what went wrong."""
    return getattr(error.orig, "sqlstate", None)


def _privileges(owner: str | None = None) -> Iterator[str]:
    for_owner = f'FOR ROLE "{owner}" ' if owner else ""
    yield f"GRANT USAGE ON SCHEMA {SCHEMA}, {ANALYTICS_SCHEMA} TO {ANALYST_ROLE}"
    yield f"GRANT SELECT ON ALL TABLES IN SCHEMA {ANALYTICS_SCHEMA} TO {ANALYST_ROLE}"
    yield f"ALTER DEFAULT PRIVILEGES {for_owner}IN SCHEMA {ANALYTICS_SCHEMA} GRANT SELECT ON TABLES TO {ANALYST_ROLE}"
    yield f"GRANT SELECT ON {', '.join(view.fullname for view in _FLEET_VIEWS)} TO {ANALYST_ROLE}"


def _is_granted(connection: Connection) -> bool:
    parameters = {
        "role": ANALYST_ROLE,
        "fleet": SCHEMA,
        "analytics": ANALYTICS_SCHEMA,
        "views": [view.name for view in _FLEET_VIEWS],
    }
    return bool(connection.scalar(_IS_GRANTED, parameters))
