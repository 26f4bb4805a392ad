"""Passkeys of accounts: registered by their owner, removed by owner or administrator, and used.

They belong to this database: they are sent to no gate and no hub.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sqlalchemy.orm import Session

from gated.accounts.accounts import PASSKEY, Accounts, record_passkey
from gated.change import Change
from gated.core.roles import Principal
from gated.core.values import moment
from gated.database import account_store, passkey_store
from gated.database.records import Account, Passkey
from gated.errors import Conflict, NotFound, PasskeyRefused, PasskeysFull, PasskeyUnusable
from gated.passkeys.challenges import HANDLE_BYTES, Challenges, PasskeyChallenge, random_text
from gated.passkeys.relying_party import NotVerified, RelyingParty
from gated.workspace import Service, Workspace

log = logging.getLogger(__name__)

MOST = 10
"""Of one account."""


@dataclass(frozen=True, slots=True)
class Ceremony:
    """A ceremony that has begun: the challenge, and the cookie that comes back with the answer.

    known: passkeys that the account has already, for an authenticator not to make a second one.
    """

    party: RelyingParty
    challenge: PasskeyChallenge
    cookie: str
    known: tuple[Passkey, ...] = ()


class Passkeys(Service):
    """Registers, lists and removes passkeys, and signs in with them. Any thread may call."""

    def __init__(self, workspace: Workspace, accounts: Accounts) -> None:
        super().__init__(workspace, workspace.clock)
        self._accounts = accounts
        self._party = RelyingParty.of(workspace.settings)

    @cached_property
    def _challenges(self) -> Challenges:
        # machines may share the key of the tokens: of another database none counts
        purpose = f"gated passkeys of {self._accounts.installation}".encode()
        return Challenges(self._accounts.derived_key(purpose), self._clock)

    @property
    def party(self) -> RelyingParty:
        """For whom passkeys are. Raises: NotFound where they are off."""
        if self._party is None:
            raise NotFound("no passkeys are set up here (passkeys.domain)")
        return self._party

    # --- of an account ------------------------------------------------------------------------

    def list_(self, account_id: int) -> list[Passkey]:
        """Return an account's passkeys, oldest first. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return passkey_store.list_(session, account_store.get(session, account_id).id)

    def begin_registration(self, principal: Principal, token: str) -> Ceremony:
        """Ask somebody's browser for a new passkey.

        Raises: NotFound, ConfirmationNeeded (not signed in just now), Conflict.
        """
        party = self.party
        with self._workspace.database.read() as session:
            account = self._accounts.with_passkeys(session, principal.account_id)
            known = passkey_store.list_(session, account.id)
        self._accounts.require_recent(token)
        _require_room(known)
        handle = known[0].user_handle if known else random_text(HANDLE_BYTES)
        challenge, cookie = self._challenges.new("register", account.uid, handle)
        return Ceremony(party, challenge, cookie, tuple(known))

    def register(
        self, principal: Principal, name: str, given: Mapping[str, Any], cookie: str | None
    ) -> Passkey:
        """Keep the passkey that a browser has made.

        given: WebAuthn's RegistrationResponseJSON. Raises: NotFound, PasskeyUnusable, Conflict.
        """
        party = self.party
        with self._workspace.database.read() as session:
            account = self._accounts.with_passkeys(session, principal.account_id)
        asked = self._challenges.opened(cookie, "register", account.uid)
        if asked is None:
            raise PasskeyUnusable("this browser was not asked for a passkey just now: begin again")
        try:
            made = party.verify_registration(given, asked.challenge)
        except NotVerified as error:
            log.warning("a passkey was not registered: %s", error)
            raise PasskeyUnusable("what the browser has made is no passkey for here") from None
        with self.change(principal.username) as change:
            session = change.session
            _require_room(passkey_store.list_(session, account.id))
            if not self._use_up(change, asked):
                raise PasskeyUnusable("this answer was given before: begin again")
            passkey = passkey_store.add(
                session,
                account.id,
                name,
                credential_id=made.credential_id,
                user_handle=asked.user_handle,
                public_key=made.public_key,
                sign_count=made.sign_count,
            )
            record_passkey(change, "passkey_added", account, passkey)
        return passkey

    def rename_own(self, principal: Principal, id_: int, name: str) -> Passkey:
        """Give one's own passkey another name. Raises: NotFound."""
        with self.change(principal.username) as change:
            account = account_store.get(change.session, principal.account_id)
            passkey = passkey_store.rename(change.session, account.id, id_, name)
            record_passkey(change, "passkey_renamed", account, passkey)
        return passkey

    def remove_own(self, principal: Principal, token: str, id_: int) -> None:
        """Remove one's own passkey, which ends all one's sessions.

        Raises: NotFound, ConfirmationNeeded.
        """
        with self._workspace.database.read() as session:
            passkey_store.get(session, principal.account_id, id_)
        self._accounts.require_recent(token)
        with self.change(principal.username) as change:
            self.remove(change, principal.account_id, id_)

    def remove(self, change: Change, account_id: int, id_: int | None = None) -> int:
        """Remove a passkey of an account, or all, and end its sessions; how many. NotFound."""
        session = change.session
        account = account_store.get(session, account_id)
        if id_ is None:
            found = passkey_store.list_(session, account.id)
        else:
            found = [passkey_store.get(session, account.id, id_)]
        for passkey in found:
            passkey_store.remove(session, passkey.id)
            record_passkey(change, "passkey_removed", account, passkey)
        if found:
            account_store.touch(session, account.id)
        return len(found)

    # --- signing in ---------------------------------------------------------------------------

    def begin_sign_in(self) -> Ceremony:
        """Ask whoever it is for a signature, of any account. Raises: NotFound."""
        party = self.party
        challenge, cookie = self._challenges.new("sign_in")
        return Ceremony(party, challenge, cookie)

    def sign_in(
        self, given: Mapping[str, Any], cookie: str | None, address: str
    ) -> tuple[str, int]:
        """Return a token of who has signed, and its life in seconds.

        given: WebAuthn's AuthenticationResponseJSON. Raises: NotFound, PasskeyRefused, Throttled.
        """
        party = self.party
        self._accounts.attempt_from(address, PASSKEY)
        account, passkey = self._known(str(given["id"]))
        try:
            asked = self._challenges.opened(cookie, "sign_in")
            if asked is None:
                raise NotVerified("the browser was not asked just now")
            if account is None or passkey is None:
                raise NotVerified("nobody who may sign in has it")
            _require_same_handle(given, passkey)
            count = party.verify_assertion(given, asked.challenge, passkey.public_key)
            if not self._used(account, passkey, asked, count):
                raise NotVerified("its count went back: there may be a copy of it")
        except NotVerified as error:
            log.warning("sign-in with a passkey: %s", error)
            self._accounts.failed_from(address, account)
            raise _refused() from None
        return self._accounts.begin_session(account, address, PASSKEY)

    def _known(self, credential_id: str) -> tuple[Account | None, Passkey | None]:
        """Return the passkey of this id, and its account; None where that may not sign in."""
        with self._workspace.database.read() as session:
            passkey = passkey_store.find(session, credential_id)
            return None if passkey is None else self._account_of(session, passkey), passkey

    def _account_of(self, session: Session, passkey: Passkey) -> Account | None:
        try:
            account = self._accounts.with_passkeys(session, passkey.account_id)
        except Conflict:
            return None
        return account if self._accounts.may_sign_in(session, account) else None

    def _used(
        self, account: Account, passkey: Passkey, asked: PasskeyChallenge, count: int
    ) -> bool:
        """Let an answer count, once. Raises: NotVerified.

        False, and on record, where the authenticator has counted as far before: a stranger's sign-
        ins cannot crowd that out, as it takes the key to get there.
        """
        with self.change(account.username) as change:
            if passkey_store.find(change.session, passkey.credential_id) is None:
                raise NotVerified("it was removed meanwhile")
            if not self._use_up(change, asked):
                raise NotVerified("this answer was given before")
            grown = passkey_store.used(change.session, passkey.id, count, moment(change.at))
            if not grown:
                record_passkey(change, "passkey_suspect", account, passkey)
            return grown

    def _use_up(self, change: Change, asked: PasskeyChallenge) -> bool:
        known = moment(change.at) if change.at.sure else None
        return passkey_store.spend(change.session, asked.digest, asked.expires_at, known)


def _require_room(known: list[Passkey]) -> None:
    if len(known) >= MOST:
        raise PasskeysFull(f"an account has {MOST} passkeys at most: remove one first")


def _require_same_handle(given: Mapping[str, Any], passkey: Passkey) -> None:
    """Refuse an answer in the name of another account than the passkey's. Raises: NotVerified."""
    handle = str(given["response"].get("userHandle") or "")
    if not hmac.compare_digest(handle.encode(), passkey.user_handle.encode()):
        raise NotVerified("the authenticator means another account, or none")


def _refused() -> PasskeyRefused:
    return PasskeyRefused("this passkey does not sign in here")
