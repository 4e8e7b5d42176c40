"""What the blacklist sweeps remember: questions spent, lists that must rest, health and listings with their history.

Revision ID: 0006
Revises: 0005
"""

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE fleet.ip_blacklist_events ADD COLUMN operator varchar(100), ADD COLUMN delist_url text,
    ADD COLUMN family varchar(50);

ALTER TABLE fleet.blacklist_states ADD COLUMN asked_at timestamptz, ADD COLUMN answered_at timestamptz;
UPDATE fleet.blacklist_states SET asked_at = updated_at, answered_at = (facts ->> 'answered_at')::timestamptz;
-- No index on what every look changes, and room beside each row: a look then rewrites a row in its own page.
ALTER TABLE fleet.blacklist_states SET (fillfactor = 50);

CREATE TABLE fleet.blacklist_observations (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ip_address inet NOT NULL,
    zone varchar(255) NOT NULL,
    change varchar(20) NOT NULL CONSTRAINT blacklist_observations_change_is_known CHECK (
        change IN ('suspected', 'confirmed', 'cleared_suspicion', 'delisted', 'changed_codes')),
    answer text NOT NULL,
    ttl_seconds integer NOT NULL,
    resolver varchar(255) NOT NULL,
    reason text,
    observed_at timestamptz NOT NULL
);
CREATE INDEX blacklist_observations_by_address ON fleet.blacklist_observations (ip_address, zone, observed_at);
CREATE INDEX blacklist_observations_by_time ON fleet.blacklist_observations (observed_at);

ALTER TABLE fleet.blacklist_health
    ADD COLUMN fault varchar(30),
    ADD COLUMN passes smallint NOT NULL DEFAULT 0,
    ADD CONSTRAINT blacklist_health_explained CHECK (is_healthy OR reason IS NOT NULL);

CREATE TABLE fleet.blacklist_health_changes (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    zone varchar(255) NOT NULL,
    resolver varchar(255) NOT NULL,
    ip_version smallint NOT NULL,
    is_healthy boolean NOT NULL,
    fault varchar(30),
    reason text,
    happened_at timestamptz NOT NULL
);
CREATE INDEX blacklist_health_changes_by_time ON fleet.blacklist_health_changes (happened_at);

CREATE TABLE fleet.blacklist_questions (
    zone varchar(255) NOT NULL,
    slot_at timestamptz NOT NULL,
    asked bigint NOT NULL CONSTRAINT blacklist_questions_not_negative CHECK (asked >= 0),
    PRIMARY KEY (zone, slot_at)
);

CREATE TABLE fleet.blacklist_paces (
    zone varchar(255) PRIMARY KEY,
    tokens double precision NOT NULL,
    filled_at timestamptz NOT NULL,
    rests_until timestamptz,
    rest_count smallint NOT NULL DEFAULT 0,
    interval_seconds double precision,
    refused_because text
);
"""

DOWN = """
DROP TABLE fleet.blacklist_paces, fleet.blacklist_questions, fleet.blacklist_health_changes,
    fleet.blacklist_observations;
ALTER TABLE fleet.blacklist_health
    DROP CONSTRAINT blacklist_health_explained, DROP COLUMN fault, DROP COLUMN passes;
ALTER TABLE fleet.blacklist_states RESET (fillfactor);
ALTER TABLE fleet.blacklist_states DROP COLUMN asked_at, DROP COLUMN answered_at;
ALTER TABLE fleet.ip_blacklist_events DROP COLUMN operator, DROP COLUMN delist_url, DROP COLUMN family;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
