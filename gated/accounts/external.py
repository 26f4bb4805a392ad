"""Accounts of people whom an identity provider has recognised."""

from __future__ import annotations

from dataclasses import dataclass

from gated.change import Change
from gated.core.roles import Role
from gated.database import account_store, identity_store, limits
from gated.database.records import Account
from gated.errors import Conflict, LimitReached, SignInRefused
from gated.people import person_store


@dataclass(frozen=True, slots=True)
class ProvenSubject:
    """Somebody who has signed in at a provider, as it says and as the settings read it.

    personnel_code: of the person whose account it becomes, if known.
    """

    issuer: str
    subject: str
    username: str
    role: Role
    personnel_code: str | None = None


def account_of(change: Change, proven: ProvenSubject) -> tuple[Account, str | None]:
    """The account of a subject, made at the first sign-in; its role becomes that of now.

    Returns with it what is to be journaled of it, if anything. Raises: SignInRefused.
    """
    session = change.session
    known = identity_store.account_of(session, proven.issuer, proven.subject)
    if known is None:
        return _made(change, proven), "account_created"
    account = account_store.get(session, known)
    if account.role == proven.role:
        return account, None
    try:
        return account_store.set_role(session, account.id, proven.role.value), "role_changed"
    except Conflict as error:
        raise SignInRefused(f"the role cannot be changed: {error}") from None


def _made(change: Change, proven: ProvenSubject) -> Account:
    session = change.session
    if not account_store.list_(session):
        raise SignInRefused("the first administrator has a password: set the gate up first")
    if account_store.by_username(session, proven.username) is not None:
        # whoever runs the provider could take a local account over by its name
        raise SignInRefused(
            f"there is another account {proven.username}: an administrator removes it first"
        )
    try:
        limits.ACCOUNTS.require_room(session)
    except LimitReached as error:
        raise SignInRefused(str(error)) from None
    code = proven.personnel_code
    person = None if code is None else person_store.by_code(session, code)
    account = account_store.add(
        session,
        proven.username,
        proven.role.value,
        account_store.NO_PASSWORD,
        person.id if person else None,
    )
    identity_store.add(session, account.id, proven.issuer, proven.subject)
    return account
