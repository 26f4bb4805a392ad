"""Accounts: who may sign in, and what for."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy.orm import Session

from gated.core.model import Instant
from gated.errors import (
    BadCredentials,
    BelongsToHub,
    ConfirmationNeeded,
    Conflict,
    NotAllowed,
    NotFound,
    NotSignedIn,
)
from gated.ports import Clock
from gated.services import passwords
from gated.services.audit import current
from gated.services.obligations import moment
from gated.services.people import person_entry
from gated.services.sessions import UntilCommit
from gated.services.signins import SignInLog
from gated.services.sync.operator_keys import OperatorKey, SigningKeys
from gated.services.throttle import Throttle
from gated.services.tokens import TOKEN_MARK, Claims, Tokens, digest_of, load_key
from gated.services.workspace import Service, Workspace
from gated.storage import accounts, editors, persons
from gated.storage.editors import Editor
from gated.storage.journal import Entry
from gated.storage.records import Account, Person

FREE_PER_ACCOUNT = 5
FREE_PER_ADDRESS = 20
FREE_REGISTRATIONS = 5


class Role(StrEnum):
    """What an account may do; see `includes`."""

    SELF = "self"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"
    AUDITOR = "auditor"
    DEVICE = "device"

    def includes(self, other: Role) -> bool:
        """Whether this role may do what the other one may."""
        return other in _INCLUDED[self]


_VIEWER = {Role.SELF, Role.VIEWER}
_OPERATOR = _VIEWER | {Role.OPERATOR}
_INCLUDED = {
    Role.SELF: {Role.SELF},
    Role.VIEWER: _VIEWER,
    Role.OPERATOR: _OPERATOR,
    Role.ADMIN: _OPERATOR | {Role.ADMIN, Role.AUDITOR},
    Role.AUDITOR: {Role.SELF, Role.AUDITOR},
    Role.DEVICE: {Role.DEVICE},
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who makes a request."""

    account_id: int
    username: str
    role: Role
    person_id: int | None
    person_uid: str | None = None
    session: str = ""
    """Names the session of a password, in which an operator of the hub can sign."""


