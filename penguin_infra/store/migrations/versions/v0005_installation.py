"""What a node's installation leaves behind: its DNS records, its verification, its host key, and its way out.

Revision ID: 0005
Revises: 0004
"""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# A draining node is out of the rotation at once, and its agent goes on delivering what is queued; one that is being
# installed again is out for as long as that runs.
_OUT_OF_ROTATION = """AND node.drain_until IS NULL
  AND NOT EXISTS (
      SELECT FROM fleet.node_actions AS action
      WHERE action.node_id = node.id AND action.kind = 'reinstall' AND action.status = 'running')"""

_ROTATION = """
CREATE OR REPLACE VIEW fleet.sending_rotation AS
SELECT node.id AS node_id, node.label, node.ip_address, node.hostname, node.region, node.plan, node.status
FROM fleet.sending_nodes AS node
WHERE node.status IN ('warming', 'active')
  /* drained */
  AND NOT EXISTS (
      SELECT FROM fleet.ip_blacklist_events AS event
      WHERE event.ip_address = node.ip_address AND event.delisted_at IS NULL
        AND event.severity IN ('critical', 'high'))
  AND NOT EXISTS (SELECT FROM fleet.silent_nodes AS silent WHERE silent.node_id = node.id)
  AND NOT EXISTS (
      SELECT FROM fleet.node_pulses AS pulse WHERE pulse.node_id = node.id AND pulse.mta_state = 'down');
"""

UP = """
ALTER TABLE fleet.sending_nodes
    ADD COLUMN instance_try smallint NOT NULL DEFAULT 1
        CONSTRAINT sending_nodes_tries_from_one CHECK (instance_try >= 1),
    ADD COLUMN host_key text,
    ADD COLUMN drain_until timestamptz;

ALTER TABLE fleet.provisioning_steps ADD COLUMN action_id uuid REFERENCES fleet.node_actions;
UPDATE fleet.provisioning_steps AS step SET action_id = (
    SELECT action.id FROM fleet.node_actions AS action
    WHERE action.node_id = step.node_id AND action.kind = 'provision' ORDER BY action.planned_at DESC LIMIT 1);

ALTER TABLE fleet.node_actions
    ADD COLUMN decided_by varchar(100),
    ADD COLUMN decided_at timestamptz,
    DROP CONSTRAINT node_actions_status_is_legal,
    ADD CONSTRAINT node_actions_status_is_legal CHECK (
        status IN ('proposed', 'planned', 'running', 'succeeded', 'failed', 'refused', 'rejected')),
    DROP CONSTRAINT node_actions_finished_or_open,
    ADD CONSTRAINT node_actions_finished_or_open CHECK (
        (status IN ('proposed', 'planned', 'running')) = (finished_at IS NULL)),
    ADD CONSTRAINT node_actions_rejected_by_somebody CHECK (status <> 'rejected' OR decided_by IS NOT NULL);
DROP INDEX fleet.node_actions_one_open_a_node_and_kind;
CREATE UNIQUE INDEX node_actions_one_open_a_node_and_kind ON fleet.node_actions (node_id, kind)
    WHERE status IN ('proposed', 'planned', 'running');

ALTER TABLE fleet.recovery_steps
    DROP CONSTRAINT recovery_steps_step_is_known,
    ADD CONSTRAINT recovery_steps_step_is_known CHECK (step IN ('directive', 'services', 'reboot'));

ALTER TABLE fleet.instance_drift
    DROP CONSTRAINT instance_drift_kind_is_known,
    ADD CONSTRAINT instance_drift_kind_is_known CHECK (
        kind IN ('orphan', 'ghost', 'changed_address', 'changed_plan', 'stray_record'));

CREATE TABLE fleet.dns_records (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    name varchar(255) NOT NULL,
    rdtype varchar(10) NOT NULL CONSTRAINT dns_records_type_is_known CHECK (rdtype IN ('A', 'TXT', 'PTR')),
    value text NOT NULL,
    wanted_at timestamptz NOT NULL,
    published_at timestamptz,
    removed_at timestamptz
);
CREATE UNIQUE INDEX dns_records_one_live ON fleet.dns_records (name, rdtype, value) WHERE removed_at IS NULL;
CREATE INDEX dns_records_by_node ON fleet.dns_records (node_id);

CREATE TABLE fleet.address_rejections (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    instance_try smallint NOT NULL,
    provider_id varchar(255) NOT NULL,
    ip_address inet NOT NULL,
    zone varchar(255) NOT NULL,
    codes text[] NOT NULL,
    reason text,
    rejected_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX address_rejections_once_a_list ON fleet.address_rejections (node_id, instance_try, zone);
CREATE INDEX address_rejections_by_address ON fleet.address_rejections (ip_address);

CREATE TABLE fleet.verification_findings (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    check_name varchar(40) NOT NULL,
    is_ok boolean NOT NULL,
    detail text NOT NULL,
    remedy text,
    action_id uuid REFERENCES fleet.node_actions,
    found_at timestamptz NOT NULL,
    PRIMARY KEY (node_id, check_name),
    CONSTRAINT verification_findings_mendable CHECK (is_ok OR remedy IS NOT NULL)
);

CREATE TABLE fleet.sink_messages (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    correlation_id varchar(64) NOT NULL,
    received_at timestamptz NOT NULL,
    peer_address inet NOT NULL,
    helo varchar(255) NOT NULL,
    tls_version varchar(20),
    mail_from varchar(320) NOT NULL,
    rcpt_to varchar(320) NOT NULL,
    content bytea NOT NULL
);
CREATE INDEX sink_messages_by_correlation ON fleet.sink_messages (correlation_id);
CREATE INDEX sink_messages_by_age ON fleet.sink_messages (received_at);
"""

