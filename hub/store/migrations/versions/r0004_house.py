"""Quotas, wishes and notices, shares, proofs and publications of solvers, names of tokens"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_TEXT = sa.String(length=200)


def _to(table: str, column: str, target: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint([column], [target], name=op.f(f"fk_{table}_{column}"))


def upgrade() -> None:
    for table in ("runs", "studies"):
        op.add_column(table, sa.Column("reserved", sa.Double(), nullable=False, server_default="0"))
    op.add_column("tokens", sa.Column("name", sa.Text(), nullable=True))
    op.create_table(
        "quotas",
        sa.Column("organisation", _TEXT, nullable=False),
        sa.Column("core_hours", sa.Double(), nullable=True),
        sa.Column("reserved", sa.Double(), nullable=False),
        sa.Column("spent", sa.Double(), nullable=False),
        sa.Column("since", sa.Double(), nullable=False),
        _to("quotas", "organisation", "organisations.id"),
        sa.PrimaryKeyConstraint("organisation", name=op.f("pk_quotas")),
    )
    op.create_table(
        "wishes",
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("organisation", _TEXT, nullable=False),
        sa.Column("mail", sa.Text(), nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("secret", _TEXT, nullable=False),
        sa.Column("language", _TEXT, nullable=False),
        _to("wishes", "user", "users.id"),
        _to("wishes", "organisation", "organisations.id"),
        sa.PrimaryKeyConstraint("user", "organisation", name=op.f("pk_wishes")),
    )
    op.create_table(
        "notices",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("run", _TEXT, nullable=False),
        sa.Column("kind", _TEXT, nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("secret", _TEXT, nullable=False),
        sa.Column("language", _TEXT, nullable=False),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("tries", sa.BigInteger(), nullable=False),
        sa.Column("not_before", sa.Double(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        _to("notices", "run", "runs.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_notices")),
        sa.UniqueConstraint("run", "kind", name=op.f("uq_notices_run_kind")),
    )
    op.create_index(op.f("ix_notices_not_before"), "notices", ["not_before"])
    op.create_table(
        "shares",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("run", _TEXT, nullable=False),
        sa.Column("organisation", _TEXT, nullable=False),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("files", sa.Boolean(), nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        sa.Column("expires", sa.Double(), nullable=False),
        sa.Column("revoked", sa.Double(), nullable=True),
        _to("shares", "run", "runs.id"),
        _to("shares", "organisation", "organisations.id"),
        _to("shares", "user", "users.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shares")),
    )
    op.create_index(op.f("ix_shares_run"), "shares", ["run"])
    op.create_table(
        "publications",
        sa.Column("solver", _TEXT, nullable=False),
        sa.Column("organisation", _TEXT, nullable=True),
        sa.Column("state", _TEXT, nullable=False),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("changed", sa.Double(), nullable=False),
        _to("publications", "organisation", "organisations.id"),
        _to("publications", "user", "users.id"),
        sa.PrimaryKeyConstraint("solver", name=op.f("pk_publications")),
    )
    op.create_table(
        "proofs",
        sa.Column("id", _TEXT, nullable=False),
        sa.Column("solver", _TEXT, nullable=False),
        sa.Column("version", _TEXT, nullable=False),
        sa.Column("organisation", _TEXT, nullable=False),
        sa.Column("user", _TEXT, nullable=False),
        sa.Column("created", sa.Double(), nullable=False),
        _to("proofs", "organisation", "organisations.id"),
        _to("proofs", "user", "users.id"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proofs")),
    )
    op.create_index(op.f("ix_proofs_solver"), "proofs", ["solver"])
