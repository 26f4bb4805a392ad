"""Accounts: who may sign in, and what for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy.orm import Session

from gated.accounts.audit import current
from gated.accounts.commit_cache import CommitInvalidatedCache
from gated.accounts.external import ProvenSubject, account_of
from gated.accounts.familiar_addresses import FamiliarAddresses
from gated.accounts.operator_keys import OperatorKey, SigningKeys
from gated.accounts.passwords import PasswordHasher, require_strong
from gated.accounts.sign_in_log import SignInLog
from gated.accounts.sign_in_throttle import SignInThrottle, network
from gated.accounts.throttle import Throttle
from gated.accounts.tokens import TOKEN_MARK, Claims, Tokens, digest_of, load_key
from gated.change import GALLERY, Change
from gated.core.roles import PROGRAMS, Principal, Role
from gated.core.text import code_key
from gated.core.values import moment
from gated.database import account_store, editor_store, identity_store, limits, stored_settings
from gated.database.editor_store import Editor
from gated.database.records import Account, Passkey, Person
from gated.database.tables import new_uid
from gated.errors import (
    BadCredentials,
    BelongsToHub,
    CompanyAccount,
    ConfirmationNeeded,
    Conflict,
    NotAllowed,
    NotFound,
    NotSignedIn,
    SignInRefused,
)
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Service, Workspace

INSTALLATION = "installation"
"""The setting that names this database; one that is restored is the same."""

FREE_REGISTRATIONS = 5
FREE_COMPANY_SIGN_INS = 20
"""From one network; each that was right is free."""
COMPANY, PASSKEY = "company", "passkey"
"""Ways to sign in without a password."""
BY_ITSELF = "a device signs in with its token: `POST /api/devices/{id}/token` gives it another"
RECENT_S = 300.0
"""So long after a sign-in somebody may change with what they sign in."""


class Accounts(Service):
    """Creates and changes accounts, signs people in, knows whom a token stands for."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        settings = workspace.settings
        secret = settings.auth.secret_key
        key = load_key(secret.get_secret_value() if secret else None, settings.storage.state_dir)
        super().__init__(workspace, clock)
        self._key = key
        self._throttle = Throttle(lambda: clock.now().mono)
        familiar = FamiliarAddresses(workspace, clock)
        self._sign_in_throttle = SignInThrottle(lambda: clock.now().mono, familiar)
        life_s = settings.auth.access_token_expire_minutes * 60
        self._tokens = Tokens(key, clock, life_s, lambda: self.installation)
        self._holders = CommitInvalidatedCache(workspace.database.data_version, self._holder)
        self._passwords = PasswordHasher.of(settings.auth)
        self._log = SignInLog(workspace.journal, clock)
        self.signing = SigningKeys(lambda: clock.now().utc)

    # --- administration -----------------------------------------------------------------------

    def create(
        self, username: str, role: str, password: str, *, actor: str, person_id: int | None = None
    ) -> Account:
        """Add an account; Conflict when the name is taken or unusable, WeakPassword, NotFound."""
        if Role(role) in PROGRAMS:
            raise Conflict("a device has no password: add it as a device").named("device_password")
        require_name(username)
        require_strong(password, username)
        hashed = self._passwords.hash(password)
        with self.change(actor) as change:
            session = change.session
            limits.ACCOUNTS.require_room(session)
            account = account_store.add(session, username, Role(role).value, hashed, person_id)
            _record(change, "account_created", account)
        return account

    def register(self, fields: Mapping[str, Any], password: str, address: str) -> Person:
        """Add a person with an account of role `self`, as `auth.registration` allows.

        Active at once where registration is open, else when an admin activates the person.
        NotAllowed where it is closed; Conflict for a taken code or e-mail; WeakPassword; Throttled.
        """
        registration = self._workspace.settings.auth.registration
        if registration == "closed":
            raise NotAllowed("registration is closed: ask an administrator")
        self._throttle.attempt({f"registration {network(address)}": FREE_REGISTRATIONS})
        code = str(fields["personnel_code"])
        require_strong(password, code)
        hashed = self._passwords.hash(password)
        with self.change(code) as change:
            change.touches(GALLERY)
            session = change.session
            limits.ACCOUNTS.require_room(session)
            person = person_store.add(session, **fields, is_active=registration == "open")
            account = account_store.add(session, code, Role.SELF, hashed, person.id)
            if (origin := current()) is not None:
                origin.person_uid = person.uid
            change.record_person("person_registered", person, sorted(fields))
            _record(change, "account_created", account)
        return person

    def list_(self) -> list[Account]:
        """All accounts by name."""
        with self._workspace.database.read() as session:
            return account_store.list_(session)

    def set_password(self, username: str, password: str, *, actor: str) -> Account:
        """Give an account another password and end its sessions.

        Raises: NotFound, WeakPassword, Conflict for a device, which has none.
        """
        require_strong(password, username)
        hashed = self._passwords.hash(password)
        with self._workspace.database.read() as session:
            account = _named(session, username)
            if Role(account.role) in PROGRAMS:
                raise Conflict(BY_ITSELF).named("device_token")
            if identity_store.is_external(session, account.id):
                raise CompanyAccount("this account is signed in to with the company's account")
            editor = editor_store.find(session, account.id)
        key = _new_key(password) if editor else None
        with self.change(actor) as change:
            session = change.session
            account = _own(session, username)
            editor_store.set_key(session, account.id, key)
            account = account_store.set_password(session, account.id, hashed)
            _record(change, "password_changed", account)
        return account

    def disable(self, change: Change, username: str) -> Account:
        """End an account's sessions and refuse new ones; NotFound, Conflict for the last admin."""
        return _set_active(change, username, False, "account_disabled")

    def enable(self, change: Change, username: str) -> Account:
        """Let a disabled account sign in again; NotFound."""
        return _set_active(change, username, True, "account_enabled")

    def get(self, id_: int) -> Account:
        """The account with this id; NotFound."""
        with self._workspace.database.read() as session:
            return account_store.get(session, id_)

    def named(self, username: str) -> Account:
        """The account of this name in any spelling; NotFound."""
        with self._workspace.database.read() as session:
            return _named(session, username)

    def set_role(self, change: Change, username: str, role: str) -> Account:
        """Give an account another role and end its sessions; NotFound, Conflict."""
        account = _own(change.session, username)
        if PROGRAMS & {Role(account.role), Role(role)}:
            text = "devices stay devices, and nobody else becomes one"
            raise Conflict(text).named("device_role")
        if role == account.role:
            return account
        account = account_store.set_role(change.session, account.id, role)
        _record(change, "role_changed", account)
        return account

    def delete(self, change: Change, username: str) -> None:
        """Remove an account and end its sessions; NotFound, Conflict for the last admin."""
        account = _own(change.session, username)
        account_store.delete(change.session, account.id)
        _record(change, "account_deleted", account)

    def flush_sign_ins(self) -> None:
        """Journal what repeated sign-ins have been counted; StorageError."""
        self._log.flush()

    # --- signing in ---------------------------------------------------------------------------

    def authenticate(self, username: str, password: str, address: str) -> Account:
        """The account whose password this is; BadCredentials, Throttled.

        username: the account's name, or the e-mail address or personnel code of its person.
        """
        return self._recognised(username, password, address)[0]

    def _recognised(
        self, username: str, password: str, address: str
    ) -> tuple[Account, OperatorKey | None]:
        """The account, and of an operator of the hub the key to sign with."""
        tried = code_key(username[:200])
        self._sign_in_throttle.attempt(tried, address)
        account, welcome = self._find(username.strip())
        editor = self._editor(account)
        key, upgraded = None, None
        if editor is not None and editor.from_hub and editor.salt is not None:
            key = OperatorKey(password, editor.salt)
            right = key.public_key == editor.public_key
        else:
            right, upgraded = self._passwords.verify(
                password, account.password_hash if account else self._passwords.nobodys
            )
        if account is None or not right or not welcome:
            self._log.failed(account, self._whose(account), network(address))
            raise BadCredentials("name or password is wrong")
        self._sign_in_throttle.succeeded(tried, address)
        if upgraded is not None:
            account = self._upgrade(account, upgraded)
        if editor is not None and editor.public_key is None:
            with self._workspace.database.write() as session:
                editor_store.set_key(session, account.id, _new_key(password))
        return account, key

    def sign_in(self, username: str, password: str, address: str) -> tuple[str, int]:
        """A token and its life in seconds; BadCredentials, Throttled."""
        account, key = self._recognised(username, password, address)
        self._log.signed_in(account, self._whose(account), network(address))
        token = self._tokens.issue(account.uid, account.version)
        if key is not None:
            claims = self._tokens.read(token)
            self.signing.keep(claims.token_id, key, claims.expires_at.timestamp())
        return token, self._tokens.life_s

    def attempt_from(self, address: str, way: str = COMPANY) -> None:
        """Count a sign-in without a password from an address. Raises: Throttled."""
        self._throttle.attempt({f"{way} {network(address)}": FREE_COMPANY_SIGN_INS})

    def sign_in_proven(
        self, proven: ProvenSubject, address: str, signed_in_at: float
    ) -> tuple[str, int]:
        """A token for whom a provider has recognised, and its life in seconds.

        signed_in_at: when they gave their password there, in UTC seconds. Raises: SignInRefused.
        """
        with self.change(proven.username) as change:
            account, changed = account_of(change, proven)
            if changed is not None:
                _record(change, changed, account)
            welcome = _may_sign_in(change.session, account)
        if not welcome:
            self.failed_from(address, account)
            raise SignInRefused("this account is switched off: ask an administrator")
        return self.begin_session(account, address, COMPANY, signed_in_at)

    def begin_session(
        self, account: Account, address: str, way: str, signed_in_at: float | None = None
    ) -> tuple[str, int]:
        """Sign in whom another room has recognised; a token and its life in seconds."""
        self._throttle.forgive(f"{way} {network(address)}")
        self._log.signed_in(account, self._whose(account), network(address))
        token = self._tokens.issue(account.uid, account.version, signed_in_at)
        return token, self._tokens.life_s

    def failed_from(self, address: str, account: Account | None) -> None:
        """Put on record that somebody was not recognised from an address."""
        self._log.failed(account, self._whose(account), network(address))

    def with_passkeys(self, session: Session, account_id: int) -> Account:
        """Return an account that signs in here, by its own means. Raises: Conflict, BelongsToHub.

        The company's accounts, and those of a hub, end where they are from: nothing may outlast
        that here.
        """
        account = account_store.get(session, account_id)
        if identity_store.is_external(session, account.id):
            raise CompanyAccount("this account is signed in to with the company's account")
        if Role(account.role) in PROGRAMS:
            raise Conflict(BY_ITSELF).named("device_token")
        return _own(session, account.username)

    def may_sign_in(self, session: Session, account: Account) -> bool:
        """Return whether account and person are switched on."""
        return _may_sign_in(session, account)

    def require_recent(self, token: str) -> None:
        """Make sure that somebody has just signed in. Raises: ConfirmationNeeded."""
        if not self._is_recent(token, RECENT_S):
            raise ConfirmationNeeded("sign in anew to change with what you sign in")

    def change_password(
        self, principal: Principal, current: str, new: str, address: str
    ) -> tuple[str, int]:
        """Set a new password for who knows the present one; return a token and its life in seconds.

        Raises: BadCredentials, Throttled, WeakPassword.
        """
        self.authenticate(principal.username, current, address)
        account = self.set_password(principal.username, new, actor=principal.username)
        return self._tokens.issue(account.uid, account.version), self._tokens.life_s

    def confirm(self, principal: Principal, token: str, password: str | None, address: str) -> None:
        """Make sure that it is still they who act: a fresh token, or the password again.

        `auth.door_confirmation_s` says how fresh. ConfirmationNeeded, BadCredentials, Throttled.
        """
        longest = self._workspace.settings.auth.door_confirmation_s
        if password is not None:
            self.authenticate(principal.username, password, address)
            return
        if longest is not None and not self._is_recent(token, longest):
            raise ConfirmationNeeded("give the password again, or sign in anew")

    def _is_recent(self, token: str, within_s: float) -> bool:
        """Return whether a token's sign-in is less than so many seconds ago.

        One that lies ahead is not: the clock was set back, and nobody knows how old it is.
        """
        return 0 <= self._clock.now().utc - self._tokens.read(token).signed_in_at < within_s

    def sign_out(self, token: str, principal: Principal) -> None:
        """Make this token void, wherever a copy of it is."""
        claims = self._tokens.read(token)
        self.signing.drop(claims.token_id)
        with self.change(principal.username) as change:
            session, now = change.session, change.at
            known = moment(now) if now.sure else None
            # a renewed copy of it lives on for as long at most
            ends = max(claims.expires_at, moment(now) + timedelta(seconds=self._tokens.life_s))
            account_store.end_session(session, claims.token_id, ends, known)
            _record(change, "signed_out", account_store.get(session, principal.account_id))

    def renew(self, token: str) -> str:
        """Let a session live on from now, until `auth.session_hours` after its password was given.

        Raises: NotSignedIn, after that and for a token of a device.
        """
        claims, now = self._tokens.read(token), self._clock.now().utc
        hours = self._workspace.settings.auth.session_hours
        if now - claims.signed_in_at >= hours * 3600:
            raise NotSignedIn("the session is over: sign in again")
        self.signing.prolong(claims.token_id, now + self._tokens.life_s)
        return self._tokens.renew(claims)

    def session_ends(self, token: str) -> datetime:
        """Say when a token ends by itself. Raises: NotSignedIn."""
        return self._tokens.read(token).expires_at

    def derived_key(self, purpose: bytes) -> bytes:
        """Derive 32 bytes of the tokens' key; others for each purpose (HKDF, RFC 5869)."""
        return HKDF(SHA256(), 32, None, purpose).derive(self._key.encode())

    @property
    def session_life_s(self) -> int:
        """The seconds that a session lasts without renewal."""
        return self._tokens.life_s

    def csrf_token(self, token: str) -> str:
        """Return what must come with a cookie that holds this token, for anything but reading."""
        if token.startswith(TOKEN_MARK):
            return self._tokens.csrf_of(digest_of(token))
        return self._tokens.csrf(token)

    @cached_property
    def installation(self) -> str:
        """The uid of this database: a token of another one, signed with the same key, is void."""
        with self._workspace.database.read() as session:
            known = stored_settings.get(session, INSTALLATION)
        if known is None:
            with self._workspace.database.write() as session:
                stored_settings.create(session, INSTALLATION, new_uid())
                known = stored_settings.get(session, INSTALLATION)
        return str(known)

    def verify_token(self, token: str) -> Principal:
        """Find a token's holder. Raises: NotSignedIn (void, or the account changed or disabled)."""
        is_long = token.startswith(TOKEN_MARK)
        return self._holders[digest_of(token) if is_long else self._tokens.read(token)]

    def principal(self, username: str) -> Principal:
        """Find the account in whose name a program of the configuration acts, as it is now.

        Raises: NotAllowed where it may not sign in either.
        """
        with self._workspace.database.read() as session:
            account = account_store.by_username(session, username)
            if account is None or not _may_sign_in(session, account):
                raise NotAllowed(f"there is no account {username!r} that may sign in")
            uid = _person_uid(session, account)
        return Principal(account.id, account.username, Role(account.role), account.person_id, uid)

    def _holder(self, shown: Claims | str) -> Principal:
        """Find whose these claims, or this digest of a long token, are. Raises: NotSignedIn."""
        with self._workspace.database.read() as session:
            if isinstance(shown, str):
                account = account_store.by_token_digest(session, shown)
            else:
                account = account_store.by_uid(session, shown.account)
                if account and account.version != shown.version:
                    account = None
                if account_store.has_ended(session, shown.token_id):
                    account = None
            if account is None or not _may_sign_in(session, account):
                raise NotSignedIn("the session has ended: sign in again")
            uid = _person_uid(session, account)
        of = "" if isinstance(shown, str) else shown.token_id
        role = Role(account.role)
        return Principal(account.id, account.username, role, account.person_id, uid, of)

    def _find(self, name: str) -> tuple[Account | None, bool]:
        """The account that someone means, and whether it may sign in; as many reads for nobody."""
        with self._workspace.database.read() as session:
            named = account_store.by_username(session, name)
            person = person_store.by_email(session, name) or person_store.by_code(session, name)
            own = account_store.list_(session, person_id=person.id if person else -1)
            account = named or (own[0] if own else None)
            return account, account is not None and _may_sign_in(session, account)

    def _editor(self, account: Account | None) -> Editor | None:
        if account is None:
            return None
        with self._workspace.database.read() as session:
            return editor_store.find(session, account.id)

    def _whose(self, account: Account | None) -> str | None:
        if account is None or account.person_id is None:
            return None
        with self._workspace.database.read() as session:
            return _person_uid(session, account)

    def _upgrade(self, account: Account, hashed: str) -> Account:
        with self._workspace.database.write() as session:
            if account_store.get(session, account.id).password_hash != account.password_hash:
                return account  # changed meanwhile: the new password stays
            return account_store.set_password(session, account.id, hashed, ends_sessions=False)


