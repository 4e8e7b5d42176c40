"""What analysts read: the schema `analytics`, and the facts of the past that its sums are made of.

Revision ID: 0008
Revises: 0007
"""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

# As it was made with the heartbeats themselves.
_PARTITIONS = """
CREATE OR REPLACE FUNCTION fleet.make_heartbeat_partitions(first_day date, days integer) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    made integer := 0;
    day date;
    partition text;
    /* declared */
BEGIN
    PERFORM pg_advisory_xact_lock(1346719303, 3);
    FOR day IN SELECT first_day + offset_days FROM generate_series(0, days - 1) AS offset_days LOOP
        partition := 'heartbeats_' || to_char(day, 'YYYYMMDD');
        IF to_regclass('fleet.' || partition) IS NULL THEN
            EXECUTE format(
                'CREATE TABLE fleet.%I PARTITION OF fleet.heartbeats FOR VALUES FROM (%L) TO (%L)',
                partition, day::timestamp AT TIME ZONE 'UTC', (day + 1)::timestamp AT TIME ZONE 'UTC');
            /* made */
            made := made + 1;
        END IF;
    END LOOP;
    RETURN made;
END $$;
"""

# A day's partition says of itself and its columns what the whole table says.
_TOLD = """FOR told IN
                SELECT format('COMMENT ON TABLE fleet.%I IS %L', partition, description)
                FROM pg_description WHERE objoid = 'fleet.heartbeats'::regclass AND objsubid = 0
                    AND classoid = 'pg_class'::regclass
                UNION ALL
                SELECT format('COMMENT ON COLUMN fleet.%I.%I IS %L', partition, attname, description)
                FROM pg_description JOIN pg_attribute ON attrelid = objoid AND attnum = objsubid
                WHERE objoid = 'fleet.heartbeats'::regclass AND objsubid > 0 AND classoid = 'pg_class'::regclass
            LOOP
                EXECUTE told;
            END LOOP;"""

