"""Operators who may edit people at the gates of this hub, and whose."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from gated.change import Change
from gated.database import account_store, editor_store
from gated.database.editor_store import Editor
from gated.database.records import Account
from gated.errors import BelongsToHub, Conflict, NotFound
from gated.people import group_store, person_store
from gated.workspace import Service

__all__ = ["Editor", "Operators"]

ROLES = ("viewer", "operator", "admin")
"""Who may be let edit at gates. A viewer's password is of no use on the hub to who records it."""


class Operators(Service):
    """The operators at gates of a workspace that is their hub; `actor` is who makes a change."""

    def list_(self) -> list[Editor]:
        """All by name."""
        with self._workspace.database.read() as session:
            return [e for e in editor_store.list_(session) if not e.from_hub]

    def allow(self, username: str, names: Sequence[str], *, everyone: bool, actor: str) -> Editor:
        """Let an account edit people of these groups, or all, at the gates that carry them.

        The gates know them once the password was seen: at the next sign-in here. NotFound for
        account or group; Conflict for a role that may not; BelongsToHub.
        """
        with self.change(actor) as change:
            session = change.session
            account = _account(session, username)
            if account.role not in ROLES:
                text = f"an account with the role {account.role} cannot work at gates"
                raise Conflict(text).named("role_at_gates")
            ids = group_store.ids(session, names)
            editor_store.put(session, account.id, ids, everyone=everyone)
            _record(change, "operator_allowed", account)
            found = editor_store.find(session, account.id)
        assert found is not None  # noqa: S101
        return found

    def forbid(self, username: str, *, actor: str) -> None:
        """Let an account edit at gates no more. NotFound, BelongsToHub."""
        with self.change(actor) as change:
            account = _account(change.session, username)
            if editor_store.find(change.session, account.id) is None:
                raise NotFound(f"{username} may not edit at gates anyway")
            editor_store.remove(change.session, account.id)
            _record(change, "operator_forbidden", account)


def _record(change: Change, kind: str, account: Account) -> None:
    subject = {"username": account.username}
    if account.person_id is not None:  # goes with the person whose it is
        subject["uid"] = person_store.get(change.session, account.person_id).uid
    change.record(kind, {"account": account.uid}, about=subject)


def _account(session: Session, username: str) -> Account:
    account = account_store.by_username(session, username)
    if account is None:
        raise NotFound(f"there is no account {username}")
    editor = editor_store.find(session, account.id)
    if editor is not None and editor.from_hub:
        raise BelongsToHub(f"the account {username}")
    return account
