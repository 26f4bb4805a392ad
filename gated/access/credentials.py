"""Cards, PINs and badges: given, taken away, and recognised when somebody presents one.

Of a card or badge an HMAC-SHA256 is stored, of a PIN an argon2id hash of one. Both need keys that
are not in the database (`credential_keys`): a stolen one alone says nothing, though cards have few
numbers and PINs fewer.
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
from gated.accounts.passwords import PasswordHasher
from gated.change import RULES, Change
from gated.core.cards import card_numbers, require_card
from gated.core.plan import UnsetClock
from gated.core.values import Instant, moment
from gated.database import change_feed as feed
from gated.database import hub_ownership
from gated.database.records import Credential, Person
from gated.database.tables import new_uid
from gated.errors import BelongsToHub, CardTaken, ChangedMeanwhile, WeakPassword
from gated.people import person_store
from gated.workspace import Service

__all__ = ["Credential", "Credentials"]

BADGE = "GATED:"
"""What the content of our badges begins with: any other code in the picture is none of ours."""

BADGE_BITS = 120


class Credentials(Service):
    """The credentials in a workspace."""

    @property
    def _passwords(self) -> PasswordHasher:
        return PasswordHasher.of(self._workspace.settings.auth)

    def list_(self, person_id: int) -> list[Credential]:
        """The credentials of a person, without their secrets. NotFound."""
        with self._workspace.database.read() as session:
            return credential_store.list_(session, person_id)

    def get(self, id_: int) -> Credential:
        """The credential with this id; NotFound."""
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
        """Give a person a card (its number), a PIN, or (secret None) a badge, whose content is
        returned this once. NotFound, Conflict, BelongsToHub, WeakPassword, CardRefused."""
        content = None
        if kind == "qr":
            content = BADGE + _random_token()
            secret = content
        assert secret is not None  # noqa: S101 - the schema asks for it
        if kind == "card":
            own = self._workspace.settings.credentials
            require_card(secret, own.card_format, own.card_digits, own.card_length)
        give = self._give_pin if kind == "pin" else self._give_card
        given = give(person_id, kind, secret, fields, actor)
        return given, content

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
            given = credential_store.add(
                session, person_id, kind, digest=digests[-1], key_count=len(digests), **fields
            )
            _record(change, "credential_given", given)
        return given

    def _give_pin(
        self, person_id: int, kind: str, pin: str, fields: Mapping[str, Any], actor: str
    ) -> Credential:
        with self._workspace.database.read() as session:
            person = person_store.get(session, person_id)
            keys = credential_keys.own(self._workspace, session)
        minimum = self._workspace.settings.credentials.pin_digits
        require_good_pin(pin, minimum, person.personnel_code)
        uid = new_uid()
        # slow on purpose, so not inside the transaction that others wait for
        pin_hash = self._passwords.hash(_pin_digest(keys, uid, pin))
        made: dict[str, Any] = {"uid": uid, "pin_hash": pin_hash, "key_count": len(keys)}
        with self.change(actor) as change:
            change.touches(RULES)
            session = change.session
            self._require_own(session, person_id)
            given = credential_store.add(session, person_id, kind, **made, **fields)
            _record(change, "credential_given", given)
        return given

    def update(
        self, change: Change, id_: int, changes: Mapping[str, Any], *, version: int | None = None
    ) -> Credential:
        """Change label, times or whether it counts; NotFound, ChangedMeanwhile, BelongsToHub.

        Wrong tries were made here: they are forgiven here, of a PIN from the hub as well.
        """
        change.touches(RULES)
        session = change.session
        before = credential_store.get(session, id_)
        if not (before.is_active and changes == {"is_active": True}):
            _require_given_here(session, before)
        if version not in (None, before.version):
            raise ChangedMeanwhile("the credential was changed meanwhile: read it again")
        after = credential_store.update(session, id_, **changes)
        _record(change, "credential_changed", after)
        return after

    def delete(self, change: Change, id_: int) -> None:
        """Take a credential away; NotFound, BelongsToHub."""
        change.touches(RULES)
        gone = credential_store.get(change.session, id_)
        _require_given_here(change.session, gone)
        credential_store.delete(change.session, id_)
        _record(change, "credential_taken", gone)

    def whose(self, kind: str, text: str) -> int | None:
        """The person whose card or badge this is; None when it is nobody's or does not count."""
        with self._workspace.database.read() as session:
            digests = self._digests(session, kind, text)
            found = credential_store.by_digest(session, kind, *digests)
            counts = found is not None and self.counts(session, found, self._clock.now())
            return found.person_id if found is not None and counts else None

    def owner(self, change: Change, number: str) -> tuple[Person, Credential] | None:
        """Look up whose card has this number, whether it counts or not; None for nobody's.

        Each look is on record, also one that finds nobody: so that is no error here.
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
        """Return whether it is valid now; one with dates is not while nobody has set the clock,
        unless the site trusts it."""
        if not now.clock_ok and (found.valid_from or found.valid_until):
            rules = site_rules_of(rules_here(self._workspace, session).values)
            if rules.unset_clock is UnsetClock.REFUSE:
                return False
        return found.is_valid(moment(now))

    def pin_is(self, known: Credential, pin: str, stored: str) -> bool:
        """Return whether this is the PIN that was stored; slow on purpose."""
        whose = credential_keys.of_hub if known.from_hub else credential_keys.own
        with self._workspace.database.read() as session:
            keys = whose(self._workspace, session)[: known.key_count]
        if len(keys) < known.key_count:
            return False  # the hub has a key that is still to come
        return self._passwords.verify(_pin_digest(keys, known.uid, pin), stored)[0]

    def _forms(self, kind: str, text: str) -> list[str]:
        """List what a card or badge may be stored as, that of the present format first."""
        if kind != "card":
            return [text]
        own = self._workspace.settings.credentials
        return card_numbers(text, own.card_format, own.card_digits)

    def _digests(self, session: Session, kind: str, text: str) -> list[str]:
        """All that can be stored of a card or badge: under the keys of this machine, and of its
        hub."""
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
    """WeakPassword for a PIN that is too short, or among those that are tried first."""
    if not re.fullmatch(r"[0-9]{4,12}", pin) or len(pin) < digits:
        raise WeakPassword(f"a PIN has {digits} to 12 digits")
    steps = {(int(b) - int(a)) % 10 for a, b in itertools.pairwise(pin)}
    halves = len(pin) % 2 == 0 and pin[: len(pin) // 2] == pin[len(pin) // 2 :]
    if steps <= {0} or steps == {1} or steps == {9} or halves or pin == personnel_code:
        raise WeakPassword("this PIN is one of those that are tried first")


def _random_token() -> str:
    return base64.b32encode(secrets.token_bytes(BADGE_BITS // 8)).decode()