class Accounts(Service):
    """Creates and changes accounts, signs people in, knows whom a token stands for."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        settings = workspace.settings
        secret = settings.auth.secret_key
        key = load_key(secret.get_secret_value() if secret else None, settings.storage.state_dir)
        super().__init__(workspace, clock)
        self._throttle = Throttle(lambda: clock.now().mono)
        self._tokens = Tokens(key, clock, settings.auth.access_token_expire_minutes * 60)
        self._holders = UntilCommit(workspace.database.data_version, self._holder)
        self._log = SignInLog(workspace.journal, clock)
        self.signing = SigningKeys(lambda: clock.now().utc)

    # --- administration -----------------------------------------------------------------------

    def create(
        self, username: str, role: str, password: str, *, actor: str, person_id: int | None = None
    ) -> Account:
        """Add an account; Conflict when the name is taken or unusable, WeakPassword, NotFound."""
        if Role(role) is Role.DEVICE:
            raise Conflict("a device has no password: add it as a device")
        require_name(username)
        passwords.require_strong(password, username)
        hashed = passwords.hash_password(password)
        with self._workspace.database.write() as session:
            account = accounts.add(session, username, Role(role).value, hashed, person_id)
            self._record(session, "account_created", account, actor)
        return account

    def register(self, fields: Mapping[str, Any], password: str, address: str) -> Person:
        """Add a person with an account of role `self`, as `auth.registration` allows.

        Active at once where registration is open, else when an admin activates the person.
        NotAllowed where it is closed; Conflict for a taken code or e-mail; WeakPassword; Throttled.
        """
        registration = self._workspace.settings.auth.registration
        if registration == "closed":
            raise NotAllowed("registration is closed: ask an administrator")
        self._throttle.attempt({f"registration {_network(address)}": FREE_REGISTRATIONS})
        code = str(fields["personnel_code"])
        passwords.require_strong(password, code)
        hashed = passwords.hash_password(password)
        with self._workspace.database.write() as session:
            person = persons.add(session, **fields, is_active=registration == "open")
            account = accounts.add(session, code, Role.SELF, hashed, person.id)
            if (origin := current()) is not None:
                origin.person_uid = person.uid
            now, names = self._clock.now(), sorted(fields)
            entry = person_entry(now, "person_registered", person, code, names)
            self._workspace.journal.append([entry], session)
            self._record(session, "account_created", account, code)
        return person

    def list_(self) -> list[Account]:
        """All accounts by name."""
        with self._workspace.database.read() as session:
            return accounts.list_(session)

    def set_password(self, username: str, password: str, *, actor: str) -> Account:
        """Give an account another password and end its sessions; NotFound, WeakPassword."""
        passwords.require_strong(password, username)
        hashed = passwords.hash_password(password)
        with self._workspace.database.read() as session:
            editor = editors.find(session, _named(session, username).id)
        key = _new_key(password) if editor else None
        with self._workspace.database.write() as session:
            account = _own(session, username)
            editors.set_key(session, account.id, key)
            account = accounts.set_password(session, account.id, hashed)
            self._record(session, "password_changed", account, actor)
        return account

    def disable(self, username: str, *, actor: str) -> Account:
        """End an account's sessions and refuse new ones; NotFound, Conflict for the last admin."""
        return self._set_active(username, False, "account_disabled", actor)

    def enable(self, username: str, *, actor: str) -> Account:
        """Let a disabled account sign in again; NotFound."""
        return self._set_active(username, True, "account_enabled", actor)

    def get(self, id_: int) -> Account:
        """The account with this id; NotFound."""
        with self._workspace.database.read() as session:
            return accounts.get(session, id_)

    def set_role(self, username: str, role: str, *, actor: str) -> Account:
        """Give an account another role and end its sessions; NotFound, Conflict."""
        with self._workspace.database.write() as session:
            account = _own(session, username)
            if Role.DEVICE in (Role(account.role), Role(role)):
                raise Conflict("devices stay devices, and nobody else becomes one")
            if role == account.role:
                return account
            account = accounts.set_role(session, account.id, role)
            self._record(session, "role_changed", account, actor)
        return account

    def delete(self, username: str, *, actor: str) -> None:
        """Remove an account and end its sessions; NotFound, Conflict for the last admin."""
        with self._workspace.database.write() as session:
            account = _own(session, username)
            accounts.delete(session, account.id)
            self._record(session, "account_deleted", account, actor)

    def flush_sign_ins(self) -> None:
        """Journal what repeated sign-ins have been counted; StorageError."""
        self._log.flush()

    def _set_active(self, username: str, active: bool, kind: str, actor: str) -> Account:
        with self._workspace.database.write() as session:
            account = accounts.set_active(session, _own(session, username).id, active)
            self._record(session, kind, account, actor)
        return account

    def _record(self, session: Session, kind: str, account: Account, actor: str) -> None:
        uid = _person_uid(session, account)
        entry = account_entry(self._clock.now(), kind, account, actor, uid)
        self._workspace.journal.append([entry], session)

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
        account_key = f"account {username.strip().casefold()[:200]}"
        address_key = f"address {_network(address)}"
        self._throttle.attempt({account_key: FREE_PER_ACCOUNT, address_key: FREE_PER_ADDRESS})
        account, welcome = self._find(username.strip())
        editor = self._editor(account)
        key, upgraded = None, None
        if editor is not None and editor.from_hub and editor.salt is not None:
            key = OperatorKey(password, editor.salt)
            right = key.public_key == editor.public_key
        else:
            right, upgraded = passwords.verify(
                password, account.password_hash if account else passwords.NOBODYS
            )
        if account is None or not right or not welcome:
            self._log.failed(account, self._whose(account), _network(address))
            raise BadCredentials("name or password is wrong")
        self._throttle.succeeded(forget=account_key, forgive=address_key)
        if upgraded is not None:
            account = self._upgrade(account, upgraded)
        if editor is not None and editor.public_key is None:
            with self._workspace.database.write() as session:
                editors.set_key(session, account.id, _new_key(password))
        return account, key

    def sign_in(self, username: str, password: str, address: str) -> tuple[str, int]:
        """A token and its life in seconds; BadCredentials, Throttled."""
        account, key = self._recognised(username, password, address)
        self._log.signed_in(account, self._whose(account), _network(address))
        token = self._tokens.issue(account.id, account.version)
        if key is not None:
            claims = self._tokens.read(token)
            self.signing.keep(claims.token_id, key, claims.expires_at.timestamp())
        return token, self._tokens.life_s

    def change_password(
        self, principal: Principal, current: str, new: str, address: str
    ) -> tuple[str, int]:
        """A new password for the one who knows the present one, and a token for it.

            BadCredentials,
        ConfirmationNeeded, Throttled, WeakPassword.
        """
        self.authenticate(principal.username, current, address)
        account = self.set_password(principal.username, new, actor=principal.username)
        return self._tokens.issue(account.id, account.version), self._tokens.life_s

    def confirm(self, principal: Principal, token: str, password: str | None, address: str) -> None:
        """Make sure that it is still they who act: a fresh token, or the password again.

        `auth.door_confirmation_s` says how fresh. ConfirmationNeeded, BadCredentials, Throttled.
        """
        longest = self._workspace.settings.auth.door_confirmation_s
        if password is not None:
            self.authenticate(principal.username, password, address)
        elif longest is not None:
            ends = self._tokens.read(token).expires_at.timestamp()
            if self._clock.now().utc - (ends - self._tokens.life_s) >= longest:
                raise ConfirmationNeeded("give the password again, or sign in anew")

    def sign_out(self, token: str, principal: Principal) -> None:
        """Make this token void, wherever a copy of it is."""
        claims, now = self._tokens.read(token), self._clock.now()
        self.signing.drop(claims.token_id)
        with self._workspace.database.write() as session:
            accounts.end_session(session, claims.token_id, claims.expires_at, moment(now))
            account = accounts.get(session, principal.account_id)
            self._record(session, "signed_out", account, principal.username)

    def csrf_token(self, token: str) -> str:
        """What must come with a cookie that holds this token, for anything but reading."""
        return self._tokens.csrf(token)

    def verify_token(self, token: str) -> Principal:
        """Who holds this token; NotSignedIn when it is void, its account changed or disabled."""
        is_long = token.startswith(TOKEN_MARK)
        return self._holders[digest_of(token) if is_long else self._tokens.read(token)]

    def _holder(self, shown: Claims | str) -> Principal:
        """Whose these claims, or this digest of a long token, are; NotSignedIn."""
        with self._workspace.database.read() as session:
            if isinstance(shown, str):
                account = accounts.by_token_digest(session, shown)
            else:
                account = accounts.find(session, shown.account_id)
                if account and account.version != shown.version:
                    account = None
                if accounts.has_ended(session, shown.token_id):
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
            named = accounts.by_username(session, name)
            person = persons.by_email(session, name) or persons.by_code(session, name)
            own = accounts.list_(session, person_id=person.id if person else -1)
            account = named or (own[0] if own else None)
            return account, account is not None and _may_sign_in(session, account)

    def _editor(self, account: Account | None) -> Editor | None:
        if account is None:
            return None
        with self._workspace.database.read() as session:
            return editors.find(session, account.id)

    def _whose(self, account: Account | None) -> str | None:
        if account is None or account.person_id is None:
            return None
        with self._workspace.database.read() as session:
            return _person_uid(session, account)

    def _upgrade(self, account: Account, hashed: str) -> Account:
        with self._workspace.database.write() as session:
            if accounts.get(session, account.id).password_hash != account.password_hash:
                return account  # changed meanwhile: the new password stays
            return accounts.set_password(session, account.id, hashed, ends_sessions=False)


