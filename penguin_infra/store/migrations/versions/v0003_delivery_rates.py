"""What the newest measurement of delivery found: a row a node, span and mailbox provider.

Revision ID: 0003
Revises: 0002
"""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE fleet.delivery_rates (
    node_id uuid NOT NULL REFERENCES fleet.sending_nodes,
    span varchar(10) NOT NULL CONSTRAINT delivery_rates_span_is_known CHECK (span IN ('recent', 'hour')),
    mailbox_provider varchar(20) NOT NULL CONSTRAINT delivery_rates_provider_is_known CHECK (
        mailbox_provider IN ('all', 'gmail', 'microsoft', 'yahoo', 'apple', 'other')),
    since_at timestamptz NOT NULL,
    measured_at timestamptz NOT NULL,
    sent bigint NOT NULL,
    hard_bounces bigint NOT NULL,
    soft_bounces bigint NOT NULL,
    policy_rejections bigint NOT NULL,
    expired bigint NOT NULL,
    deferrals bigint NOT NULL,
    complaints bigint NOT NULL,
    attempted bigint NOT NULL,
    bounce_rate double precision,
    bounce_lower double precision NOT NULL,
    bounce_upper double precision NOT NULL,
    complaint_rate double precision,
    complaint_lower double precision NOT NULL,
    complaint_upper double precision NOT NULL,
    policy_rejection_rate double precision,
    policy_rejection_lower double precision NOT NULL,
    policy_rejection_upper double precision NOT NULL,
    PRIMARY KEY (node_id, span, mailbox_provider),
    CONSTRAINT delivery_rates_no_rate_of_nothing CHECK (
        (attempted = 0) = (bounce_rate IS NULL) AND (attempted = 0) = (policy_rejection_rate IS NULL)
        AND (sent = 0) = (complaint_rate IS NULL))
);
"""

DOWN = """
DROP TABLE fleet.delivery_rates;
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
