"""Files and runs of one organisation. Every statement here carries the organisation of the caller."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.orm import Session

from hub.store.quotas import core_hours, reserve
from hub.store.tables import (
    ACTIVE,
    ENDED,
    AuditRow,
    Begin,
    Caller,
    Draft,
    DraftRow,
    Event,
    File,
    FileRow,
    Run,
    RunRow,
    Until,
    UserRow,
    new_id,
    write_message,
)

#: Drafts of an organisation; the oldest go first.
KEPT = 1000


class Changed(Exception):
    """Somebody else has changed it since: `by` (a name) to `version`."""

    def __init__(self, by: str, version: int) -> None:
        self.by, self.version = by, version
        super().__init__(f"{by} changed it to version {version}")


class NotFound(Exception):
    """There is no such thing in the caller's organisation."""


@dataclass(frozen=True, kw_only=True)
class NewRun:
    """A question to be answered; the fields of :class:`hub.store.Run`. key : digest of all that decides the answer."""

    key: str
    title: str
    solver: str
    until: Until
    case: dict[str, Any]
    case_si: dict[str, Any]
    geometry: str
    geometry_name: str
    estimate: dict[str, Any] | None = None


class Tenant:
    """What one organisation has. What it has not raises NotFound, whether it exists elsewhere or not."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    # --- files ---

    def add_file(self, sha256: str, name: str, size: int) -> File:
        """Note an upload; the second upload of the same content changes nothing."""
        key = {"organisation": self.caller.organisation, "sha256": sha256}
        with self._begin() as session:
            row = session.get(FileRow, key)
            if row is None:
                row = FileRow(**key, user=self.caller.user, name=name, bytes=size)
                session.add(row)
                session.flush()
            self._audit(session, "upload", sha256)
            return File.model_validate(row)

    def file(self, sha256: str) -> File:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            row = session.get(FileRow, {"organisation": self.caller.organisation, "sha256": sha256})
            if row is None:
                raise NotFound
            return File.model_validate(row)

    # --- runs ---

    def _mine(self) -> Select[RunRow]:
        return select(RunRow).where(RunRow.organisation == self.caller.organisation)

    def insert_run(self, new: NewRun, *, again: bool = False) -> tuple[Run, bool]:
        """The run of a question and whether it was opened now.

        The same question gives the same run while that run is under way or done; one that failed, was refused or
        cancelled is opened anew, as is a done one with `again`. The run and the message that starts it are written
        in one transaction.
        """
        with self._begin() as session:
            return self._insert_run(session, new, again)

    def _insert_run(self, session: Session, new: NewRun, again: bool) -> tuple[Run, bool]:
        latest = session.scalar(self._mine().where(RunRow.key == new.key).order_by(RunRow.turn.desc()).limit(1))
        if latest is not None:
            stands = {"queued", "running"} if again else {"queued", "running", "done"}
            if latest.state in stands:
                return Run.model_validate(latest), False
        row = self._open(session, new, 1 if latest is None else latest.turn + 1)
        self._audit(session, "submit", row.id)
        return Run.model_validate(row), True

    def _open(self, session: Session, new: NewRun, turn: int) -> RunRow:
        """A run with the message that starts it and its share of the quota."""
        asked = core_hours(new.estimate) if new.until == "report" else 0.0
        run_id = new_id()
        row = RunRow(
            id=run_id,
            organisation=self.caller.organisation,
            user=self.caller.user,
            turn=turn,
            state="queued",
            folder=f"runs/{run_id}",
            reserved=reserve(session, self.caller.organisation, asked),
            **vars(new),
        )
        session.add(row)
        session.flush()
        write_message(session, run_id, "stage")
        return row

    def reopen(self, run_id: str, case_si: dict[str, Any], estimate: dict[str, Any] | None) -> Run:
        """The same question as a fresh run, perhaps at another place; what is still under way of it is cancelled.

        Raises NotFound, QuotaReached.
        """
        with self._begin() as session:
            old = self._row(session, run_id)
            self._cancel(session, old)
            latest = select(func.max(RunRow.turn)).where(RunRow.organisation == old.organisation, RunRow.key == old.key)
            names = ("key", "title", "solver", "until", "case", "geometry", "geometry_name")
            new = NewRun(**{n: getattr(old, n) for n in names}, case_si=case_si, estimate=estimate)
            row = self._open(session, new, int(session.scalar(latest) or 0) + 1)
            row.user = old.user
            return Run.model_validate(row)

    def run(self, run_id: str) -> Run:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            return Run.model_validate(self._row(session, run_id))

    def _row(self, session: Session, run_id: str) -> RunRow:
        row = session.scalar(self._mine().where(RunRow.id == run_id))
        if row is None:
            raise NotFound
        return row

    def runs(self, *, state: str | None = None, limit: int = 50, before: str | None = None) -> Sequence[Run]:
        """Runs, newest first. state : one state, or ``active`` or ``ended``; before : only older than this id."""
        query = self._mine().order_by(RunRow.id.desc()).limit(limit)
        if state:
            query = query.where(RunRow.state.in_({"active": ACTIVE, "ended": ENDED}.get(state, {state})))
        if before:
            query = query.where(RunRow.id < before)
        with self._begin(read=True) as session:
            return [Run.model_validate(row) for row in session.scalars(query)]

    def cancel(self, run_id: str) -> Run:
        """Ask for the end of a run. It is ``cancelling`` until nothing of it runs; an ended one stays as it is."""
        with self._begin() as session:
            row = self._row(session, run_id)
            if self._cancel(session, row):
                self._audit(session, "cancel", row.id)
            session.refresh(row)
            return Run.model_validate(row)

    def _cancel(self, session: Session, row: RunRow) -> bool:
        changed = session.execute(
            update(RunRow)
            .where(RunRow.id == row.id, RunRow.state.in_(("queued", "running")))
            .values(state="cancelling")
            .returning(RunRow.id)
        ).first()
        if changed:
            write_message(session, row.id, "cancel")
        return changed is not None

    # --- drafts ---

    def new_draft(self, document: dict[str, Any]) -> Draft:
        """Begin a draft; of more than KEPT the oldest go."""
        with self._begin() as session:
            row = DraftRow(organisation=self.caller.organisation, user=self.caller.user, document=document)
            session.add(row)
            session.flush()
            oldest = self._drafts().offset(KEPT).with_only_columns(DraftRow.id)
            session.execute(delete(DraftRow).where(DraftRow.id.in_(list(session.scalars(oldest)))))
            return Draft.model_validate(row)

    def _drafts(self) -> Select[DraftRow]:
        mine = select(DraftRow).where(DraftRow.organisation == self.caller.organisation)
        return mine.order_by(DraftRow.changed.desc(), DraftRow.id.desc())

    def drafts(self, limit: int = 100) -> Sequence[Draft]:
        """Drafts, the one changed last first."""
        with self._begin(read=True) as session:
            return [Draft.model_validate(row) for row in session.scalars(self._drafts().limit(limit))]

    def draft(self, draft_id: str) -> Draft:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            return Draft.model_validate(self._draft(session, draft_id))

    def _draft(self, session: Session, draft_id: str) -> DraftRow:
        row = session.scalar(self._drafts().where(DraftRow.id == draft_id))
        if row is None:
            raise NotFound
        return row

    def keep_draft(self, draft_id: str, document: dict[str, Any], version: int | None) -> Draft:
        """Keep a draft as its next version. version : the one it was made from, None to replace whatever is there.

        Raises NotFound, Changed.
        """
        with self._begin() as session:
            row = self._draft(session, draft_id)
            if version is not None and row.version != version:
                name = session.scalar(select(UserRow.name).where(UserRow.id == row.user))
                raise Changed(str(name), row.version)
            values = {"document": document, "version": row.version + 1, "changed": time.time()}
            session.execute(update(DraftRow).where(DraftRow.id == row.id).values(**values, user=self.caller.user))
            session.refresh(row)
            return Draft.model_validate(row)

    def drop_draft(self, draft_id: str) -> None:
        """Raises NotFound."""
        with self._begin() as session:
            session.delete(self._draft(session, draft_id))

    # --- audit ---

    def audit(self, event: str, subject: str) -> None:
        """Note who did what."""
        with self._begin() as session:
            self._audit(session, event, subject)

    def events(self, limit: int = 100) -> Sequence[Event]:
        """The audit, newest first."""
        query = select(AuditRow).where(AuditRow.organisation == self.caller.organisation)
        with self._begin(read=True) as session:
            rows = session.scalars(query.order_by(AuditRow.id.desc()).limit(limit))
            return [Event.model_validate(row) for row in rows]

    def _audit(self, session: Session, event: str, subject: str) -> None:
        caller = self.caller
        session.add(AuditRow(organisation=caller.organisation, user=caller.user, event=event, subject=subject))
