"""The tables, and the rows as plain frozen data.

Times are seconds since 1970 UTC. Ids are 32 hexadecimal digits that sort by the time they were made.
"""

from __future__ import annotations

import secrets
import time
from contextlib import AbstractContextManager
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict
from sqlalchemy import JSON, BigInteger, Double, ForeignKey, MetaData, String, Text, UniqueConstraint, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from hub.runfolder import Stage

Role = Literal["engineer", "academic", "staff", "admin"]
State = Literal["queued", "running", "cancelling", "done", "failed", "refused", "cancelled"]
Until = Literal["mesh", "report"]
Action = Literal["stage", "collect", "cancel"]
TokenKind = Literal["api", "session", "login"]

#: States in which something may still happen, and those that are final.
ACTIVE: frozenset[State] = frozenset({"queued", "running", "cancelling"})
ENDED: frozenset[State] = frozenset({"done", "failed", "refused", "cancelled"})


def new_id() -> str:
    """A fresh id: 48 bits of milliseconds, then chance (the layout of UUID version 7)."""
    chance = secrets.randbits(80)
    number = (time.time_ns() // 1_000_000 << 80) | (chance & ~(0xF << 76) & ~(0x3 << 62)) | (7 << 76) | (2 << 62)
    return f"{number:032x}"


class Begin(Protocol):
    """Opens a transaction; see ``Store.begin``."""

    def __call__(self, *, read: bool = False) -> AbstractContextManager[Session]: ...


class Base(DeclarativeBase):
    """Names of constraints are fixed so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012
        str: String(200),
        int: BigInteger(),
        float: Double(),
        dict[str, Any]: JSON(none_as_null=True),
    }


class OrganisationRow(Base):
    __tablename__ = "organisations"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    created: Mapped[float] = mapped_column(default=time.time)


class UserRow(Base):
    __tablename__ = "users"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    created: Mapped[float] = mapped_column(default=time.time)


class MembershipRow(Base):
    __tablename__ = "memberships"
    user: Mapped[str] = mapped_column(ForeignKey("users.id"), primary_key=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    role: Mapped[str]


class TokenRow(Base):
    """Only the hash of a token is kept; a token acts for one user within one organisation."""

    __tablename__ = "tokens"
    hash: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    user: Mapped[str] = mapped_column(ForeignKey("users.id"), index=True)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"))
    created: Mapped[float] = mapped_column(default=time.time)
    expires: Mapped[float | None]
    name: Mapped[str | None] = mapped_column(Text)


class FileRow(Base):
    """That an organisation has uploaded a file. The content lies in the home under its sha256."""

    __tablename__ = "files"
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), primary_key=True)
    sha256: Mapped[str] = mapped_column(primary_key=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    name: Mapped[str] = mapped_column(Text)
    bytes: Mapped[int]
    created: Mapped[float] = mapped_column(default=time.time)


class RunRow(Base):
    """A run. `key` is the digest of the question, `turn` counts how often it was asked anew.

    reserved : core-hours of the organisation's quota that it holds until it ends
    """

    __tablename__ = "runs"
    __table_args__ = (UniqueConstraint("organisation", "key", "turn"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    key: Mapped[str]
    turn: Mapped[int]
    title: Mapped[str] = mapped_column(Text)
    solver: Mapped[str]
    until: Mapped[str]
    state: Mapped[str] = mapped_column(index=True)
    stage: Mapped[str | None]
    case: Mapped[dict[str, Any]]
    case_si: Mapped[dict[str, Any]]
    geometry: Mapped[str]
    geometry_name: Mapped[str] = mapped_column(Text)
    estimate: Mapped[dict[str, Any] | None]
    actual: Mapped[dict[str, Any] | None]
    failure: Mapped[dict[str, Any] | None]
    folder: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(default=time.time)
    started: Mapped[float | None]
    ended: Mapped[float | None]
    reserved: Mapped[float] = mapped_column(default=0.0, server_default="0")


class DraftRow(Base):
    """A case in the making, as the pages keep it. `version` counts how often it was kept."""

    __tablename__ = "drafts"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    version: Mapped[int] = mapped_column(default=1)
    document: Mapped[dict[str, Any]]
    changed: Mapped[float] = mapped_column(default=time.time)


class AttemptRow(Base):
    __tablename__ = "attempts"
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"), primary_key=True)
    stage: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    job: Mapped[str] = mapped_column(unique=True)
    handle: Mapped[str | None] = mapped_column(Text)
    state: Mapped[str]
    created: Mapped[float] = mapped_column(default=time.time)


class OutboxRow(Base):
    """What is to be done about a run; at most one message of an action. `tries` also tells whose claim it is."""

    __tablename__ = "outbox"
    __table_args__ = (UniqueConstraint("run", "action"),)
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    run: Mapped[str] = mapped_column(ForeignKey("runs.id"))
    action: Mapped[str]
    tries: Mapped[int] = mapped_column(default=0)
    not_before: Mapped[float] = mapped_column(default=0.0, index=True)


class AuditRow(Base):
    __tablename__ = "audit"
    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    organisation: Mapped[str] = mapped_column(ForeignKey("organisations.id"), index=True)
    user: Mapped[str] = mapped_column(ForeignKey("users.id"))
    event: Mapped[str]
    subject: Mapped[str] = mapped_column(Text)
    created: Mapped[float] = mapped_column(default=time.time)


# --- rows as plain data ---------------------------------------------------------------------------------------


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, from_attributes=True)


class Caller(_Row):
    """Who asks: a user within one organisation. house : it is the organisation that keeps the hub, the oldest one."""

    user: str
    user_name: str
    organisation: str
    organisation_name: str
    role: Role
    house: bool = False


class File(_Row):
    """An uploaded file: sha256 as hexadecimal digits, the name it was uploaded under, size [byte]."""

    sha256: str
    name: str
    bytes: int
    created: float


class Run(_Row):
    """A run.

    case, case_si : as typed, and as run folders hold it
    geometry : sha256 of the file in ``<home>/files``; geometry_name : what it was called
    folder : below the home
    created, started, ended : seconds since 1970 UTC
    """

    id: str
    organisation: str
    user: str
    key: str
    turn: int
    title: str
    solver: str
    until: Until
    state: State
    stage: Stage | None
    case: dict[str, Any]
    case_si: dict[str, Any]
    geometry: str
    geometry_name: str
    estimate: dict[str, Any] | None
    actual: dict[str, Any] | None
    failure: dict[str, Any] | None
    folder: str
    created: float
    started: float | None
    ended: float | None


class Draft(_Row):
    """A case in the making. user : who kept this version; changed : seconds since 1970 UTC"""

    id: str
    user: str
    version: int
    document: dict[str, Any]
    changed: float


class AttemptRecord(_Row):
    """An attempt as the store knows it; the folder and the executor know better."""

    run: str
    stage: Stage
    number: int
    job: str
    handle: str | None
    state: str


class Message(_Row):
    """Something to do about a run, claimed for a while."""

    id: str
    run: str
    action: Action
    tries: int


class Event(_Row):
    """One line of the audit."""

    id: str
    organisation: str
    user: str
    event: str
    subject: str
    created: float


def write_message(session: Session, run_id: str, action: Action) -> bool:
    """Write a message; False if one of that action is waiting already."""
    if session.scalar(select(OutboxRow.id).where(OutboxRow.run == run_id, OutboxRow.action == action)):
        return False
    session.add(OutboxRow(run=run_id, action=action, not_before=time.time()))
    return True
