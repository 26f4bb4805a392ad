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

from gated.core.model import Instant
from gated.core.plan import UnsetClock
from gated.errors import BelongsToHub, ChangedMeanwhile, Conflict, WeakPassword
from gated.services import credential_keys, passwords
from gated.services.access_plan import rules_here, site_rules_of
from gated.services.obligations import moment
from gated.services.people import person_entry
from gated.services.workspace import Service
from gated.storage import changes as feed
from gated.storage import credentials, mirror, persons
from gated.storage.records import Credential
from gated.storage.settings import lock_rules
from gated.storage.tables import new_uid

__all__ = ["Credential", "Credentials"]

BADGE = "GATED:"
"""What the content of our badges begins with: any other code in the picture is none of ours."""

BADGE_BITS = 120


class Credentials(Service):
    """The credentials in a workspace; `actor` is who makes a change."""

    def list_(self, person_id: int) -> list[Credential]:
        """The credentials of a person, without their secrets. NotFound."""
        with self._workspace.database.read() as session:
            return credentials.list_(session, person_id)

    def get(self, id_: int) -> Credential:
        """The credential with this id; NotFound."""
        with self._workspace.database.read() as session:
            return credentials.get(session, id_)

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
        returned this once. NotFound, Conflict, BelongsToHub, WeakPassword."""
        content = None
        if kind == "qr":
            content = BADGE + _random_token()
            secret = content
        assert secret is not None  # noqa: S101 - the schema asks for it
        give = self._give_pin if kind == "pin" else self._give_card
        given = give(person_id, kind, secret, fields, actor)
        return given, content

    def _give_card(
        self, person_id: int, kind: str, text: str, fields: Mapping[str, Any], actor: str
    ) -> Credential:
        with self._workspace.database.write() as session:
            lock_rules(session)
            self._require_own(session, person_id)
            known = self._digests(session, kind, text)
            if credentials.by_digest(session, kind, *known) is not None:
                raise Conflict(credentials.TAKEN)
            digests = self._digests(session, kind, text, of_hub=False)
            given = credentials.add(
                session, person_id, kind, digest=digests[-1], key_count=len(digests), **fields
            )
            self._record(session, "credential_given", given, actor)
        return given

    def _give_pin(
        self, person_id: int, kind: str, pin: str, fields: Mapping[str, Any], actor: str
    ) -> Credential:
        with self._workspace.database.read() as session:
            person = persons.get(session, person_id)
            keys = credential_keys.own(self._workspace, session)
        minimum = self._workspace.settings.credentials.pin_digits
        require_good_pin(pin, minimum, person.personnel_code)
        uid = new_uid()
        # slow on purpose, so not inside the transaction that others wait for
        pin_hash = passwords.hash_password(_pin_digest(keys, uid, pin))
        made: dict[str, Any] = {"uid": uid, "pin_hash": pin_hash, "key_count": len(keys)}
        with self._workspace.database.write() as session:
            lock_rules(session)
            self._require_own(session, person_id)
            given = credentials.add(session, person_id, kind, **made, **fields)
            self._record(session, "credential_given", given, actor)
        return given

    def update(
        self, id_: int, changes: Mapping[str, Any], *, actor: str, version: int | None = None
    ) -> Credential:
        """Change label, times or whether it counts; NotFound, ChangedMeanwhile, BelongsToHub.

        Wrong tries were made here: they are forgiven here, of a PIN from the hub as well.
        """
        with self._workspace.database.write() as session:
            lock_rules(session)
            before = credentials.get(session, id_)
            if not (before.is_active and changes == {"is_active": True}):
                _require_given_here(session, before)
            if version not in (None, before.version):
                raise ChangedMeanwhile("the credential was changed meanwhile: read it again")
            after = credentials.update(session, id_, **changes)
            self._record(session, "credential_changed", after, actor)
        return after

    def delete(self, id_: int, *, actor: str) -> None:
        """Take a credential away; NotFound, BelongsToHub."""
        with self._workspace.database.write() as session:
            lock_rules(session)
            gone = credentials.get(session, id_)
            _require_given_here(session, gone)
            credentials.delete(session, id_)
            self._record(session, "credential_taken", gone, actor)

    def whose(self, kind: str, text: str) -> int | None:
        """The person whose card or badge this is; None when it is nobody's or does not count."""
        with self._workspace.database.read() as session:
            digests = self._digests(session, kind, text)
            found = credentials.by_digest(session, kind, *digests)
            counts = found is not None and self.counts(session, found, self._clock.now())
            return found.person_id if found is not None and counts else None

    def counts(self, session: Session, found: Credential, now: Instant) -> bool:
        """Whether it is valid now; one with dates is not while nobody has set the clock, unless
        the site trusts it."""
        if not now.clock_ok and (found.valid_from or found.valid_until):
            rules = site_rules_of(rules_here(self._workspace, session).values)
            if rules.unset_clock is UnsetClock.REFUSE:
                return False
        return found.is_valid(moment(now))

    def pin_is(self, known: Credential, pin: str, stored: str) -> bool:
        """Whether this is the PIN that was stored; slow on purpose."""
        whose = credential_keys.of_hub if known.from_hub else credential_keys.own
        with self._workspace.database.read() as session:
            keys = whose(self._workspace, session)[: known.key_count]
        if len(keys) < known.key_count:
            return False  # the hub has a key that is still to come
        return passwords.verify(_pin_digest(keys, known.uid, pin), stored)[0]

    def _digests(self, session: Session, kind: str, text: str, *, of_hub: bool = True) -> list[str]:
        """All that can be stored of a card or badge: under the keys of this machine, and of its
        hub."""
        keyed = _joined(kind, card_number(text) if kind == "card" else text)
        found = credential_keys.digests(credential_keys.own(self._workspace, session), keyed)
        if of_hub:
            theirs = credential_keys.of_hub(self._workspace, session)
            found += credential_keys.digests(theirs, keyed)
        return found

    @staticmethod
    def _require_own(session: Session, person_id: int) -> None:
        person = persons.get(session, person_id)
        mirror.require_own(session, feed.PERSON, person.uid, f"person {person_id}")

    def _record(self, session: Session, kind: str, credential: Credential, actor: str) -> None:
        person = persons.get(session, credential.person_id)
        named = [f"{credential.kind} {credential.uid}"]
        entry = person_entry(self._clock.now(), kind, person, actor, named)
        self._workspace.journal.append([entry], session)


def _require_given_here(session: Session, credential: Credential) -> None:
    if credential.from_hub and mirror.has_hub(session):
        raise BelongsToHub(f"credential {credential.id}")


def _pin_digest(keys: Sequence[bytes], uid: str, pin: str) -> str:
    return credential_keys.digests(keys, _joined("pin", uid, pin))[-1]


def _joined(*parts: str) -> str:
    return "\0".join(parts)


def card_number(text: str) -> str:
    """A card's number as it is compared: readers differ in case, separators, leading zeros."""
    return re.sub(r"[\s:-]", "", text).casefold().lstrip("0") or "0"


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
