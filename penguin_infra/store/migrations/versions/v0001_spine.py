"""The spine: nodes and their life, the ledger, provisioning, the provider's listing, blacklists, the rotation.

Revision ID: 0001
Revises:
"""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UP = """
CREATE TABLE fleet.sending_nodes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    provider_id varchar(255) UNIQUE,
    ip_address inet,
    hostname varchar(255),
    region varchar(50) NOT NULL,
    status varchar(50) NOT NULL DEFAULT 'provisioning' CONSTRAINT sending_nodes_status_is_legal CHECK (
        status IN ('provisioning', 'warming', 'active', 'paused', 'maintenance', 'decommissioned')),
    reputation_score integer NOT NULL DEFAULT 100,
    current_load integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    last_heartbeat timestamptz,
    label varchar(63) NOT NULL UNIQUE,
    plan varchar(50) NOT NULL,
    requested_by varchar(100) NOT NULL,
    hold_reason text,
    updated_at timestamptz NOT NULL DEFAULT now(),
    version integer NOT NULL DEFAULT 1,
    CONSTRAINT sending_nodes_address_in_service CHECK (
        ip_address IS NOT NULL OR status IN ('provisioning', 'decommissioned'))
);

CREATE TABLE fleet.ip_tenures (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    ip_address inet NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT ip_tenures_end_after_begin CHECK (ended_at >= began_at)
);
CREATE UNIQUE INDEX ip_tenures_one_live_an_address ON fleet.ip_tenures (ip_address) WHERE ended_at IS NULL;
CREATE INDEX ip_tenures_by_node ON fleet.ip_tenures (node_id);

CREATE TABLE fleet.node_actions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    kind varchar(30) NOT NULL,
    status varchar(20) NOT NULL CONSTRAINT node_actions_status_is_legal CHECK (
        status IN ('planned', 'running', 'succeeded', 'failed', 'refused')),
    reason text NOT NULL,
    evidence jsonb NOT NULL DEFAULT '{}',
    requested_by varchar(100) NOT NULL,
    attempt integer NOT NULL DEFAULT 1 CONSTRAINT node_actions_attempt_from_one CHECK (attempt >= 1),
    attempts jsonb NOT NULL DEFAULT '[]',
    run_id varchar(40),
    outcome text,
    refusal_rule varchar(40),
    refusal_count integer NOT NULL DEFAULT 0,
    planned_at timestamptz NOT NULL,
    retry_at timestamptz,
    dispatched_at timestamptz,
    started_at timestamptz,
    finished_at timestamptz,
    CONSTRAINT node_actions_refused_by_a_rule CHECK ((status = 'refused') = (refusal_rule IS NOT NULL)),
    CONSTRAINT node_actions_running_in_a_run CHECK (status <> 'running' OR run_id IS NOT NULL),
    CONSTRAINT node_actions_finished_or_open CHECK ((status IN ('planned', 'running')) = (finished_at IS NULL))
);
CREATE UNIQUE INDEX node_actions_one_open_a_node_and_kind ON fleet.node_actions (node_id, kind)
    WHERE status IN ('planned', 'running');
CREATE INDEX node_actions_by_node ON fleet.node_actions (node_id, kind, planned_at DESC);
CREATE INDEX node_actions_recent ON fleet.node_actions (planned_at DESC);

CREATE TABLE fleet.node_transitions (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    from_status varchar(50),
    to_status varchar(50) NOT NULL,
    event varchar(50) NOT NULL,
    reason text NOT NULL,
    requested_by varchar(100) NOT NULL,
    action_id uuid REFERENCES fleet.node_actions,
    run_id varchar(40),
    happened_at timestamptz NOT NULL
);
CREATE INDEX node_transitions_by_node ON fleet.node_transitions (node_id, id DESC);

CREATE FUNCTION fleet.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'fleet.% is append-only: % refused', TG_TABLE_NAME, TG_OP USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER node_transitions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON fleet.node_transitions
    FOR EACH STATEMENT EXECUTE FUNCTION fleet.refuse_change();

CREATE TABLE fleet.provisioning_steps (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    step varchar(40) NOT NULL,
    status varchar(20) NOT NULL CONSTRAINT provisioning_steps_status_is_legal CHECK (
        status IN ('running', 'succeeded', 'failed')),
    attempt integer NOT NULL,
    run_id varchar(40) NOT NULL,
    progress text,
    result jsonb NOT NULL DEFAULT '{}',
    error text,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    PRIMARY KEY (node_id, step)
);

CREATE TABLE fleet.provider_instances (
    provider_id varchar(255) PRIMARY KEY,
    label text NOT NULL,
    region varchar(50) NOT NULL,
    plan varchar(50) NOT NULL,
    status varchar(30) NOT NULL,
    ip_address inet,
    created_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL
);

CREATE TABLE fleet.instance_drift (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    kind varchar(30) NOT NULL CONSTRAINT instance_drift_kind_is_known CHECK (
        kind IN ('orphan', 'ghost', 'changed_address', 'changed_plan')),
    node_id uuid REFERENCES fleet.sending_nodes,
    provider_id varchar(255) NOT NULL,
    detail text NOT NULL,
    first_seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    resolved_at timestamptz
);
CREATE UNIQUE INDEX instance_drift_one_open_a_kind ON fleet.instance_drift (kind, provider_id)
    WHERE resolved_at IS NULL;

CREATE TABLE fleet.ip_blacklist_events (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid REFERENCES fleet.sending_nodes,
    blacklist_provider varchar(100) NOT NULL,
    listed_at timestamptz NOT NULL,
    delisted_at timestamptz,
    details text,
    ip_address inet NOT NULL,
    zone varchar(255) NOT NULL,
    codes text[] NOT NULL,
    reason text,
    severity varchar(20) NOT NULL CONSTRAINT ip_blacklist_events_severity_is_known CHECK (
        severity IN ('critical', 'high', 'medium', 'low', 'policy', 'informational')),
    suspected_at timestamptz NOT NULL,
    CONSTRAINT ip_blacklist_events_confirmed_after_suspicion CHECK (listed_at >= suspected_at),
    CONSTRAINT ip_blacklist_events_delisted_after_listed CHECK (delisted_at >= listed_at)
);
CREATE UNIQUE INDEX ip_blacklist_events_one_open_an_address_and_zone
    ON fleet.ip_blacklist_events (ip_address, zone) WHERE delisted_at IS NULL;
CREATE INDEX ip_blacklist_events_by_node ON fleet.ip_blacklist_events (node_id);

CREATE TABLE fleet.blacklist_states (
    ip_address inet NOT NULL,
    zone varchar(255) NOT NULL,
    state varchar(20) NOT NULL CONSTRAINT blacklist_states_state_is_known CHECK (
        state IN ('clean', 'suspect', 'listed')),
    since timestamptz NOT NULL,
    facts jsonb NOT NULL,
    updated_at timestamptz NOT NULL,
    PRIMARY KEY (ip_address, zone)
);

CREATE TABLE fleet.blacklist_health (
    zone varchar(255) NOT NULL,
    resolver varchar(255) NOT NULL,
    ip_version smallint NOT NULL,
    is_healthy boolean NOT NULL,
    reason text,
    since timestamptz NOT NULL,
    checked_at timestamptz NOT NULL,
    PRIMARY KEY (zone, resolver, ip_version)
);

CREATE TABLE fleet.blacklist_freezes (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    zone varchar(255) NOT NULL,
    reason text NOT NULL,
    frozen_at timestamptz NOT NULL,
    lifted_at timestamptz,
    lifted_by varchar(100)
);
CREATE UNIQUE INDEX blacklist_freezes_one_open_a_zone ON fleet.blacklist_freezes (zone) WHERE lifted_at IS NULL;

CREATE TABLE fleet.fleet_switches (
    name varchar(30) PRIMARY KEY,
    value text NOT NULL,
    set_by varchar(100) NOT NULL,
    set_at timestamptz NOT NULL
);

-- A run proves that it lives by a session lock of this key, which PostgreSQL drops when the session dies. A run id is
-- a random UUID: its first 32 bits are key enough among the few runs alive at a time. 1346719303 is "PENG".
CREATE FUNCTION fleet.run_lock_key(run_id text) RETURNS integer LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT ('x' || left(replace(run_id, '-', ''), 8))::bit(32)::int
$$;
CREATE FUNCTION fleet.run_lock_holder(run_id text) RETURNS integer LANGUAGE sql STABLE STRICT AS $$
    SELECT pid FROM pg_locks
    WHERE locktype = 'advisory' AND granted AND objsubid = 2 AND classid = 1346719303
      AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
      AND objid = fleet.run_lock_key(run_id)::oid
$$;

CREATE VIEW fleet.sending_rotation AS
SELECT node.id AS node_id, node.label, node.ip_address, node.hostname, node.region, node.plan, node.status
FROM fleet.sending_nodes AS node
WHERE node.status IN ('warming', 'active')
  AND NOT EXISTS (
      SELECT FROM fleet.ip_blacklist_events AS event
      WHERE event.ip_address = node.ip_address AND event.delisted_at IS NULL
        AND event.severity IN ('critical', 'high'));
"""

DOWN = """
DROP VIEW fleet.sending_rotation;
DROP TABLE fleet.fleet_switches, fleet.blacklist_freezes, fleet.blacklist_health, fleet.blacklist_states,
    fleet.ip_blacklist_events, fleet.instance_drift, fleet.provider_instances, fleet.provisioning_steps,
    fleet.node_transitions, fleet.node_actions, fleet.ip_tenures, fleet.sending_nodes;
DROP FUNCTION fleet.refuse_change(), fleet.run_lock_holder(text), fleet.run_lock_key(text);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