def _person_uid(session: Session, account: Account) -> str | None:
    """Return the uid of the account's person; by it an erasure finds what the journal says."""
    return None if account.person_id is None else person_store.get(session, account.person_id).uid


def require_name(username: str) -> None:
    """Conflict when an account cannot have this name."""
    if not re.fullmatch(r"[\w.@+-]{1,100}", username):
        text = "an account name has letters, digits and . _ @ + - only"
        raise Conflict(text).named("account_name")


def _set_active(change: Change, username: str, active: bool, kind: str) -> Account:
    session = change.session
    account = account_store.set_active(session, _own(session, username).id, active)
    _record(change, kind, account)
    return account


def _record(change: Change, kind: str, account: Account) -> None:
    record_account(change, kind, account, _person_uid(change.session, account))


def record_account(
    change: Change, kind: str, account: Account, person_uid: str | None = None
) -> None:
    """Append that an account changed; person_uid: whose it is."""
    body = {"account": account.uid, "role": account.role}
    subject = {"username": account.username, **({"uid": person_uid} if person_uid else {})}
    change.record(kind, body, about=subject)


def record_passkey(change: Change, kind: str, account: Account, passkey: Passkey) -> None:
    """Append what became of a passkey; its name is of somebody, and stands apart like theirs."""
    person_uid = _person_uid(change.session, account)
    body = {"account": account.uid, "role": account.role, "passkey": passkey.uid}
    about = {"username": account.username, "passkey": passkey.name}
    change.record(kind, body, about=about | ({"uid": person_uid} if person_uid else {}))


def keep_last_admin(change: Change, person: Person) -> None:
    """Let the last admin's account outlast its person, who goes by a date; journaled."""
    for account in account_store.keep_last_admin(change.session, person.id):
        record_account(change, "account_kept", account, person.uid)


def _named(session: Session, username: str) -> Account:
    account = account_store.by_username(session, username)
    if account is None:
        raise NotFound(f"there is no account {username}")
    return account


def _own(session: Session, username: str) -> Account:
    """An account that is changed here; NotFound, BelongsToHub."""
    account = _named(session, username)
    editor = editor_store.find(session, account.id)
    if editor is not None and editor.from_hub:
        raise BelongsToHub(f"the account {username}")
    return account


def _new_key(password: str) -> tuple[str, str]:
    """Salt and public key of an operator with this password."""
    salt = OperatorKey.new_salt()
    return salt, OperatorKey(password, salt).public_key


def _may_sign_in(session: Session, account: Account) -> bool:
    if not account.is_active:
        return False
    return account.person_id is None or person_store.get(session, account.person_id).is_active
