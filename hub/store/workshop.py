"""Solvers as academics bring them: proofs that were asked for, and whether staff have published them.

A solver that nobody has spoken of is published where it came with the hub, and otherwise not (``hub.access``).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column

from hub.store.tables import AuditRow, Base, Begin, Caller, OrganisationRow, _Row, new_id
from hub.store.tenant import NotFound

Standing = Literal["private", "proposed", "published"]


class PublicationRow(Base):
    """organisation : of the solver's authors; user : who changed it last"""

    __tablename__ = "publications"
    solver: Mapped[str] = mapped_column(primary_key=True)
    organisation: Mapped[str | None] = mapped_column(ForeignKey("organisations.id"))
    state: Mapped[str]
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    changed: Mapped[float] = mapped_column(default=time.time, onupdate=time.time)


class ProofRow(Base):
    """That the suite of a solver was asked for; what it found lies in ``<home>/proofs/<id>``."""

    __tablename__ = "proofs"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    solver: Mapped[str] = mapped_column(index=True)
    version: Mapped[str]
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    created: Mapped[float] = mapped_column(default=time.time)


class Publication(_Row):
    solver: str
    organisation: str | None
    state: Standing
    changed: float


class Proof(_Row):
    id: str
    solver: str
    version: str
    organisation: str
    created: float


class Workshop:
    """Solvers as the caller may see them."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    def publications(self) -> dict[str, Publication]:
        with self._begin(read=True) as session:
            return {row.solver: Publication.model_validate(row) for row in session.scalars(select(PublicationRow))}

    def publish(self, solver: str, state: Standing, organisation: str | None = None) -> Publication:
        """What is so of a solver from now on. organisation : of its authors, None leaves it. Raises NotFound."""
        with self._begin() as session:
            if organisation is not None and session.get(OrganisationRow, organisation) is None:
                raise NotFound
            row = session.get(PublicationRow, solver) or PublicationRow(solver=solver, organisation=None)
            row.state, row.user, row.changed = state, self.caller.user, time.time()
            row.organisation = organisation or row.organisation
            session.add(row)
            who = self.caller
            session.add(AuditRow(organisation=who.organisation, user=who.user, event=f"solver {state}", subject=solver))
            session.flush()
            return Publication.model_validate(row)

    def begin_proof(self, solver: str, version: str) -> Proof:
        with self._begin() as session:
            who = self.caller
            row = ProofRow(solver=solver, version=version, organisation=who.organisation, user=who.user)
            session.add(row)
            session.flush()
            session.add(AuditRow(organisation=who.organisation, user=who.user, event="prove", subject=solver))
            return Proof.model_validate(row)

    def proofs(self, solver: str | None = None, limit: int = 200) -> Sequence[Proof]:
        """Newest first."""
        query = select(ProofRow).order_by(ProofRow.id.desc()).limit(limit)
        if solver is not None:
            query = query.where(ProofRow.solver == solver)
        with self._begin(read=True) as session:
            return [Proof.model_validate(row) for row in session.scalars(query)]
