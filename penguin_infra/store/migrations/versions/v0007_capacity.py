"""Warm-up and capacity: what each node has earned, what it may send, what the fleet can do, is asked for, and costs.

Revision ID: 0007
Revises: 0006
"""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_ROTATION = """
CREATE VIEW fleet.sending_rotation AS
SELECT node.id AS node_id, node.label, node.ip_address, node.hostname, node.region, node.plan,
    node.status/* allowances */
FROM fleet.sending_nodes AS node
WHERE node.status IN ('warming', 'active')
  AND node.drain_until IS NULL
  AND NOT EXISTS (
      SELECT FROM fleet.node_actions AS action
      WHERE action.node_id = node.id AND action.kind /* kinds */ AND action.status = 'running')
  AND NOT EXISTS (
      SELECT FROM fleet.ip_blacklist_events AS event
      WHERE event.ip_address = node.ip_address AND event.delisted_at IS NULL
        AND event.severity IN ('critical', 'high'))
  AND NOT EXISTS (SELECT FROM fleet.silent_nodes AS silent WHERE silent.node_id = node.id)
  AND NOT EXISTS (
      SELECT FROM fleet.node_pulses AS pulse WHERE pulse.node_id = node.id AND pulse.mta_state = 'down');
"""

# Subqueries, one a column: a reader who wants to know who may send, and not how much, pays for none of them.
_ALLOWANCES = """,
    CASE WHEN node.status = 'warming' THEN (
        SELECT greatest(0, allowance.hourly - allowance.sent_this_hour)
        FROM fleet.sending_allowances AS allowance WHERE allowance.node_id = node.id) END AS hour_left,
    CASE WHEN node.status = 'warming' THEN (
        SELECT greatest(0, allowance.daily - allowance.sent_today)
        FROM fleet.sending_allowances AS allowance WHERE allowance.node_id = node.id) END AS day_left"""

