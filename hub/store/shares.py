"""Links by which a reader without an account sees the result of one run, until they expire or are revoked."""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import Mapped, mapped_column

from hub.store.tables import AuditRow, Base, Begin, Caller, Run, RunRow, _Row, new_id
from hub.store.tenant import NotFound


class ShareRow(Base):
    __tablename__ = "shares"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"), index=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    files: Mapped[bool]
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float]
    revoked: Mapped[float | None]


class Share(_Row):
    """files : fields, 3D and report may be taken as well. Times: seconds since 1970 UTC."""

    id: str
    run: str
    files: bool
    created: float
    expires: float
    revoked: float | None


class Shares:
    """The links of one organisation. What it has not raises NotFound."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    def share(self, run_id: str, *, lasts: float, files: bool) -> Share:
        """A new link to a run. lasts : seconds until it is void."""
        with self._begin() as session:
            run = session.get(RunRow, run_id)
            if run is None or run.organisation != self.caller.organisation:
                raise NotFound
            row = ShareRow(
                run=run_id, organisation=run.organisation, user=self.caller.user, files=files,
                expires=time.time() + lasts, revoked=None,
            )  # fmt: skip
            session.add(row)
            session.flush()
            self._audit(session, "share", f"{run_id} {row.id}")
            return Share.model_validate(row)

    def of_run(self, run_id: str) -> Sequence[Share]:
        """The links to a run that still work."""
        query = select(ShareRow).where(
            ShareRow.run == run_id,
            ShareRow.organisation == self.caller.organisation,
            ShareRow.revoked.is_(None),
            ShareRow.expires > time.time(),
        )
        with self._begin(read=True) as session:
            return [Share.model_validate(row) for row in session.scalars(query.order_by(ShareRow.id.desc()))]

    def revoke(self, run_id: str, share_id: str) -> None:
        """Raises NotFound."""
        with self._begin() as session:
            row = session.get(ShareRow, share_id)
            if row is None or row.run != run_id or row.organisation != self.caller.organisation:
                raise NotFound
            if row.revoked is None:
                row.revoked = time.time()
                self._audit(session, "revoke share", f"{run_id} {share_id}")

    def _audit(self, session, event: str, subject: str) -> None:  # type: ignore[no-untyped-def]
        who = self.caller
        session.add(AuditRow(organisation=who.organisation, user=who.user, event=event, subject=subject))


class OpenShares:
    """What a link shows, whoever has it. The link's signature is the caller's to check."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def shared(self, share_id: str) -> tuple[Share, Run]:
        """Raises NotFound for a link that is void, or never was."""
        with self._begin(read=True) as session:
            row = session.get(ShareRow, share_id)
            if row is None or row.revoked is not None or row.expires <= time.time():
                raise NotFound
            return Share.model_validate(row), Run.model_validate(session.get_one(RunRow, row.run))
