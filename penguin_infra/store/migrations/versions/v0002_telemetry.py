"""Telemetry: tokens and keys, heartbeats and the gateway's clock, delivery counts, complaints, health, alerts.

Revision ID: 0002
Revises: 0001
"""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UP = """
ALTER TABLE fleet.sending_nodes
    ADD COLUMN health varchar(20) NOT NULL DEFAULT 'unknown' CONSTRAINT sending_nodes_health_is_known CHECK (
        health IN ('healthy', 'unhealthy', 'unknown')),
    ADD COLUMN health_since timestamptz,
    ADD COLUMN health_reason text;

CREATE TABLE fleet.agent_tokens (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE INDEX agent_tokens_by_node ON fleet.agent_tokens (node_id);

CREATE TABLE fleet.api_keys (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    name varchar(100) NOT NULL,
    key_hash bytea NOT NULL UNIQUE,
    scope varchar(20) NOT NULL CONSTRAINT api_keys_scope_is_known CHECK (scope IN ('read', 'operate', 'admin')),
    created_by varchar(100) NOT NULL,
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX api_keys_one_live_a_name ON fleet.api_keys (name) WHERE revoked_at IS NULL;

CREATE TABLE fleet.api_requests (
    api_key_id uuid NOT NULL REFERENCES fleet.api_keys,
    idempotency_key varchar(200) NOT NULL,
    request_hash bytea NOT NULL,
    answer jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (api_key_id, idempotency_key)
);

-- How long gateways have served, in all: it stands still while none does, so that an outage ages nobody's heartbeat.
CREATE TABLE fleet.gateway_clock (
    id smallint PRIMARY KEY DEFAULT 1 CONSTRAINT gateway_clock_one_row CHECK (id = 1),
    served_seconds double precision NOT NULL,
    ticked_at timestamptz NOT NULL
);
INSERT INTO fleet.gateway_clock (served_seconds, ticked_at) VALUES (0, now());

-- The newest heartbeat of each node, apart from sending_nodes: rows that change every 30 s must stay small.
CREATE TABLE fleet.node_pulses (
    node_id uuid PRIMARY KEY REFERENCES fleet.sending_nodes,
    received_at timestamptz NOT NULL,
    served_seconds double precision NOT NULL,
    sent_at timestamptz NOT NULL,
    boot_id varchar(64) NOT NULL,
    agent_version varchar(30) NOT NULL,
    mta_state varchar(10) NOT NULL CONSTRAINT node_pulses_mta_state_is_known CHECK (
        mta_state IN ('up', 'down', 'absent')),
    transport varchar(10) NOT NULL CONSTRAINT node_pulses_transport_is_known CHECK (
        transport IN ('released', 'held', 'unknown')),
    directive_version bigint,
    cpu_percent real,
    memory_percent real,
    disk_percent real,
    rx_bytes_per_second double precision,
    tx_bytes_per_second double precision,
    queue_active integer,
    queue_deferred integer,
    queue_held integer,
    queue_oldest_seconds integer,
    details jsonb NOT NULL DEFAULT '{}'
) WITH (fillfactor = 50);

CREATE TABLE fleet.heartbeats (
    node_id uuid NOT NULL,
    received_at timestamptz NOT NULL,
    mta_state varchar(10) NOT NULL,
    cpu_percent real,
    memory_percent real,
    disk_percent real,
    rx_bytes_per_second double precision,
    tx_bytes_per_second double precision,
    queue_active integer,
    queue_deferred integer,
    queue_held integer,
    queue_oldest_seconds integer
) PARTITION BY RANGE (received_at);
CREATE INDEX heartbeats_by_node ON fleet.heartbeats (node_id, received_at);

-- Makes the days' partitions of heartbeats that are missing; several processes may call it at once.
CREATE FUNCTION fleet.make_heartbeat_partitions(first_day date, days integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    day date;
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(1346719303, 3);
    FOR day IN SELECT first_day + offset_days FROM generate_series(0, days - 1) AS offset_days LOOP
        partition := 'heartbeats_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('fleet.' || partition) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE fleet.%I PARTITION OF fleet.heartbeats FOR VALUES FROM (%L) TO (%L)',
                partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;

-- Every batch that was ever counted: the same one again changes nothing.
CREATE TABLE fleet.delivery_batches (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    stream varchar(100) NOT NULL,
    sequence bigint NOT NULL CONSTRAINT delivery_batches_sequence_not_negative CHECK (sequence >= 0),
    received_at timestamptz NOT NULL,
    unread_lines integer NOT NULL DEFAULT 0,
    dropped_batches integer NOT NULL DEFAULT 0,
    PRIMARY KEY (node_id, stream, sequence)
);

CREATE TABLE fleet.delivery_counts (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    bucket_at timestamptz NOT NULL,
    mailbox_provider varchar(20) NOT NULL CONSTRAINT delivery_counts_provider_is_known CHECK (
        mailbox_provider IN ('gmail', 'microsoft', 'yahoo', 'apple', 'other')),
    result varchar(20) NOT NULL CONSTRAINT delivery_counts_result_is_known CHECK (
        result IN ('sent', 'hard_bounce', 'soft_bounce', 'policy_rejection', 'deferred', 'expired')),
    messages bigint NOT NULL CONSTRAINT delivery_counts_not_negative CHECK (messages >= 0),
    PRIMARY KEY (node_id, bucket_at, mailbox_provider, result)
);
CREATE INDEX delivery_counts_by_bucket ON fleet.delivery_counts (bucket_at);

CREATE TABLE fleet.complaints (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid REFERENCES fleet.sending_nodes,
    attribution varchar(30) NOT NULL CONSTRAINT complaints_attribution_is_known CHECK (
        attribution IN ('attributed', 'no_source_ip', 'no_arrival_date', 'unknown_address')),
    source_ip inet,
    arrived_at timestamptz,
    received_at timestamptz NOT NULL,
    feedback_type varchar(50) NOT NULL,
    mailbox_provider varchar(20) NOT NULL,
    incidents integer NOT NULL CONSTRAINT complaints_incidents_from_one CHECK (incidents >= 1),
    digest bytea NOT NULL UNIQUE,
    CONSTRAINT complaints_attributed_to_a_node CHECK ((attribution = 'attributed') = (node_id IS NOT NULL))
);
CREATE INDEX complaints_by_node ON fleet.complaints (node_id, arrived_at);

CREATE TABLE fleet.node_health_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    health varchar(20) NOT NULL,
    reason text NOT NULL,
    happened_at timestamptz NOT NULL
);
CREATE INDEX node_health_events_by_node ON fleet.node_health_events (node_id, happened_at);

-- What an agent is asked to restart; its next heartbeats carry it until the agent says that it is done.
CREATE TABLE fleet.node_directives (
    node_id uuid PRIMARY KEY REFERENCES fleet.sending_nodes,
    restart varchar(10) NOT NULL CONSTRAINT node_directives_restart_is_known CHECK (restart IN ('mta', 'agent')),
    restart_id uuid NOT NULL,
    requested_at timestamptz NOT NULL
);

CREATE TABLE fleet.alerts (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    rule varchar(50) NOT NULL,
    subject varchar(255) NOT NULL,
    severity varchar(10) NOT NULL CONSTRAINT alerts_severity_is_known CHECK (severity IN ('high', 'medium', 'low')),
    summary text NOT NULL,
    evidence jsonb NOT NULL DEFAULT '{}',
    node_id uuid REFERENCES fleet.sending_nodes,
    run_id varchar(40),
    opened_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    resolved_at timestamptz,
    resolution text
);
CREATE UNIQUE INDEX alerts_one_open_a_rule_and_subject ON fleet.alerts (rule, subject) WHERE resolved_at IS NULL;
CREATE INDEX alerts_by_node ON fleet.alerts (node_id);

-- 90 s are three missed heartbeats. Nodes that never spoke are unknown, which is neither good nor bad.
CREATE VIEW fleet.silent_nodes AS
SELECT pulse.node_id, clock.served_seconds - pulse.served_seconds AS silent_seconds
FROM fleet.node_pulses AS pulse, fleet.gateway_clock AS clock
WHERE clock.served_seconds - pulse.served_seconds > 90;

CREATE OR REPLACE VIEW fleet.sending_rotation AS
SELECT node.id AS node_id, node.label, node.ip_address, node.hostname, node.region, node.plan, node.status
FROM fleet.sending_nodes AS node
WHERE node.status IN ('warming', 'active')
  AND NOT EXISTS (
      SELECT FROM fleet.ip_blacklist_events AS event
      WHERE event.ip_address = node.ip_address AND event.delisted_at IS NULL
        AND event.severity IN ('critical', 'high'))
  AND NOT EXISTS (SELECT FROM fleet.silent_nodes AS silent WHERE silent.node_id = node.id)
  AND NOT EXISTS (
      SELECT FROM fleet.node_pulses AS pulse WHERE pulse.node_id = node.id AND pulse.mta_state = 'down');
"""

DOWN = """
CREATE OR REPLACE VIEW fleet.sending_rotation AS
SELECT node.id AS node_id, node.label, node.ip_address, node.hostname, node.region, node.plan, node.status
FROM fleet.sending_nodes AS node
WHERE node.status IN ('warming', 'active')
  AND NOT EXISTS (
      SELECT FROM fleet.ip_blacklist_events AS event
      WHERE event.ip_address = node.ip_address AND event.delisted_at IS NULL
        AND event.severity IN ('critical', 'high'));
DROP VIEW fleet.silent_nodes;
DROP TABLE fleet.alerts, fleet.node_directives, fleet.node_health_events, fleet.complaints, fleet.delivery_counts,
    fleet.delivery_batches, fleet.heartbeats, fleet.node_pulses, fleet.gateway_clock, fleet.api_requests,
    fleet.api_keys, fleet.agent_tokens;
DROP FUNCTION fleet.make_heartbeat_partitions(date, integer);
ALTER TABLE fleet.sending_nodes DROP COLUMN health, DROP COLUMN health_since, DROP COLUMN health_reason;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