UP = """
CREATE TABLE fleet.node_warmups (
    node_id uuid PRIMARY KEY REFERENCES fleet.sending_nodes,
    curve varchar(50) NOT NULL,
    daily bigint NOT NULL CONSTRAINT node_warmups_daily_from_one CHECK (daily >= 1),
    since_at timestamptz NOT NULL,
    stepped_back_at timestamptz,
    steps_back integer NOT NULL DEFAULT 0,
    providers jsonb NOT NULL DEFAULT '{}',
    begun_at timestamptz NOT NULL,
    finished_at timestamptz
);

CREATE TABLE fleet.warmup_progress (
    node_id uuid PRIMARY KEY REFERENCES fleet.sending_nodes,
    measured_at timestamptz NOT NULL,
    stage smallint NOT NULL,
    stages smallint NOT NULL,
    daily bigint NOT NULL,
    next_daily bigint NOT NULL,
    planned_daily bigint NOT NULL,
    full_daily bigint NOT NULL,
    delivered_last_day bigint NOT NULL,
    decision varchar(20) NOT NULL CONSTRAINT warmup_progress_decision_is_known CHECK (
        decision IN ('hold', 'advance', 'step_back', 'restart', 'finish', 'stuck')),
    is_step boolean NOT NULL,
    reasons text[] NOT NULL,
    begun_at timestamptz NOT NULL,
    expected_full_at timestamptz NOT NULL
);

-- Sums of delivery_counts by the hour, written with them: days and weeks are added up from these.
CREATE TABLE fleet.delivery_hours (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    hour_at timestamptz NOT NULL,
    mailbox_provider varchar(20) NOT NULL CONSTRAINT delivery_hours_provider_is_known CHECK (
        mailbox_provider IN ('gmail', 'microsoft', 'yahoo', 'apple', 'other')),
    sent bigint NOT NULL DEFAULT 0,
    hard_bounces bigint NOT NULL DEFAULT 0,
    soft_bounces bigint NOT NULL DEFAULT 0,
    policy_rejections bigint NOT NULL DEFAULT 0,
    expired bigint NOT NULL DEFAULT 0,
    deferrals bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (node_id, hour_at, mailbox_provider)
);
CREATE INDEX delivery_hours_by_hour ON fleet.delivery_hours (hour_at);
INSERT INTO fleet.delivery_hours
SELECT node_id, date_trunc('hour', bucket_at, 'UTC'), mailbox_provider,
    coalesce(sum(messages) FILTER (WHERE result = 'sent'), 0),
    coalesce(sum(messages) FILTER (WHERE result = 'hard_bounce'), 0),
    coalesce(sum(messages) FILTER (WHERE result = 'soft_bounce'), 0),
    coalesce(sum(messages) FILTER (WHERE result = 'policy_rejection'), 0),
    coalesce(sum(messages) FILTER (WHERE result = 'expired'), 0),
    coalesce(sum(messages) FILTER (WHERE result = 'deferred'), 0)
FROM fleet.delivery_counts GROUP BY 1, 2, 3;

ALTER TABLE fleet.heartbeats ADD COLUMN transport varchar(10);

CREATE TABLE fleet.node_windows (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    window_at timestamptz NOT NULL,
    depth integer NOT NULL,
    deferred integer NOT NULL,
    oldest_age_seconds integer,
    ended bigint NOT NULL,
    deferrals bigint NOT NULL,
    cpu_percent real,
    memory_percent real,
    is_held boolean NOT NULL,
    PRIMARY KEY (node_id, window_at)
);
CREATE INDEX node_windows_by_time ON fleet.node_windows (window_at);

CREATE TABLE fleet.demand_hours (
    hour_at timestamptz NOT NULL,
    region varchar(50) NOT NULL,
    ended bigint NOT NULL DEFAULT 0,
    refused bigint NOT NULL DEFAULT 0 CONSTRAINT demand_hours_refused_not_negative CHECK (refused >= 0),
    queue_depth bigint,
    PRIMARY KEY (hour_at, region)
);

-- Hours that ended a while ago and got more mail since demand was summed: agents may be away for days.
CREATE TABLE fleet.late_hours (
    hour_at timestamptz PRIMARY KEY
);

CREATE TABLE fleet.capacity_utilisation (
    node_id uuid PRIMARY KEY REFERENCES fleet.sending_nodes,
    measured_at timestamptz NOT NULL,
    region varchar(50) NOT NULL,
    status varchar(50) NOT NULL,
    plan varchar(50) NOT NULL,
    is_in_rotation boolean NOT NULL,
    plan_per_day bigint,
    allowance_per_day bigint,
    capacity_per_day bigint NOT NULL,
    ended_last_day bigint NOT NULL,
    ended_last_hour bigint NOT NULL,
    queue_depth integer,
    queue_growth integer NOT NULL,
    oldest_age_seconds integer,
    cpu_percent real,
    memory_percent real,
    demand_share double precision
);

CREATE TABLE fleet.plan_prices (
    plan varchar(50) NOT NULL,
    seen_at timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    cpu_count smallint NOT NULL,
    memory_mb integer NOT NULL,
    disk_gb integer NOT NULL,
    transfer_gb integer NOT NULL,
    monthly_usd numeric(12, 4) NOT NULL CONSTRAINT plan_prices_monthly_not_negative CHECK (monthly_usd >= 0),
    hourly_usd numeric(14, 8) NOT NULL CONSTRAINT plan_prices_hourly_not_negative CHECK (hourly_usd >= 0),
    PRIMARY KEY (plan, seen_at),
    CONSTRAINT plan_prices_seen_in_order CHECK (last_seen_at >= seen_at)
);

-- What each warming node may send in this hour and on this day (UTC), and what it has sent, as
-- `domain/sending_allowance.py` says. A node whose warm-up nobody has begun yet may send nothing.
CREATE VIEW fleet.sending_allowances AS
SELECT node.id AS node_id, allowed.daily,
    greatest(0, least(
        ceil(allowed.daily * (extract(hour FROM now() AT TIME ZONE 'UTC') + 1) / 24.0)
            - (used.sent_today - used.sent_this_hour),
        2 * ceil(allowed.daily / 24.0)))::bigint AS hourly,
    used.sent_today, used.sent_this_hour
FROM fleet.sending_nodes AS node
LEFT JOIN fleet.node_warmups AS warmup ON warmup.node_id = node.id
CROSS JOIN LATERAL (SELECT coalesce(warmup.daily, 0) AS daily) AS allowed
CROSS JOIN LATERAL (
    SELECT coalesce(sum(hours.sent::float8), 0)::bigint AS sent_today,
        -- A subquery, so that the hour's beginning is reckoned once, and not for each row.
        coalesce(sum(hours.sent::float8) FILTER (
            WHERE hours.hour_at >= (SELECT date_trunc('hour', now(), 'UTC'))), 0)::bigint AS sent_this_hour
    FROM fleet.delivery_hours AS hours
    WHERE hours.node_id = node.id AND hours.hour_at >= date_trunc('day', now(), 'UTC')
) AS used
WHERE node.status = 'warming';

DROP VIEW fleet.sending_rotation;
"""

DOWN = """
DROP VIEW fleet.sending_rotation;
DROP VIEW fleet.sending_allowances;
DROP TABLE fleet.plan_prices, fleet.capacity_utilisation, fleet.late_hours, fleet.demand_hours, fleet.node_windows,
    fleet.delivery_hours, fleet.warmup_progress, fleet.node_warmups;
ALTER TABLE fleet.heartbeats DROP COLUMN transport;
"""


def upgrade() -> None:
    op.execute(UP)
    resized_too = _ROTATION.replace("/* kinds */", "IN ('reinstall', 'resize')")
    op.execute(resized_too.replace("/* allowances */", _ALLOWANCES))


def downgrade() -> None:
    op.execute(DOWN)
    op.execute(_ROTATION.replace("/* kinds */", "= 'reinstall'").replace("/* allowances */", ""))
