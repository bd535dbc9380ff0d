"""Studies"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "studies",
        sa.Column("id", sa.String(length=200), nullable=False),
        sa.Column("organisation", sa.String(length=200), nullable=False),
        sa.Column("user", sa.String(length=200), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("solver", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=200), nullable=False),
        sa.Column("study", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("case", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("geometry", sa.String(length=200), nullable=False),
        sa.Column("geometry_name", sa.Text(), nullable=False),
        sa.Column("estimate", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("counts", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("failure", sa.JSON(none_as_null=True), nullable=True),
        sa.Column("folder", sa.Text(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("started", sa.Double(), nullable=True),
        sa.Column("ended", sa.Double(), nullable=True),
        sa.ForeignKeyConstraint(["organisation"], ["organisations.id"], name=op.f("fk_studies_organisation")),
        sa.ForeignKeyConstraint(["user"], ["users.id"], name=op.f("fk_studies_user")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("organisation", "key", "turn", name=op.f("uq_studies_organisation_key_turn")),
    )
    op.create_index(op.f("ix_studies_organisation"), "studies", ["organisation"])
    op.create_index(op.f("ix_studies_state"), "studies", ["state"])
