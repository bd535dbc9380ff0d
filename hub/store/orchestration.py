"""All runs, whoever's they are: for the dispatcher, the reconciler and the flows, never for the API.

States change by compare-and-set: whoever comes second learns it. Messages are claimed for a while; a claim that is
neither done nor put off in time is given to the next who asks.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.orm import Session

from hub.runfolder import Stage
from hub.store.notices import tell
from hub.store.quotas import core_hours, settle
from hub.store.tables import (
    ACTIVE,
    ENDED,
    Action,
    AttemptRecord,
    AttemptRow,
    Begin,
    Message,
    OutboxRow,
    Run,
    RunRow,
    State,
    write_message,
)


class Orchestration:
    """What there is to do, and what has been done."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    # --- messages ---

    def due(self, *, limit: int = 10, lease: float = 60.0) -> Sequence[Message]:
        """Claim the messages that are due, oldest first, for `lease` seconds. Nobody else gets them meanwhile."""
        now = time.time()
        with self._begin(read=True) as session:  # an idle dispatcher takes no lock
            if session.scalar(select(OutboxRow.id).where(OutboxRow.not_before <= now).limit(1)) is None:
                return []
        with self._begin() as session:
            rows = session.scalars(
                select(OutboxRow).where(OutboxRow.not_before <= now).order_by(OutboxRow.id).limit(limit)
            ).all()
            for row in rows:
                row.tries += 1
                row.not_before = now + lease
            session.flush()
            return [Message.model_validate(row) for row in rows]

    def done(self, message: Message) -> bool:
        """The message has been acted on. False if the claim had run out and is somebody else's now."""
        with self._begin() as session:
            ended = delete(OutboxRow).where(OutboxRow.id == message.id, OutboxRow.tries == message.tries)
            return session.execute(ended.returning(OutboxRow.id)).first() is not None

    def retry(self, message: Message, delay: float) -> bool:
        """Put the message off for `delay` seconds. False as for :meth:`done`."""
        later = update(OutboxRow).where(OutboxRow.id == message.id, OutboxRow.tries == message.tries)
        with self._begin() as session:
            values = later.values(not_before=time.time() + delay).returning(OutboxRow.id)
            return session.execute(values).first() is not None

    def post(self, run_id: str, action: Action) -> bool:
        """Ask for something to be done about a run. False if that was asked already and is still to be done."""
        with self._begin() as session:
            return write_message(session, run_id, action)

    # --- runs ---

    def run(self, run_id: str) -> Run | None:
        with self._begin(read=True) as session:
            row = session.get(RunRow, run_id)
            return None if row is None else Run.model_validate(row)

    def advance(
        self,
        run_id: str,
        *,
        expect: Collection[State],
        state: State | None = None,
        stage: Stage | None = None,
        failure: dict[str, Any] | None = None,
        actual: dict[str, Any] | None = None,
        post: Action | None = None,
    ) -> bool:
        """Change a run if it is in one of the states expected; None leaves a field as it is.

        post : a message written in the same transaction
        Sets `started` when the run first runs and `ended` when it ends. False if it was in another state.
        """
        now = time.time()
        values: dict[str, Any] = {"stage": stage, "failure": failure, "actual": actual, "state": state}
        values = {name: value for name, value in values.items() if value is not None}
        if state == "running":
            values["started"] = func.coalesce(RunRow.started, now)
        if state in ENDED:
            values["ended"] = now
        if not values:
            raise ValueError("nothing to change")
        with self._begin() as session:
            changed = session.execute(
                update(RunRow)
                .where(RunRow.id == run_id, RunRow.state.in_(expect))
                .values(values)
                .returning(RunRow.id)
                .execution_options(synchronize_session=False)
            ).first()
            if changed and post:
                write_message(session, run_id, post)
            if changed and state in ENDED:
                self._close(session, run_id)
            return changed is not None

    def _close(self, session: Session, run_id: str) -> None:
        """What the end of a run brings with it, in the same transaction: the quota is settled, its people are told."""
        row = session.get_one(RunRow, run_id, populate_existing=True)
        settle(session, row.organisation, row.reserved, core_hours(row.actual))
        row.reserved = 0.0
        tell(session, row)

    def active(self) -> Sequence[Run]:
        """Runs in which something may still happen, oldest first."""
        with self._begin(read=True) as session:
            rows = session.scalars(select(RunRow).where(RunRow.state.in_(ACTIVE)).order_by(RunRow.id))
            return [Run.model_validate(row) for row in rows]

    def ended(self, *, since: float, limit: int = 100) -> Sequence[Run]:
        """Runs that ended since a time [s since 1970], newest first."""
        query = select(RunRow).where(RunRow.ended >= since).order_by(RunRow.ended.desc()).limit(limit)
        with self._begin(read=True) as session:
            return [Run.model_validate(row) for row in session.scalars(query)]

    def failures(self, limit: int = 20) -> Sequence[Run]:
        """The runs that failed last, newest first."""
        query = select(RunRow).where(RunRow.state == "failed").order_by(RunRow.ended.desc()).limit(limit)
        with self._begin(read=True) as session:
            return [Run.model_validate(row) for row in session.scalars(query)]

    def counts(self) -> dict[State, int]:
        """How many runs are in each state."""
        with self._begin(read=True) as session:
            return {s: n for s, n in session.execute(select(RunRow.state, func.count()).group_by(RunRow.state))}  # type: ignore[misc]

    # --- attempts ---

    def record_attempt(
        self, run_id: str, stage: Stage, number: int, *, job: str, handle: str | None = None, state: str = "made"
    ) -> None:
        """Write down an attempt, or what has become of it; a handle once known is kept."""
        with self._begin() as session:
            row = session.get(AttemptRow, (run_id, stage, number))
            if row is None:
                session.add(AttemptRow(run=run_id, stage=stage, number=number, job=job, handle=handle, state=state))
            else:
                row.state, row.handle = state, handle or row.handle

    def attempts(self, run_id: str) -> Sequence[AttemptRecord]:
        """The attempts of a run in the order of the stages, then of their numbers."""
        order = case({"check": 0, "mesh": 1, "solve": 2, "report": 3}, value=AttemptRow.stage)
        query = select(AttemptRow).where(AttemptRow.run == run_id).order_by(order, AttemptRow.number)
        with self._begin(read=True) as session:
            return [AttemptRecord.model_validate(row) for row in session.scalars(query)]