UP = """
-- Every instance that the provider ever billed, in spells of one plan: an open spell is billed now.
CREATE TABLE fleet.instance_spells (
    provider_id varchar(255) NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz,
    plan varchar(50) NOT NULL,
    extra_addresses smallint NOT NULL DEFAULT 0 CONSTRAINT instance_spells_extra_not_negative CHECK (
        extra_addresses >= 0),
    label text NOT NULL,
    region varchar(50) NOT NULL,
    node_id uuid REFERENCES fleet.sending_nodes,
    PRIMARY KEY (provider_id, began_at),
    CONSTRAINT instance_spells_end_after_begin CHECK (ended_at >= began_at)
);
CREATE UNIQUE INDEX instance_spells_one_open_an_instance ON fleet.instance_spells (provider_id)
    WHERE ended_at IS NULL;
CREATE INDEX instance_spells_by_node ON fleet.instance_spells (node_id);
CREATE INDEX instance_spells_by_time ON fleet.instance_spells (began_at);
-- What is known of the time before: the listing as it was last seen, each on its present plan since it was created.
INSERT INTO fleet.instance_spells (provider_id, began_at, plan, label, region, node_id)
SELECT listed.provider_id, listed.created_at, listed.plan, listed.label, listed.region, node.id
FROM fleet.provider_instances AS listed LEFT JOIN fleet.sending_nodes AS node ON node.provider_id = listed.provider_id;

ALTER TABLE fleet.provider_instances ADD COLUMN extra_addresses smallint NOT NULL DEFAULT 0;

CREATE INDEX node_transitions_by_time ON fleet.node_transitions (happened_at);

-- Every change of a node's score: what it was at any moment is the newest row before.
CREATE TABLE fleet.reputation_steps (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    changed_at timestamptz NOT NULL,
    score smallint NOT NULL CONSTRAINT reputation_steps_score_in_range CHECK (score BETWEEN 0 AND 100),
    version smallint NOT NULL,
    components jsonb NOT NULL,
    PRIMARY KEY (node_id, changed_at)
);

-- Not IF NOT EXISTS: it asks for the right to create one, even where there is nothing to create.
DO $$ BEGIN
    IF to_regnamespace('analytics') IS NULL THEN CREATE SCHEMA analytics; END IF;
END $$;

CREATE TABLE analytics.node_costs (
    day date NOT NULL,
    provider_id varchar(255) NOT NULL,
    plan varchar(50) NOT NULL,
    charge varchar(20) NOT NULL CONSTRAINT node_costs_charge_is_known CHECK (
        charge IN ('plan', 'extra_addresses', 'unused_month')),
    usage varchar(20) NOT NULL CONSTRAINT node_costs_usage_is_known CHECK (
        usage IN ('provisioning', 'warming', 'active', 'paused', 'maintenance', 'orphan', 'foreign', 'ghost')),
    node_id uuid,
    label text NOT NULL,
    region varchar(50) NOT NULL,
    hours integer NOT NULL CONSTRAINT node_costs_hours_not_negative CHECK (hours >= 0),
    unhealthy_hours integer NOT NULL,
    idle_hours integer NOT NULL,
    amount_usd numeric(18, 8) NOT NULL CONSTRAINT node_costs_amount_not_negative CHECK (amount_usd >= 0),
    price_source varchar(20) NOT NULL,
    PRIMARY KEY (day, provider_id, plan, charge, usage)
);
CREATE INDEX node_costs_by_node ON analytics.node_costs (node_id, day);

CREATE TABLE analytics.cost_forecasts (
    day date PRIMARY KEY,
    month date NOT NULL,
    month_to_date_usd numeric(18, 8) NOT NULL,
    forecast_usd numeric(18, 8) NOT NULL,
    lower_usd numeric(18, 8) NOT NULL,
    upper_usd numeric(18, 8) NOT NULL,
    budget_usd numeric(18, 8),
    method text NOT NULL
);

CREATE TABLE analytics.cost_optimisation (
    id uuid PRIMARY KEY,
    made_at timestamptz NOT NULL,
    kind varchar(20) NOT NULL CONSTRAINT cost_optimisation_kind_is_known CHECK (
        kind IN ('downsize', 'retire', 'consolidate', 'billing_cycle', 'orphan')),
    node_id uuid,
    label text NOT NULL,
    region varchar(50),
    plan varchar(50),
    to_plan varchar(50),
    saving_monthly_usd numeric(18, 8) NOT NULL,
    cost_before_monthly_usd numeric(18, 8) NOT NULL,
    cost_after_monthly_usd numeric(18, 8) NOT NULL,
    capacity_before_per_day bigint,
    capacity_after_per_day bigint,
    peak_share_before double precision,
    peak_share_after double precision,
    reason text NOT NULL,
    risk text NOT NULL,
    command text NOT NULL,
    action_id uuid
);

CREATE TABLE analytics.reputation_scores (
    node_id uuid PRIMARY KEY,
    label varchar(63) NOT NULL,
    ip_address inet NOT NULL,
    region varchar(50) NOT NULL,
    status varchar(50) NOT NULL,
    measured_at timestamptz NOT NULL,
    score smallint NOT NULL,
    target smallint NOT NULL,
    cap smallint NOT NULL,
    version smallint NOT NULL,
    components jsonb NOT NULL,
    explanation text NOT NULL,
    rising_since timestamptz
);

CREATE TABLE analytics.reputation_history (
    day date NOT NULL,
    tenure_id uuid NOT NULL,
    node_id uuid NOT NULL,
    label varchar(63) NOT NULL,
    ip_address inet NOT NULL,
    region varchar(50) NOT NULL,
    score_last smallint,
    score_lowest smallint,
    listings_open smallint NOT NULL,
    worst_severity varchar(20),
    listed_hours double precision NOT NULL,
    sent bigint NOT NULL,
    hard_bounces bigint NOT NULL,
    soft_bounces bigint NOT NULL,
    policy_rejections bigint NOT NULL,
    expired bigint NOT NULL,
    deferrals bigint NOT NULL,
    complaints bigint NOT NULL,
    attempted bigint NOT NULL,
    bounce_rate double precision,
    bounce_lower double precision,
    bounce_upper double precision,
    complaint_rate double precision,
    policy_rejection_rate double precision,
    deferral_rate double precision,
    PRIMARY KEY (day, tenure_id)
);
CREATE INDEX reputation_history_by_node ON analytics.reputation_history (node_id, day);

CREATE TABLE analytics.provider_reputation (
    day date NOT NULL,
    tenure_id uuid NOT NULL,
    mailbox_provider varchar(20) NOT NULL,
    node_id uuid NOT NULL,
    label varchar(63) NOT NULL,
    ip_address inet NOT NULL,
    sent bigint NOT NULL,
    hard_bounces bigint NOT NULL,
    soft_bounces bigint NOT NULL,
    policy_rejections bigint NOT NULL,
    expired bigint NOT NULL,
    deferrals bigint NOT NULL,
    attempted bigint NOT NULL,
    bounce_rate double precision,
    policy_rejection_rate double precision,
    deferral_rate double precision,
    has_volume boolean NOT NULL,
    PRIMARY KEY (day, tenure_id, mailbox_provider)
);

CREATE TABLE analytics.listing_impacts (
    event_id uuid PRIMARY KEY,
    blacklist_provider varchar(100) NOT NULL,
    zone varchar(255) NOT NULL,
    severity varchar(20) NOT NULL,
    ip_address inet NOT NULL,
    node_id uuid,
    label varchar(63),
    listed_at timestamptz NOT NULL,
    delisted_at timestamptz,
    listed_hours double precision NOT NULL,
    expected_messages bigint NOT NULL,
    sent_messages bigint NOT NULL,
    lost_messages bigint NOT NULL
);

CREATE VIEW analytics.costs_by_day AS
SELECT day, sum(amount_usd) AS amount_usd,
    coalesce(sum(amount_usd) FILTER (WHERE usage IN ('warming', 'active')), 0) AS in_service_usd,
    coalesce(sum(amount_usd) FILTER (WHERE usage IN ('paused', 'maintenance')), 0) AS held_usd,
    coalesce(sum(amount_usd) FILTER (WHERE usage = 'provisioning'), 0) AS provisioning_usd,
    coalesce(sum(amount_usd) FILTER (WHERE usage IN ('orphan', 'foreign')), 0) AS unowned_usd,
    coalesce(sum(amount_usd * unhealthy_hours / nullif(hours, 0)), 0) AS unhealthy_usd,
    coalesce(sum(amount_usd * idle_hours / nullif(hours, 0)), 0) AS idle_usd,
    sum(hours) FILTER (WHERE charge = 'plan' AND usage = 'active') / 24.0 AS warmed_slots
FROM analytics.node_costs GROUP BY day;

CREATE VIEW analytics.delivered_by_day AS
SELECT day, region, sum(sent)::bigint AS delivered FROM analytics.reputation_history GROUP BY day, region;

CREATE VIEW analytics.cost_per_thousand AS
SELECT cost.day, cost.region, cost.amount_usd, coalesce(mail.delivered, 0) AS delivered,
    cost.amount_usd * 1000 / nullif(mail.delivered, 0) AS usd_per_thousand
FROM (SELECT day, region, sum(amount_usd) AS amount_usd FROM analytics.node_costs GROUP BY day, region) AS cost
LEFT JOIN analytics.delivered_by_day AS mail USING (day, region);

CREATE VIEW analytics.costs_by_plan AS
SELECT date_trunc('month', day)::date AS month, region, plan, sum(amount_usd) AS amount_usd,
    coalesce(sum(hours) FILTER (WHERE charge = 'plan'), 0) AS hours, count(DISTINCT provider_id) AS instances
FROM analytics.node_costs WHERE usage <> 'ghost' GROUP BY 1, 2, 3;

CREATE VIEW analytics.days_to_delist AS
SELECT blacklist_provider, zone, severity, count(*) AS listings, count(delisted_at) AS delisted,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM delisted_at - listed_at) / 86400)
        FILTER (WHERE delisted_at IS NOT NULL) AS median_days,
    max(extract(epoch FROM coalesce(delisted_at, now()) - listed_at) / 86400)::float8 AS longest_days,
    sum(lost_messages)::bigint AS lost_messages
FROM analytics.listing_impacts GROUP BY blacklist_provider, zone, severity;
"""

DOWN = """
-- The role itself stays: it is the whole server's.
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'penguin_analyst') THEN
        REVOKE ALL ON ALL TABLES IN SCHEMA fleet FROM penguin_analyst;
        REVOKE ALL ON SCHEMA fleet FROM penguin_analyst;
    END IF;
END $$;
DROP SCHEMA analytics CASCADE;
DROP TABLE fleet.reputation_steps, fleet.instance_spells;
DROP INDEX fleet.node_transitions_by_time;
ALTER TABLE fleet.provider_instances DROP COLUMN extra_addresses;
"""


def upgrade() -> None:
    op.execute(UP)
    op.execute(_PARTITIONS.replace("/* declared */", "told text;").replace("/* made */", _TOLD))


def downgrade() -> None:
    op.execute(DOWN)
    op.execute(_PARTITIONS)
