"""Organisations, users, roles and tokens. Of a token only its hash is kept."""

from __future__ import annotations

import hashlib
import secrets
import time

from sqlalchemy import delete, select

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
            return _caller(made, house, "admin")

    def add(self, organisation: str, user: str, role: Role) -> Caller:
        """A user, made if new, with a role in an organisation of that name, made if new."""
        with self._begin() as session:
            house = session.scalar(select(OrganisationRow).where(OrganisationRow.name == organisation))
            person = session.scalar(select(UserRow).where(UserRow.name == user))
            house, person = house or OrganisationRow(name=organisation), person or UserRow(name=user)
            session.add_all([house, person])
            session.flush()
            session.merge(MembershipRow(user=person.id, organisation=house.id, role=role))
            return _caller(person, house, role)

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
            return None if found is None else _caller(*found)

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


def _caller(user: UserRow, organisation: OrganisationRow, role: str) -> Caller:
    return Caller.model_validate(
        {
            "user": user.id,
            "user_name": user.name,
            "organisation": organisation.id,
            "organisation_name": organisation.name,
            "role": role,
        }
    )
