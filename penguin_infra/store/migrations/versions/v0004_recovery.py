"""How far each recovery of a node has come: what it asked for, and whether the node came back.

Revision ID: 0004
Revises: 0003
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UP = """
CREATE TABLE fleet.recovery_steps (
    action_id uuid NOT NULL REFERENCES fleet.node_actions,
    step varchar(20) NOT NULL CONSTRAINT recovery_steps_step_is_known CHECK (step IN ('directive', 'reboot')),
    status varchar(20) NOT NULL CONSTRAINT recovery_steps_status_is_legal CHECK (
        status IN ('waiting', 'succeeded', 'failed')),
    run_id varchar(40) NOT NULL,
    asked_for text NOT NULL,
    asked_at timestamptz NOT NULL,
    asked_served_seconds double precision NOT NULL,
    outcome text,
    finished_at timestamptz,
    PRIMARY KEY (action_id, step),
    CONSTRAINT recovery_steps_finished_or_waiting CHECK ((status = 'waiting') = (finished_at IS NULL))
);
"""

DOWN = "DROP TABLE fleet.recovery_steps;"


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