DOWN = """
DROP TABLE fleet.sink_messages, fleet.verification_findings, fleet.address_rejections, fleet.dns_records;
DELETE FROM fleet.recovery_steps WHERE step = 'services';
ALTER TABLE fleet.recovery_steps
    DROP CONSTRAINT recovery_steps_step_is_known,
    ADD CONSTRAINT recovery_steps_step_is_known CHECK (step IN ('directive', 'reboot'));
DELETE FROM fleet.instance_drift WHERE kind = 'stray_record';
ALTER TABLE fleet.instance_drift
    DROP CONSTRAINT instance_drift_kind_is_known,
    ADD CONSTRAINT instance_drift_kind_is_known CHECK (
        kind IN ('orphan', 'ghost', 'changed_address', 'changed_plan'));
UPDATE fleet.node_actions SET status = 'failed', outcome = coalesce(outcome, 'never decided'),
    finished_at = coalesce(finished_at, planned_at) WHERE status IN ('proposed', 'rejected');
DROP INDEX fleet.node_actions_one_open_a_node_and_kind;
CREATE UNIQUE INDEX node_actions_one_open_a_node_and_kind ON fleet.node_actions (node_id, kind)
    WHERE status IN ('planned', 'running');
ALTER TABLE fleet.node_actions
    DROP CONSTRAINT node_actions_rejected_by_somebody,
    DROP CONSTRAINT node_actions_finished_or_open,
    ADD CONSTRAINT node_actions_finished_or_open CHECK ((status IN ('planned', 'running')) = (finished_at IS NULL)),
    DROP CONSTRAINT node_actions_status_is_legal,
    ADD CONSTRAINT node_actions_status_is_legal CHECK (
        status IN ('planned', 'running', 'succeeded', 'failed', 'refused')),
    DROP COLUMN decided_by, DROP COLUMN decided_at;
ALTER TABLE fleet.provisioning_steps DROP COLUMN action_id;
ALTER TABLE fleet.sending_nodes DROP COLUMN instance_try, DROP COLUMN host_key, DROP COLUMN drain_until;
"""


def upgrade() -> None:
    op.execute(UP)
    op.execute(_ROTATION.replace("/* drained */", _OUT_OF_ROTATION))


def downgrade() -> None:
    op.execute(_ROTATION)
    op.execute(DOWN)
