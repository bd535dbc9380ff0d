"""Core-hours that an organisation may use: reserved when something is submitted, settled when it has ended.

Whether there is room is decided by one conditional UPDATE: two who ask at the same moment cannot both take the last.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from sqlalchemy import ForeignKey, func, or_, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.store.tables import Base, _Row


class QuotaReached(Exception):
    """There are not enough core-hours left: `asked`, `left` of `of`."""

    def __init__(self, asked: float, left: float, of: float) -> None:
        self.asked, self.left, self.of = asked, left, of
        super().__init__(f"{asked:g} core-hours asked, {left:g} of {of:g} left")


class QuotaRow(Base):
    """core_hours : the limit, None for none; reserved : held by what is under way; spent : since `since`"""

    __tablename__ = "quotas"
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    core_hours: Mapped[float | None]
    reserved: Mapped[float] = mapped_column(default=0.0)
    spent: Mapped[float] = mapped_column(default=0.0)
    since: Mapped[float] = mapped_column(default=time.time)


class Quota(_Row):
    """core_hours : the limit, None for none; reserved, spent [core-hour]; since : seconds since 1970 UTC"""

    core_hours: float | None = None
    reserved: float = 0.0
    spent: float = 0.0
    since: float = 0.0


def core_hours(found: Mapping[str, Any] | None) -> float:
    """Of an estimate, or of what a run took: {seconds, ranks} [core-hour]; 0 where nothing is known."""
    found = found or {}
    return max(0.0, float(found.get("seconds") or 0.0) * float(found.get("ranks") or 1) / 3600)


def reserve(session: Session, organisation: str, asked: float) -> float:
    """Take `asked` core-hours of an organisation's quota; returns what is held. Raises QuotaReached."""
    row = session.get(QuotaRow, organisation, populate_existing=True)
    if row is None:
        session.add(QuotaRow(organisation=organisation))
        session.flush()
    room = or_(QuotaRow.core_hours.is_(None), QuotaRow.reserved + QuotaRow.spent + asked <= QuotaRow.core_hours)
    taken = session.execute(
        update(QuotaRow)
        .where(QuotaRow.organisation == organisation, room)
        .values(reserved=QuotaRow.reserved + asked)
        .returning(QuotaRow.organisation)
        .execution_options(synchronize_session=False)
    ).first()
    if taken is None:
        row = session.get_one(QuotaRow, organisation, populate_existing=True)
        of = float(row.core_hours or 0.0)
        raise QuotaReached(asked, max(0.0, of - row.reserved - row.spent), of)
    return asked


def settle(session: Session, organisation: str, reserved: float, spent: float) -> None:
    """Give back what was reserved and book what was spent."""
    left = func.max if session.get_bind().dialect.name == "sqlite" else func.greatest
    session.execute(
        update(QuotaRow)
        .where(QuotaRow.organisation == organisation)
        .values(reserved=left(0.0, QuotaRow.reserved - reserved), spent=QuotaRow.spent + spent)
        .execution_options(synchronize_session=False)
    )
