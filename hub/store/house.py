"""What the staff of the house see of all organisations: runs without their content, usage, quotas, the audit.

Titles, names of parts, cases and results are not read here, so that no page of theirs can show them.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from hub.runfolder import Stage
from hub.store.notices import NoticeRow
from hub.store.quotas import Quota, QuotaRow, core_hours
from hub.store.tables import (
    ACTIVE,
    AuditRow,
    Begin,
    Caller,
    FileRow,
    MembershipRow,
    OrganisationRow,
    RunRow,
    State,
    Until,
    UserRow,
    _Row,
)
from hub.store.tenant import NotFound, Tenant


class BoardRun(_Row):
    """A run without anything that a customer typed. failure : the code alone; folder : below the home"""

    id: str
    organisation: str
    organisation_name: str
    solver: str
    until: Until
    state: State
    stage: Stage | None
    estimate: dict[str, Any] | None
    actual: dict[str, Any] | None
    failure: str | None
    cluster: str | None
    folder: str
    created: float
    started: float | None
    ended: float | None


class Usage(_Row):
    """What an organisation has and has used since `since`. stored : of its uploads [byte]"""

    id: str
    name: str
    members: int
    runs: int
    active: int
    failed: int
    core_hours: float
    cost: float
    energy: float
    stored: int
    quota: Quota


class Deed(_Row):
    """Who did what when. subject : ids and names of the hub's own things only"""

    id: str
    created: float
    organisation: str
    user: str
    event: str
    subject: str


