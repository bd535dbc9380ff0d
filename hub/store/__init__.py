"""The store: who may do what, which files and runs there are, what is to be done next.

``store.within(caller)`` is the only way for the API to see files and runs: everything asked there is filtered by the
caller's organisation. ``store.orchestration`` sees all runs; nothing under ``hub/api`` may use it (a test looks).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.orm import Session

from hub.settings import Settings
from hub.store.house import BoardRun, Deed, House, Usage
from hub.store.members import Members
from hub.store.notices import Notice, Notices, Wish, Wishes
from hub.store.orchestration import Orchestration
from hub.store.quotas import Quota, QuotaReached
from hub.store.shares import OpenShares, Share, Shares
from hub.store.studies import GOING, AllStudies, NewStudy, Studies, StudyRecord, StudyState
from hub.store.tables import ACTIVE, ENDED, AttemptRecord, Caller, Draft, Event, File, Message, Role, Run, State
from hub.store.tenant import Changed, NewRun, NotFound, Tenant
from hub.store.workshop import Proof, Publication, Standing, Workshop

__all__ = [
    "ACTIVE",
    "ENDED",
    "GOING",
    "AllStudies",
    "AttemptRecord",
    "BoardRun",
    "Caller",
    "Changed",
    "Deed",
    "Draft",
    "Event",
    "File",
    "House",
    "Message",
    "NewRun",
    "NewStudy",
    "NotFound",
    "Notice",
    "Notices",
    "OpenShares",
    "Orchestration",
    "Proof",
    "Publication",
    "Quota",
    "QuotaReached",
    "Role",
    "Run",
    "Share",
    "Shares",
    "Standing",
    "State",
    "Store",
    "StoreTooNew",
    "Studies",
    "StudyRecord",
    "StudyState",
    "Tenant",
    "Usage",
    "Wish",
    "Wishes",
    "Workshop",
    "open_store",
]

#: How long a writer waits for another one [s].
PATIENCE = 30
#: How a transaction that writes begins: one writer at a time, so that what it has read stays true until it commits.
#: On SQLite a writer would otherwise fail halfway; on PostgreSQL two could insert the same run. Writes are short.
_WRITE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(65308)"}
_READ = {"sqlite": "BEGIN", "postgresql": "SELECT 1"}


class StoreTooNew(Exception):
    """The database was made by a newer version of the hub."""


class Store:
    """One database. Opening brings its schema up to date; several processes may open it at once."""

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._migrate()

    @contextmanager
    def begin(self, *, read: bool = False) -> Iterator[Session]:
        """A transaction: committed at the end of the block, rolled back by an exception.

        There is one writer at a time; readers wait for nobody.
        """
        with Session(self.engine.execution_options(read=read), expire_on_commit=False) as session, session.begin():
            yield session

    @cached_property
    def members(self) -> Members:
        """Organisations, users, roles, tokens."""
        return Members(self.begin)

    def within(self, caller: Caller) -> Tenant:
        """Files and runs of the caller's organisation; nothing else exists there."""
        return Tenant(self.begin, caller)

    @cached_property
    def orchestration(self) -> Orchestration:
        """All runs, for the dispatcher, the reconciler and the flows."""
        return Orchestration(self.begin)

    def studies(self, caller: Caller) -> Studies:
        """Studies of the caller's organisation."""
        return Studies(self.begin, caller)

    def house(self, caller: Caller) -> House:
        """All organisations, without what is theirs. Whether the caller may is for who asks to see."""
        return House(self.begin, caller)

    def wishes(self, caller: Caller) -> Wishes:
        """What the caller wants to be told by."""
        return Wishes(self.begin, caller)

    @cached_property
    def notices(self) -> Notices:
        """All notices, for whoever sends them."""
        return Notices(self.begin)

    def shares(self, caller: Caller) -> Shares:
        """Links to results of the caller's organisation."""
        return Shares(self.begin, caller)

    @cached_property
    def open_shares(self) -> OpenShares:
        """What a link shows to whoever has it."""
        return OpenShares(self.begin)

    def workshop(self, caller: Caller) -> Workshop:
        """Proofs and publications of solvers."""
        return Workshop(self.begin, caller)

    @cached_property
    def all_studies(self) -> AllStudies:
        """All studies, for whoever walks them."""
        return AllStudies(self.begin)

    def ping(self) -> None:
        """Raises an error of the database if it does not answer."""
        with self.begin(read=True) as session:
            session.execute(text("SELECT 1"))

    def close(self) -> None:
        self.engine.dispose()

    def _migrate(self) -> None:
        config = Config()
        config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
        with self.engine.begin() as connection:
            config.attributes["connection"] = connection
            try:
                command.upgrade(config, "head")
            except CommandError as error:
                raise StoreTooNew(
                    f"The database {self.engine.url.render_as_string()} cannot be used: {error}. "
                    "It was made by a newer version of Officina; update this one."
                ) from None


def open_store(settings: Settings) -> Store:
    """The store of a home, its folders made where needed. Raises OSError, StoreTooNew."""
    settings.make_home()
    return Store(settings.database_url)


def _engine(url: str) -> Engine:
    dialect = make_url(url).get_backend_name()
    if dialect not in _WRITE:
        raise ValueError(f"the database URL names {dialect}; the hub knows {' and '.join(_WRITE)}")
    waiting = {"timeout": PATIENCE} if dialect == "sqlite" else {}
    engine = create_engine(url, connect_args=waiting, pool_size=16, max_overflow=48, pool_pre_ping=dialect != "sqlite")

    @event.listens_for(engine, "begin")
    def _on_begin(connection: Connection) -> None:
        read = connection.get_execution_options().get("read")
        connection.exec_driver_sql((_READ if read else _WRITE)[dialect])

    if dialect == "sqlite":

        @event.listens_for(engine, "connect")
        def _on_connect(connection: Any, _record: Any) -> None:
            connection.isolation_level = None  # transactions are begun above, by us
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA foreign_keys=ON")

    return engine
