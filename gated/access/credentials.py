"""Gives and takes away cards, PINs and badges, and recognises those that are presented.

A card or badge is stored as an HMAC-SHA256, a PIN as the argon2id hash of one. Both need keys that
are not in the database (`credential_keys`): a stolen database alone reveals nothing, though there
are few card numbers and fewer PINs.
"""

from __future__ import annotations

import base64
import itertools
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from gated.access import credential_keys, credential_store
from gated.access.access_plan import rules_here, site_rules_of
from gated.access.credential_store import NewCredential
from gated.accounts.passwords import PasswordHasher
from gated.change import RULES, Change
from gated.core.cards import card_numbers, require_card
from gated.core.plan import UnsetClock
from gated.core.values import Instant, moment
from gated.database import change_feed as feed
from gated.database import hub_ownership
from gated.database.records import Credential, Person
from gated.database.rows import Versions, require_version
from gated.database.tables import new_uid
from gated.errors import BelongsToHub, CardTaken, WeakPassword
from gated.people import person_store
from gated.workspace import Service

__all__ = ["Credential", "Credentials"]

BADGE = "GATED:"
"""Prefix of the content of our badges; other codes in the picture are ignored."""

BADGE_BITS = 120
"""Random bits of a badge."""


class Credentials(Service):
    """The credentials in a workspace."""

    @property
    def _passwords(self) -> PasswordHasher:
        return PasswordHasher.of(self._workspace.settings.auth)

    def list_(self, person_id: int) -> list[Credential]:
        """Return the credentials of a person, without their secrets. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return credential_store.list_(session, person_id)

    def get(self, id_: int) -> Credential:
        """Return the credential with this id. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return credential_store.get(session, id_)

    def add(
        self,
        person_id: int,
        kind: str,
        secret: str | None,
        fields: Mapping[str, Any],
        *,
        actor: str,
    ) -> tuple[Credential, str | None]:
        """Give a person a card (secret: its number), a PIN, or a badge (secret: None).

        Returns the credential, and the content of a badge, which is not stored.
        Raises: NotFound, Conflict, BelongsToHub, WeakPassword, CardRefused.
        """
        content = None
        if kind == "qr":
            content = BADGE + _random_token()
            secret = content
        assert secret is not None  # noqa: S101 - the schema asks for it
        if kind == "card":
            own = self._workspace.settings.credentials
            require_card(secret, own.card_format, own.card_digits, own.card_length)
        if kind == "pin":
            return self._give_pin(person_id, secret, fields, actor), None
        return self._give_card(person_id, kind, secret, fields, actor), content

    def _give_card(
        self, person_id: int, kind: str, text: str, fields: Mapping[str, Any], actor: str
    ) -> Credential:
        with self.change(actor) as change:
            change.touches(RULES)
            session = change.session
            self._require_own(session, person_id)
            known = self._digests(session, kind, text)
            if credential_store.by_digest(session, kind, *known) is not None:
                raise CardTaken(credential_store.TAKEN)
            keys = credential_keys.own(self._workspace, session)
            digests = credential_keys.digests(keys, _joined(kind, self._forms(kind, text)[0]))
            new = NewCredential(kind, digest=digests[-1], key_count=len(digests), **fields)
            given = credential_store.add(session, person_id, new)
            _record(change, "credential_given", given)
        return given

    def _give_pin(
        self, person_id: int, pin: str, fields: Mapping[str, Any], actor: str
    ) -> Credential:
        with self._workspace.database.read() as session:
            person = person_store.get(session, person_id)
            keys = credential_keys.own(self._workspace, session)
        minimum = self._workspace.settings.credentials.pin_digits
        require_good_pin(pin, minimum, person.personnel_code)
        uid = new_uid()
        # slow on purpose, so not inside the transaction that others wait for
        pin_hash = self._passwords.hash(_pin_digest(keys, uid, pin))
        new = NewCredential("pin", uid=uid, pin_hash=pin_hash, key_count=len(keys), **fields)
        with self.change(actor) as change:
            change.touches(RULES)
            session = change.session
            self._require_own(session, person_id)
            given = credential_store.add(session, person_id, new)
            _record(change, "credential_given", given)
        return given

    def update(
        self, change: Change, id_: int, changes: Mapping[str, Any], *, versions: Versions = None
    ) -> Credential:
        """Change label or dates, block or activate.

        Raises: NotFound, ChangedMeanwhile, BelongsToHub.

        Wrong tries are counted at this gate, so they are reset here, also for a PIN from the hub.
        """
        change.touches(RULES)
        session = change.session
        before = credential_store.get(session, id_)
        if not (before.is_active and changes == {"is_active": True}):
            _require_given_here(session, before)
        require_version(versions, before.version)
        after = credential_store.update(session, id_, **changes)
        _record(change, "credential_changed", after)
        return after

    def delete(self, change: Change, id_: int) -> None:
        """Take a credential away. Raises: NotFound, BelongsToHub."""
        change.touches(RULES)
        gone = credential_store.get(change.session, id_)
        _require_given_here(change.session, gone)
        credential_store.delete(change.session, id_)
        _record(change, "credential_taken", gone)

    def whose(self, kind: str, text: str) -> int | None:
        """Return the id of the owner of a card or badge; None when unknown or not valid now."""
        with self._workspace.database.read() as session:
            digests = self._digests(session, kind, text)
            found = credential_store.by_digest(session, kind, *digests)
            counts = found is not None and self.counts(session, found, self._clock.now())
            return found.person_id if found is not None and counts else None

    def owner(self, change: Change, number: str) -> tuple[Person, Credential] | None:
        """Look up the owner of a card number, valid or not; None for an unknown card.

        Each look-up is journaled. An error would undo the entry, so an unknown card is none.
        """
        session = change.session
        digests = self._digests(session, "card", number)
        found = credential_store.by_digest(session, "card", *digests)
        if found is None:
            change.record("card_looked_up", {"found": False})
            return None
        _record(change, "card_looked_up", found)
        return person_store.get(session, found.person_id), found

    def counts(self, session: Session, found: Credential, now: Instant) -> bool:
        """Return whether a credential is valid now.

        While the clock is not set, one with dates is not, unless the site trusts the clock.
        """
        if not now.clock_ok and (found.valid_from or found.valid_until):
            rules = site_rules_of(rules_here(self._workspace, session).values)
            if rules.unset_clock is UnsetClock.REFUSE:
                return False
        return found.is_valid(moment(now))

    def pin_is(self, known: Credential, pin: str, stored: str) -> bool:
        """Verify a PIN against its stored hash; slow on purpose."""
        whose = credential_keys.of_hub if known.from_hub else credential_keys.own
        with self._workspace.database.read() as session:
            keys = whose(self._workspace, session)[: known.key_count]
        if len(keys) < known.key_count:
            return False  # the hub has a newer key that has not arrived here yet
        return self._passwords.verify(_pin_digest(keys, known.uid, pin), stored)[0]

    def _forms(self, kind: str, text: str) -> list[str]:
        """List the spellings in which a card or badge may be stored, the present format first."""
        if kind != "card":
            return [text]
        own = self._workspace.settings.credentials
        return card_numbers(text, own.card_format, own.card_digits)

    def _digests(self, session: Session, kind: str, text: str) -> list[str]:
        """List all digests of a card or badge under the keys of this machine and of its hub."""
        ours = credential_keys.own(self._workspace, session)
        theirs = credential_keys.of_hub(self._workspace, session)
        return [
            digest
            for form in self._forms(kind, text)
            for keys in (ours, theirs)
            for digest in credential_keys.digests(keys, _joined(kind, form))
        ]

    @staticmethod
    def _require_own(session: Session, person_id: int) -> None:
        person = person_store.get(session, person_id)
        hub_ownership.require_own(session, feed.PERSON, person.uid, f"person {person_id}")


