"""Operators who may edit people at the gates of this hub, and whose."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.orm import Session

from gated.errors import BelongsToHub, Conflict, NotFound
from gated.services.workspace import Service
from gated.storage import accounts, editors, groups
from gated.storage.editors import Editor
from gated.storage.journal import Entry
from gated.storage.records import Account

__all__ = ["Editor", "Operators"]

ROLES = ("viewer", "operator", "admin")
"""Who may be let edit at gates. A viewer's password is of no use on the hub to who records it."""


class Operators(Service):
    """The operators at gates of a workspace that is their hub; `actor` is who makes a change."""

    def list_(self) -> list[Editor]:
        """All by name."""
        with self._workspace.database.read() as session:
            return [e for e in editors.list_(session) if not e.from_hub]

    def allow(self, username: str, names: Sequence[str], *, everyone: bool, actor: str) -> Editor:
        """Let an account edit people of these groups, or all, at the gates that carry them.

        The gates know them once the password was seen: at the next sign-in here. NotFound for
        account or group; Conflict for a role that may not; BelongsToHub.
        """
        with self._workspace.database.write() as session:
            account = _account(session, username)
            if account.role not in ROLES:
                raise Conflict(f"an account with the role {account.role} cannot work at gates")
            ids = groups.ids(session, names)
            editors.put(session, account.id, ids, everyone=everyone)
            self._record(session, "operator_allowed", account, actor)
            found = editors.find(session, account.id)
        assert found is not None  # noqa: S101
        return found

    def forbid(self, username: str, *, actor: str) -> None:
        """Let an account edit at gates no more. NotFound, BelongsToHub."""
        with self._workspace.database.write() as session:
            account = _account(session, username)
            if editors.find(session, account.id) is None:
                raise NotFound(f"{username} may not edit at gates anyway")
            editors.remove(session, account.id)
            self._record(session, "operator_forbidden", account, actor)

    def _record(self, session: Session, kind: str, account: Account, actor: str) -> None:
        private = {"subject": {"username": account.username}, "actor": {"name": actor}}
        entry = Entry(self._clock.now(), kind, {"account": account.uid}, private)
        self._workspace.journal.append([entry], session)


def _account(session: Session, username: str) -> Account:
    account = accounts.by_username(session, username)
    if account is None:
        raise NotFound(f"there is no account {username}")
    editor = editors.find(session, account.id)
    if editor is not None and editor.from_hub:
        raise BelongsToHub(f"the account {username}")
    return account
