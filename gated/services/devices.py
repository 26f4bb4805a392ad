"""Gates and hubs: accounts without a password, that hold a long random token instead."""

from __future__ import annotations

import secrets

from sqlalchemy.orm import Session

from gated.errors import NotFound
from gated.services.accounts import account_entry, require_name
from gated.services.tokens import TOKEN_MARK, digest_of
from gated.services.workspace import Service
from gated.storage import accounts
from gated.storage.accounts import NO_PASSWORD
from gated.storage.records import Account


class Devices(Service):
    """The devices of a workspace; `actor` is who makes a change."""

    def list_(self) -> list[Account]:
        """All devices by name."""
        with self._workspace.database.read() as session:
            return [a for a in accounts.list_(session) if a.role == "device"]

    def add(self, name: str, *, actor: str) -> tuple[Account, str]:
        """Add a device; also returns its token, which is stored nowhere. Conflict."""
        require_name(name)
        with self._workspace.database.write() as session:
            account = accounts.add(session, name, "device", NO_PASSWORD)
            return self._with_token(session, account, "device_added", actor)

    def renew(self, id_: int, *, actor: str) -> tuple[Account, str]:
        """Give a device another token; the one before is void. NotFound."""
        with self._workspace.database.write() as session:
            return self._with_token(session, _device(session, id_), "device_token_renewed", actor)

    def remove(self, id_: int, *, actor: str) -> None:
        """Remove a device; its token is void. NotFound."""
        with self._workspace.database.write() as session:
            account = _device(session, id_)
            accounts.delete(session, id_)
            entry = account_entry(self._clock.now(), "device_removed", account, actor)
            self._workspace.journal.append([entry], session)

    def _with_token(
        self, session: Session, account: Account, kind: str, actor: str
    ) -> tuple[Account, str]:
        token = TOKEN_MARK + secrets.token_urlsafe(32)
        account = accounts.set_token_digest(session, account.id, digest_of(token))
        entry = account_entry(self._clock.now(), kind, account, actor)
        self._workspace.journal.append([entry], session)
        return account, token


def _device(session: Session, id_: int) -> Account:
    account = accounts.get(session, id_)
    if account.role != "device":
        raise NotFound(f"there is no device {id_}")
    return account