def _person_uid(session: Session, account: Account) -> str | None:
    """Whose account it is; an erasure finds by it what the journal says."""
    return None if account.person_id is None else persons.get(session, account.person_id).uid


def require_name(username: str) -> None:
    """Conflict when an account cannot have this name."""
    if not re.fullmatch(r"[\w.@+-]{1,100}", username):
        raise Conflict("an account name has letters, digits and . _ @ + - only")


def account_entry(
    at: Instant, kind: str, account: Account, actor: str, person_uid: str | None = None
) -> Entry:
    """What the journal is told of a change of an account; person_uid: whose it is."""
    body = {"account": account.uid, "role": account.role}
    subject = {"username": account.username, **({"uid": person_uid} if person_uid else {})}
    return Entry(at, kind, body, {"subject": subject, "actor": {"name": actor}})


def _network(address: str) -> str:
    """An address as it is throttled: of IPv6 the /64, all of which one client can use."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    return address if parsed.version == 4 else str(ipaddress.ip_network((parsed, 64), strict=False))


def _named(session: Session, username: str) -> Account:
    account = accounts.by_username(session, username)
    if account is None:
        raise NotFound(f"there is no account {username}")
    return account


def _own(session: Session, username: str) -> Account:
    """An account that is changed here; NotFound, BelongsToHub."""
    account = _named(session, username)
    editor = editors.find(session, account.id)
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
    return account.person_id is None or persons.get(session, account.person_id).is_active
