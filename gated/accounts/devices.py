"""Gates, hubs, screens, directories: accounts without a password, that hold a long random token."""

from __future__ import annotations

import secrets
from contextlib import suppress
from datetime import timedelta
from typing import Literal, get_args

from sqlalchemy.orm import Session

from gated.accounts.accounts import record_account, require_name
from gated.accounts.tokens import TOKEN_MARK, digest_of
from gated.change import Change
from gated.core.roles import PROGRAMS, Role
from gated.core.values import moment
from gated.database import account_store, limits
from gated.database.account_store import NO_PASSWORD
from gated.database.records import Account
from gated.errors import NotFound, StorageError
from gated.workspace import Service

Kind = Literal["device", "directory", "display"]
KINDS: tuple[Kind, ...] = get_args(Kind)

SEEN_S = 60
"""A screen that asks more often is not noted each time."""


class Devices(Service):
    """The devices of a workspace."""

    def list_(self) -> list[Account]:
        """All devices by name."""
        with self._workspace.database.read() as session:
            return [a for a in account_store.list_(session) if a.role in PROGRAMS]

    def add(self, change: Change, name: str, role: Kind = "device") -> tuple[Account, str]:
        """Add a device; also returns its token, which is stored nowhere. Conflict.

        role: `directory` of a directory that may change people over SCIM, and nothing else;
        `display` of a screen that shows Now, and may do nothing.
        """
        require_name(name)
        limits.DEVICES.require_room(change.session, Role(role).value)
        account = account_store.add(change.session, name, Role(role).value, NO_PASSWORD)
        return _with_token(change, account, "device_added")

    def saw(self, id_: int) -> None:
        """Note that a screen is there; what cannot be written is not worth a refusal."""
        at = moment(self._clock.now())
        with suppress(StorageError):
            with self._workspace.database.read() as session:
                account = account_store.find(session, id_)
            known = account and account.last_seen_at
            if known and timedelta() <= at - known < timedelta(seconds=SEEN_S):
                return
            with self._workspace.database.write() as session:
                account_store.saw(session, id_, at)

    def renew(self, change: Change, id_: int) -> tuple[Account, str]:
        """Give a device another token; the one before is void. NotFound."""
        return _with_token(change, _device(change.session, id_), "device_token_renewed")

    def remove(self, change: Change, id_: int) -> None:
        """Remove a device; its token is void. NotFound."""
        account = _device(change.session, id_)
        account_store.delete(change.session, id_)
        record_account(change, "device_removed", account)


def _with_token(change: Change, account: Account, kind: str) -> tuple[Account, str]:
    token = TOKEN_MARK + secrets.token_urlsafe(32)
    account = account_store.set_token_digest(change.session, account.id, digest_of(token))
    record_account(change, kind, account)
    return account, token


def _device(session: Session, id_: int) -> Account:
    account = account_store.get(session, id_)
    if account.role not in PROGRAMS:
        raise NotFound(f"there is no device {id_}")
    return account
