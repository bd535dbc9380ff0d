"""Who wants to be told when a run has ended, and what is still to be told.

A notice is written in the transaction that ends the run, one of a kind for each run, and claimed by one sender at a
time. What cannot be delivered is tried again for a day; then it says why it was given up.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Literal

from sqlalchemy import ForeignKey, Text, UniqueConstraint, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from hub.store.tables import Base, Begin, Caller, Run, RunRow, _Row, new_id

#: ``leaving``: a mail that results leave the cluster they lie on.
Kind = Literal["mail", "webhook", "leaving"]
#: Pauses between tries [s]; after the last one a notice is given up.
PAUSES = (10.0, 60.0, 600.0, 3600.0, 20000.0, 60000.0)


class WishRow(Base):
    __tablename__ = "wishes"
    user: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    mail: Mapped[str] = mapped_column(Text)
    webhook: Mapped[str] = mapped_column(Text)
    secret: Mapped[str]
    language: Mapped[str]


class NoticeRow(Base):
    """state : ``due``, ``sent`` or ``given up``; `tries` also tells whose claim it is."""

    __tablename__ = "notices"
    __table_args__ = (UniqueConstraint("run", "kind"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    kind: Mapped[str]
    address: Mapped[str] = mapped_column(Text)
    secret: Mapped[str]
    language: Mapped[str]
    state: Mapped[str] = mapped_column(default="due")
    why: Mapped[str] = mapped_column(Text, default="")
    tries: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float] = mapped_column(default=0.0, index=True)
    created: Mapped[float] = mapped_column(default=time.time)


class Wish(_Row):
    """What somebody wants to be told by, empty for nothing. secret : signs what is sent to the webhook"""

    mail: str = ""
    webhook: str = ""
    secret: str = ""
    language: str = "en"


class Notice(_Row):
    """One thing to tell. Its id is the same at every try, so that who is told twice can see it."""

    id: str
    run: str
    kind: Kind
    address: str
    secret: str
    language: str
    state: str
    why: str
    tries: int


def tell(session: Session, run: RunRow) -> None:
    """Write the notices of a run that ends now."""
    wish = session.get(WishRow, (run.user, run.organisation))
    if wish is None or run.until == "mesh":  # who looks at a mesh waits for it
        return
    for kind, address in (("mail", wish.mail), ("webhook", wish.webhook)):
        if address:
            session.add(NoticeRow(run=run.id, kind=kind, address=address, secret=wish.secret, language=wish.language))


class Wishes:
    """What one person wants."""

    def __init__(self, begin: Begin, caller: Caller) -> None:
        self._begin, self.caller = begin, caller

    def wish(self) -> Wish:
        with self._begin(read=True) as session:
            row = session.get(WishRow, (self.caller.user, self.caller.organisation))
            return Wish() if row is None else Wish.model_validate(row)

    def want(self, *, mail: str, webhook: str, language: str) -> Wish:
        """Replace the wish; a webhook at another address gets another secret."""
        with self._begin() as session:
            row = session.get(WishRow, (self.caller.user, self.caller.organisation))
            same = row is not None and row.webhook == webhook and row.secret
            secret = row.secret if row is not None and same else secrets.token_hex(16) if webhook else ""
            made = WishRow(
                user=self.caller.user, organisation=self.caller.organisation, mail=mail, webhook=webhook,
                secret=secret, language=language,
            )  # fmt: skip
            return Wish.model_validate(session.merge(made))


class Notices:
    """All notices: for the reconciler, never for the API."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def due(self, *, limit: int = 10, lease: float = 120.0) -> Sequence[tuple[Notice, Run]]:
        """Claim what is due for `lease` seconds. Nobody else gets it meanwhile."""
        now = time.time()
        waits = select(NoticeRow).where(NoticeRow.state == "due", NoticeRow.not_before <= now)
        with self._begin(read=True) as session:
            if session.scalar(waits.limit(1)) is None:
                return []
        with self._begin() as session:
            found = []
            for row in session.scalars(waits.order_by(NoticeRow.id).limit(limit)).all():
                row.tries += 1
                row.not_before = now + lease
                found.append((row, session.get_one(RunRow, row.run)))
            session.flush()
            return [(Notice.model_validate(row), Run.model_validate(run)) for row, run in found]

    def leaving(self, run_id: str) -> None:
        """The owner of a run is to be told that what stayed on a cluster leaves it soon: once, however often asked."""
        with self._begin() as session:
            run = session.get(RunRow, run_id)
            wish = session.get(WishRow, (run.user, run.organisation)) if run is not None else None
            known = select(NoticeRow).where(NoticeRow.run == run_id, NoticeRow.kind == "leaving")
            if wish is not None and wish.mail and session.scalar(known) is None:
                session.add(NoticeRow(run=run_id, kind="leaving", address=wish.mail, secret="", language=wish.language))

    def told(self, notice: Notice) -> bool:
        """It has been delivered. False if the claim was somebody else's by then."""
        return self._change(notice, state="sent", why="")

    def failed(self, notice: Notice, why: str, *, for_good: bool = False) -> bool:
        """It could not be delivered: later again, or never."""
        if for_good or notice.tries > len(PAUSES):
            return self._change(notice, state="given up", why=why[:500])
        return self._change(notice, why=why[:500], not_before=time.time() + PAUSES[notice.tries - 1])

    def _change(self, notice: Notice, **values: object) -> bool:
        change = update(NoticeRow).where(
            NoticeRow.id == notice.id, NoticeRow.tries == notice.tries, NoticeRow.state == "due"
        )
        with self._begin() as session:
            return session.execute(change.values(**values).returning(NoticeRow.id)).first() is not None

    def of_run(self, run_id: str) -> Sequence[Notice]:
        with self._begin(read=True) as session:
            return [Notice.model_validate(r) for r in session.scalars(select(NoticeRow).where(NoticeRow.run == run_id))]
