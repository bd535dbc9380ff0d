"""Studies: those of one organisation for the API, all of them for whoever walks them."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import ForeignKey, Select, Text, UniqueConstraint, func, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.store.quotas import core_hours, reserve, settle
from hub.store.tables import AuditRow, Base, Begin, Caller, _Row, new_id
from hub.store.tenant import NotFound

StudyState = Literal["queued", "running", "cancelling", "done", "partly", "failed", "cancelled"]
#: States in which something may still happen.
GOING: frozenset[StudyState] = frozenset({"queued", "running", "cancelling"})


class StudyRow(Base):
    """A study. `key` is the digest of its question, `turn` counts how often it was asked anew."""

    __tablename__ = "studies"
    __table_args__ = (UniqueConstraint("organisation", "key", "turn"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    key: Mapped[str]
    turn: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    solver: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    study: Mapped[dict[str, Any]]
    case: Mapped[dict[str, Any]]
    geometry: Mapped[str]
    geometry_name: Mapped[str] = mapped_column(Text)
    estimate: Mapped[dict[str, Any] | None]
    counts: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    folder: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(default=time.time)
    started: Mapped[float | None]
    ended: Mapped[float | None]
    reserved: Mapped[float] = mapped_column(default=0.0, server_default="0")


class StudyRecord(_Row):
    """A study.

    study : as typed, without its case; case : the case as typed
    geometry : sha256 of the file in ``<home>/files``; geometry_name : what it was called
    counts : points {done, other, of}; folder : below the home; times : seconds since 1970 UTC
    """

    id: str
    organisation: str
    user: str
    key: str
    turn: int
    title: str
    solver: str
    state: StudyState
    study: dict[str, Any]
    case: dict[str, Any]
    geometry: str
    geometry_name: str
    estimate: dict[str, Any] | None
    counts: dict[str, Any] | None
    failure: dict[str, Any] | None
    folder: str
    created: float
    started: float | None
    ended: float | None


@dataclass(frozen=True, kw_only=True)
class NewStudy:
    """A study to be made; the fields of :class:`StudyRecord`."""

    key: str
    title: str
    solver: str
    study: dict[str, Any]
    case: dict[str, Any]
    geometry: str
    geometry_name: str
    estimate: dict[str, Any] | None
    counts: dict[str, Any]


class Studies:
    """The studies of one organisation. What it has not raises NotFound."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    def _mine(self) -> Select[StudyRow]:
        return select(StudyRow).where(StudyRow.organisation == self.caller.organisation)

    def insert(self, new: NewStudy, *, again: bool = False) -> tuple[StudyRecord, bool]:
        """The study of a question and whether it was made now; the same question gives the same study unless it
        ended without an answer, or `again`."""
        with self._begin() as session:
            latest = session.scalar(self._mine().where(StudyRow.key == new.key).order_by(StudyRow.turn.desc()).limit(1))
            stands = {"queued", "running"} | (set() if again else {"done", "partly"})
            if latest is not None and latest.state in stands:
                return StudyRecord.model_validate(latest), False
            reserved = reserve(session, self.caller.organisation, core_hours(new.estimate))
            study_id = new_id()
            row = StudyRow(
                reserved=reserved,
                id=study_id,
                organisation=self.caller.organisation,
                user=self.caller.user,
                turn=1 if latest is None else latest.turn + 1,
                state="queued",
                folder=f"studies/{study_id}",
                **vars(new),
            )
            session.add(row)
            session.flush()
            session.add(AuditRow(organisation=row.organisation, user=row.user, event="study", subject=study_id))
            return StudyRecord.model_validate(row), True

    def study(self, study_id: str) -> StudyRecord:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            row = session.scalar(self._mine().where(StudyRow.id == study_id))
            if row is None:
                raise NotFound
            return StudyRecord.model_validate(row)

    def studies(self, *, limit: int = 50, before: str | None = None) -> Sequence[StudyRecord]:
        """Newest first. before : only older than this id"""
        query = self._mine().order_by(StudyRow.id.desc()).limit(limit)
        if before:
            query = query.where(StudyRow.id < before)
        with self._begin(read=True) as session:
            return [StudyRecord.model_validate(row) for row in session.scalars(query)]

    def cancel(self, study_id: str) -> StudyRecord:
        """Ask for the end; an ended study stays as it is. Raises NotFound."""
        return self._ask(study_id, {"queued", "running"}, "cancelling", "cancel study")

    def retry(self, study_id: str) -> StudyRecord:
        """Ask for its failed points anew; a study that is going on stays as it is. Raises NotFound."""
        return self._ask(study_id, {"partly", "failed", "cancelled"}, "queued", "retry study")

    def _ask(self, study_id: str, expect: Collection[str], state: StudyState, event: str) -> StudyRecord:
        found = self.study(study_id)
        with self._begin() as session:
            changed = session.execute(
                update(StudyRow)
                .where(StudyRow.id == found.id, StudyRow.state.in_(expect))
                .values(state=state, ended=None, failure=None)
                .returning(StudyRow.id)
            ).first()
            if changed:
                caller = self.caller
                session.add(AuditRow(organisation=caller.organisation, user=caller.user, event=event, subject=study_id))
        return self.study(study_id)


class AllStudies:
    """Every study, whoever's it is: never for the API."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def study(self, study_id: str) -> StudyRecord | None:
        with self._begin(read=True) as session:
            row = session.get(StudyRow, study_id)
            return None if row is None else StudyRecord.model_validate(row)

    def going(self) -> Sequence[StudyRecord]:
        """Studies in which something may still happen, oldest first."""
        query = select(StudyRow).where(StudyRow.state.in_(GOING)).order_by(StudyRow.id)
        with self._begin(read=True) as session:
            return [StudyRecord.model_validate(row) for row in session.scalars(query)]

    def advance(
        self,
        study_id: str,
        *,
        expect: Collection[StudyState],
        state: StudyState | None = None,
        counts: dict[str, Any] | None = None,
        failure: dict[str, Any] | None = None,
    ) -> bool:
        """Change a study if it is in one of the states expected. False if it was in another."""
        now = time.time()
        values: dict[str, Any] = {"state": state, "counts": counts, "failure": failure}
        values = {name: value for name, value in values.items() if value is not None}
        if state == "running":
            values["started"] = func.coalesce(StudyRow.started, now)
        if state is not None and state not in GOING:
            values["ended"] = now
        change = update(StudyRow).where(StudyRow.id == study_id, StudyRow.state.in_(expect)).values(values)
        with self._begin() as session:
            done = session.execute(change.returning(StudyRow.id).execution_options(synchronize_session=False))
            changed = done.first() is not None
            if changed and state is not None and state not in GOING:
                self._settle(session, study_id)
            return changed

    def _settle(self, session: Session, study_id: str) -> None:
        """Of what was reserved, as much is spent as there are points that ran."""
        row = session.get_one(StudyRow, study_id, populate_existing=True)
        found = row.counts or {}
        ran = float(found.get("done", 0) + found.get("other", 0)) / max(1.0, float(found.get("of", 1)))
        settle(session, row.organisation, row.reserved, row.reserved * min(1.0, ran))
        row.reserved = 0.0