def _record(change: Change, kind: str, credential: Credential) -> None:
    person = person_store.get(change.session, credential.person_id)
    change.record_person(kind, person, [f"{credential.kind} {credential.uid}"])


def _require_given_here(session: Session, credential: Credential) -> None:
    if credential.from_hub and hub_ownership.has_hub(session):
        raise BelongsToHub(f"credential {credential.id}")


def _pin_digest(keys: Sequence[bytes], uid: str, pin: str) -> str:
    return credential_keys.digests(keys, _joined("pin", uid, pin))[-1]


def _joined(*parts: str) -> str:
    return "\0".join(parts)


def require_good_pin(pin: str, digits: int, personnel_code: str) -> None:
    """Refuse a PIN that is too short or easy to guess. Raises: WeakPassword."""
    if not re.fullmatch(r"[0-9]{4,12}", pin) or len(pin) < digits:
        raise WeakPassword(f"a PIN has {digits} to 12 digits")
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    halves = len(pin) % 2 == 0 and pin[: len(pin) // 2] == pin[len(pin) // 2 :]
    if steps <= {0} or steps == {1} or steps == {9} or halves or pin == personnel_code:
        raise WeakPassword("this PIN is one of those that are tried first")


def _random_token() -> str:
    return base64.b32encode(secrets.token_bytes(BADGE_BITS // 8)).decode()