class House:
    """For staff and administrators of the organisation that keeps the hub."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    def runs(self, *, since: float, limit: int = 300) -> Sequence[BoardRun]:
        """Runs under way, and those that ended since a time; newest first."""
        query = (
            select(RunRow, OrganisationRow.name)
            .join(OrganisationRow, OrganisationRow.id == RunRow.organisation)
            .where(or_(RunRow.state.in_(ACTIVE), RunRow.ended >= since))
            .order_by(RunRow.id.desc())
            .limit(limit)
        )
        with self._begin(read=True) as session:
            return [_on_board(row, name) for row, name in session.execute(query)]

    def run(self, run_id: str) -> BoardRun:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            row, name = self._row(session, run_id)
            return _on_board(row, name)

    def _row(self, session: Session, run_id: str) -> tuple[RunRow, str]:
        found = session.execute(
            select(RunRow, OrganisationRow.name)
            .join(OrganisationRow, OrganisationRow.id == RunRow.organisation)
            .where(RunRow.id == run_id)
        ).first()
        if found is None:
            raise NotFound
        return found[0], found[1]

    def tenant_of(self, run_id: str) -> Tenant:
        """The organisation of a run, to act on that run in the name of whoever submitted it. Raises NotFound."""
        with self._begin(read=True) as session:
            row, name = self._row(session, run_id)
            who = Caller(
                user=row.user, user_name="", organisation=row.organisation, organisation_name=name, role="staff"
            )
        return Tenant(self._begin, who)

    def cancel(self, run_id: str) -> None:
        """Raises NotFound."""
        with self._begin(read=True) as session:
            row, name = self._row(session, run_id)
        here = self.caller.model_copy(update={"organisation": row.organisation, "organisation_name": name})
        Tenant(self._begin, here).cancel(run_id)  # noted there under the name of who did it

    def organisations(self, *, since: float) -> Sequence[Usage]:
        """Every organisation, by name."""
        with self._begin(read=True) as session:
            houses = session.scalars(select(OrganisationRow).order_by(OrganisationRow.name)).all()
            members = _counted(session, select(MembershipRow.organisation, func.count()).group_by("organisation"))
            stored = _counted(session, select(FileRow.organisation, func.sum(FileRow.bytes)).group_by("organisation"))
            quotas = {q.organisation: Quota.model_validate(q) for q in session.scalars(select(QuotaRow))}
            sums: defaultdict[str, defaultdict[str, float]] = defaultdict(lambda: defaultdict(float))
            rows = session.execute(
                select(RunRow.organisation, RunRow.state, RunRow.actual).where(
                    or_(RunRow.state.in_(ACTIVE), RunRow.created >= since)
                )
            )
            for house, state, actual in rows:
                of = sums[house]
                of["runs"] += 1
                of["active"] += state in ACTIVE
                of["failed"] += state == "failed"
                of["core_hours"] += core_hours(actual)
                of["cost"] += float((actual or {}).get("cost") or 0.0)
                of["energy"] += float((actual or {}).get("energy") or 0.0)
            return [
                Usage(
                    id=h.id,
                    name=h.name,
                    members=int(members.get(h.id, 0)),
                    runs=int(sums[h.id]["runs"]),
                    active=int(sums[h.id]["active"]),
                    failed=int(sums[h.id]["failed"]),
                    core_hours=sums[h.id]["core_hours"],
                    cost=sums[h.id]["cost"],
                    energy=sums[h.id]["energy"],
                    stored=int(stored.get(h.id, 0)),
                    quota=quotas.get(h.id, Quota()),
                )
                for h in houses
            ]

    def set_quota(self, organisation: str, limit: float | None, *, anew: bool = False) -> Quota:
        """Allow so many core-hours, None for any number. anew : what was spent counts no more. Raises NotFound."""
        with self._begin() as session:
            if session.get(OrganisationRow, organisation) is None:
                raise NotFound
            row = session.get(QuotaRow, organisation) or QuotaRow(organisation=organisation)
            session.add(row)
            row.core_hours = limit
            if anew:
                row.spent, row.since = 0.0, time.time()
            session.flush()
            self._note(session, "set quota", f"{organisation} {'none' if limit is None else f'{limit:g}'}")
            return Quota.model_validate(row)

    def deeds(self, *, limit: int = 200, before: str | None = None) -> Sequence[Deed]:
        """The audit of all organisations, newest first."""
        query = (
            select(AuditRow, OrganisationRow.name, UserRow.name)
            .join(OrganisationRow, OrganisationRow.id == AuditRow.organisation)
            .join(UserRow, UserRow.id == AuditRow.user)
            .order_by(AuditRow.id.desc())
            .limit(limit)
        )
        if before:
            query = query.where(AuditRow.id < before)
        with self._begin(read=True) as session:
            return [
                Deed(id=a.id, created=a.created, organisation=house, user=user, event=a.event,
                     subject=_subject(a.subject))
                for a, house, user in session.execute(query)
            ]  # fmt: skip

    def note(self, event: str, subject: str) -> None:
        """Note what staff did."""
        with self._begin() as session:
            self._note(session, event, subject)

    def _note(self, session: Session, event: str, subject: str) -> None:
        who = self.caller
        session.add(AuditRow(organisation=who.organisation, user=who.user, event=event, subject=subject))

    def notices(self) -> dict[str, int]:
        """How many notices are due, sent and given up."""
        with self._begin(read=True) as session:
            return {s: n for s, n in session.execute(select(NoticeRow.state, func.count()).group_by(NoticeRow.state))}


def _subject(text: str) -> str:
    """What follows an id may be the name of a file; and who has a part at hand must not recognise its digest."""
    first = text.partition(" ")[0]
    return f"{first[:12]}…" if len(first) == 64 else first


def _counted(session: Session, query: Any) -> dict[str, int]:
    return {name: int(number or 0) for name, number in session.execute(query)}


def _on_board(row: RunRow, organisation_name: str) -> BoardRun:
    cluster = (row.case_si.get("resources") or {}).get("cluster")
    names = ("id", "organisation", "solver", "until", "state", "stage", "folder", "created", "started", "ended")
    return BoardRun.model_validate(
        {name: getattr(row, name) for name in names}
        | {
            "organisation_name": organisation_name,
            "estimate": _numbers(row.estimate),
            "actual": _numbers(row.actual),
            "failure": str((row.failure or {}).get("code") or "") or None,
            "cluster": cluster if isinstance(cluster, str) else None,
        }
    )


def _numbers(found: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if found is None else {k: v for k, v in found.items() if isinstance(v, (int, float))}
