"""Organisations, users, roles and tokens. Of a token only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hub.store.tables import (
    AuditRow,
    Begin,
    Caller,
    MembershipRow,
    OrganisationRow,
    Role,
    TokenKind,
    TokenRow,
    UserRow,
)


def _hash(token: str) -> str:
    # A token has 256 bits of chance: unlike a password it needs no slow hash.
    return hashlib.sha256(token.encode()).hexdigest()


#: Digits of a token's hash that name it.
SHORT = 16


@dataclass(frozen=True)
class Token:
    """kind : of a program (``api``) or a browser (``session``); times : seconds since 1970 UTC"""

    id: str
    kind: str
    name: str
    created: float
    expires: float | None


@dataclass(frozen=True)
class Member:
    id: str
    name: str
    role: str


class Members:
    """Who there is and what proves it."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def first(self, organisation: str, user: str) -> Caller:
        """The oldest organisation and its first administrator, made under these names if there is none."""
        with self._begin() as session:
            found = session.execute(
                select(UserRow, OrganisationRow)
                .join(MembershipRow, MembershipRow.user == UserRow.id)
                .join(OrganisationRow, MembershipRow.organisation == OrganisationRow.id)
                .where(MembershipRow.role == "admin")
                .order_by(OrganisationRow.id, UserRow.id)
                .limit(1)
            ).first()
            if found is None:
                made, house = UserRow(name=user), OrganisationRow(name=organisation)
                session.add_all([made, house])
                session.flush()
                session.add(MembershipRow(user=made.id, organisation=house.id, role="admin"))
            else:
                made, house = found
            return _caller(made, house, "admin", _oldest(session))

    def add(self, organisation: str, user: str, role: Role) -> Caller:
        """A user, made if new, with a role in an organisation of that name, made if new."""
        with self._begin() as session:
            house = session.scalar(select(OrganisationRow).where(OrganisationRow.name == organisation))
            person = session.scalar(select(UserRow).where(UserRow.name == user))
            house, person = house or OrganisationRow(name=organisation), person or UserRow(name=user)
            session.add_all([house, person])
            session.flush()
            session.merge(MembershipRow(user=person.id, organisation=house.id, role=role))
            return _caller(person, house, role, _oldest(session))

    def mint(self, caller: Caller, kind: TokenKind = "api", lasts: float | None = None) -> str:
        """A new token for a caller. lasts : seconds until it is void; None for ever."""
        token = secrets.token_urlsafe(32)
        expires = None if lasts is None else time.time() + lasts
        with self._begin() as session:
            session.add(
                TokenRow(
                    hash=_hash(token), kind=kind, user=caller.user, organisation=caller.organisation, expires=expires
                )
            )
        return token

    def name_token(self, caller: Caller, name: str, lasts: float | None) -> str:
        """A named token for a program."""
        token = self.mint(caller, "api", lasts)
        with self._begin() as session:
            session.get_one(TokenRow, _hash(token)).name = name
            self._note(session, caller, "make token", _hash(token)[:SHORT])
        return token

    def tokens(self, caller: Caller) -> Sequence[Token]:
        """The caller's own tokens that still work, those for logging in left out; newest first."""
        with self._begin(read=True) as session:
            rows = session.scalars(
                select(TokenRow)
                .where(
                    TokenRow.user == caller.user,
                    TokenRow.organisation == caller.organisation,
                    TokenRow.kind != "login",
                    (TokenRow.expires.is_(None)) | (TokenRow.expires > time.time()),
                )
                .order_by(TokenRow.created.desc())
            )
            return [
                Token(id=r.hash[:SHORT], kind=r.kind, name=r.name or "", created=r.created, expires=r.expires)
                for r in rows
            ]

    def revoke(self, caller: Caller, token_id: str) -> bool:
        """End one of the caller's own tokens, named by the beginning of its hash. False where there is none."""
        with self._begin() as session:
            row = session.scalar(
                select(TokenRow).where(
                    TokenRow.hash.startswith(token_id, autoescape=True),
                    TokenRow.user == caller.user,
                    TokenRow.organisation == caller.organisation,
                )
            )
            if row is None or len(token_id) != SHORT:
                return False
            session.delete(row)
            self._note(session, caller, "revoke token", token_id)
            return True

    def log_out(self, token: str) -> None:
        """End a session."""
        with self._begin() as session:
            row = session.get(TokenRow, _hash(token))
            if row is not None and row.kind == "session":
                session.delete(row)
                session.add(AuditRow(organisation=row.organisation, user=row.user, event="log-out", subject=""))

    def members(self, organisation: str) -> Sequence[Member]:
        """Who belongs to an organisation, by name."""
        with self._begin(read=True) as session:
            rows = session.execute(
                select(UserRow.id, UserRow.name, MembershipRow.role)
                .join(MembershipRow, MembershipRow.user == UserRow.id)
                .where(MembershipRow.organisation == organisation)
                .order_by(UserRow.name)
            )
            return [Member(id=i, name=n, role=r) for i, n, r in rows]

    def known(self, user: str) -> bool:
        """There is somebody of that name, in whatever organisation."""
        with self._begin(read=True) as session:
            return session.scalar(select(UserRow.id).where(UserRow.name == user)) is not None

    def organisation(self, name: str) -> str | None:
        """The id of an organisation."""
        with self._begin(read=True) as session:
            return session.scalar(select(OrganisationRow.id).where(OrganisationRow.name == name))

    def remove(self, organisation: str, user: str) -> bool:
        """End a membership and all its tokens; runs stay. False where there is none, or it is the last administrator's.

        user : id
        """
        with self._begin() as session:
            row = session.get(MembershipRow, (user, organisation))
            admins = select(MembershipRow.user).where(
                MembershipRow.organisation == organisation, MembershipRow.role == "admin"
            )
            if row is None or list(session.scalars(admins)) == [user]:
                return False
            session.execute(delete(TokenRow).where(TokenRow.user == user, TokenRow.organisation == organisation))
            session.delete(row)
            return True

    def note(self, caller: Caller, event: str, subject: str) -> None:
        with self._begin() as session:
            self._note(session, caller, event, subject)

    def _note(self, session: Session, caller: Caller, event: str, subject: str) -> None:
        session.add(AuditRow(organisation=caller.organisation, user=caller.user, event=event, subject=subject))

    def who(self, token: str) -> Caller | None:
        """Whose token this is, unless it is void or only good for logging in."""
        with self._begin(read=True) as session:
            found = session.execute(
                select(UserRow, OrganisationRow, MembershipRow.role)
                .join(TokenRow, TokenRow.user == UserRow.id)
                .join(OrganisationRow, TokenRow.organisation == OrganisationRow.id)
                .join(
                    MembershipRow,
                    (MembershipRow.user == UserRow.id) & (MembershipRow.organisation == OrganisationRow.id),
                )
                .where(
                    TokenRow.hash == _hash(token),
                    TokenRow.kind != "login",
                    (TokenRow.expires.is_(None)) | (TokenRow.expires > time.time()),
                )
            ).first()
            return None if found is None else _caller(*found, _oldest(session))

    def log_in(self, token: str, lasts: float) -> str | None:
        """A session token for whoever holds this token; a token of kind ``login`` is used up by it."""
        with self._begin() as session:
            row = session.get(TokenRow, _hash(token))
            if row is None or (row.expires is not None and row.expires <= time.time()) or row.kind == "session":
                return None
            if row.kind == "login":
                session.delete(row)
            made = secrets.token_urlsafe(32)
            session.add(
                TokenRow(
                    hash=_hash(made),
                    kind="session",
                    user=row.user,
                    organisation=row.organisation,
                    expires=time.time() + lasts,
                )
            )
            session.add(AuditRow(organisation=row.organisation, user=row.user, event="log-in", subject=""))
            session.execute(delete(TokenRow).where(TokenRow.expires < time.time()))
            return made


def _oldest(session: Session) -> str | None:
    """The organisation that keeps the hub."""
    return session.scalar(select(OrganisationRow.id).order_by(OrganisationRow.created, OrganisationRow.id).limit(1))


def _caller(user: UserRow, organisation: OrganisationRow, role: str, oldest: str | None) -> Caller:
    return Caller.model_validate(
        {
            "user": user.id,
            "user_name": user.name,
            "organisation": organisation.id,
            "organisation_name": organisation.name,
            "role": role,
            "house": organisation.id == oldest,
        }
    )
