"""Users: the people of this machine, as a directory sees and changes them.

Every change goes the way of the API: `people.people` writes, journals and tells gates. Beside it a
directory's own names of somebody are kept (`directory_store`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Annotated, Any

import sqlalchemy as sa
from pydantic import StringConstraints, ValidationError
from sqlalchemy.orm import Session

from gated.accounts.throttle import PaceLimit
from gated.change import GALLERY, RULES, Change
from gated.config import ScimSettings
from gated.core.plain_words import in_plain_words
from gated.database.records import Person
from gated.errors import NotFound, RetentionHold, Throttled, TooMany
from gated.http.schemas import Code, Email, In, Phone, Text
from gated.people import directory_store, person_store
from gated.people.directory_store import DirectoryName, GroupMembership
from gated.people.people import People
from gated.people.preconditions import require_own
from gated.scim.attributes import ENTERPRISE, USERS, read
from gated.scim.directed import Directed
from gated.scim.filters import Comparison, parse_filter
from gated.scim.refusals import ScimRefused
from gated.scim.resources import ListQuery, Resource, finished, require_version
from gated.workspace import Workspace

HOUR_S = 3600.0

_NUMBER = f"{ENTERPRISE}:employeeNumber".lower()

_SENT_AS = {
    "first_name": "name.givenName",
    "last_name": "name.familyName",
    "department": f"{ENTERPRISE}:department",
    "position": "title",
    "email": "emails",
    "phone": "phoneNumbers",
}

_PartOfName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200)]


class DirectoryPerson(In):
    """The fields of a person, checked as those of the people's API are; any may be left out."""

    first_name: _PartOfName = ""
    last_name: _PartOfName = ""
    personnel_code: Code = ""
    department: Text | None = None
    position: Text | None = None
    email: Email | None = None
    phone: Phone | None = None


class Users(Directed):
    """The users of a workspace. actor: the account of the directory."""

    KIND = USERS

    def __init__(self, workspace: Workspace, people: People) -> None:
        self._workspace = workspace
        self._people = people
        self._settings: ScimSettings = workspace.settings.scim
        most = self._settings.erasures_an_hour
        self._erasures = PaceLimit(lambda: workspace.clock.now().mono, most, HOUR_S / most)

    # --- reading ---

    def list_(self, query: ListQuery) -> Resource:
        """One page of users. Raises: ScimRefused for a filter that is not answered."""
        asked = parse_filter(USERS, query.filter) if query.filter is not None else []
        conditions = [self._condition(one) for one in asked]
        with self._workspace.database.read() as session:
            found, total = person_store.list_(
                session, more=conditions, limit=query.limit, offset=query.offset
            )
            shown = self._resources(session, found, query.base, groups=query.wants("groups"))
        return query.listed(USERS, shown, total)

    def get(self, uid: str, base: str) -> Resource:
        """One user. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return self._resource(session, _person(session, uid), base)

    # --- changing ---

    def create(self, actor: str, body: Mapping[str, Any], base: str) -> Resource:
        """Add a person. Raises: ScimRefused, Conflict."""
        resource = read(USERS, body)
        with self._workspace.change(actor) as change:
            change.touches(GALLERY, RULES)
            name = _name(resource)
            active = resource.get("active") is not False
            person = self._people.create(change, {**self._fields(resource), "is_active": active})
            directory_store.put_name(change.session, person.id, name)
            return self._resource(change.session, person, base)

    def delete(self, actor: str, uid: str, if_match: str | None, base: str) -> None:
        """Erase a person, as the people's API does; the receipt is in the journal.

        While the record must be kept the person is switched off, and RetentionHold is raised.
        Raises: NotFound, Conflict; TooMany beyond `scim.erasures_an_hour`.
        """
        self._pace(actor)
        try:
            with self._workspace.change(actor) as change:
                person = _person(change.session, uid)
                require_version(self._resource(change.session, person, base), if_match)
                self._people.delete(change, person.id)
        except RetentionHold:
            with self._workspace.change(actor) as change:
                self._people.set_active(change, person.id, False)
            self._erasures.give_back(actor)
            raise
        except BaseException:
            self._erasures.give_back(actor)
            raise

    def _pace(self, actor: str) -> None:
        try:
            self._erasures.act(actor)
        except Throttled as error:
            raise TooMany(error.retry_after) from None

    def _change(
        self,
        actor: str,
        uid: str,
        base: str,
        if_match: str | None,
        wanted: Callable[[Resource], Resource],
    ) -> Resource:
        with self._workspace.change(actor) as change:
            change.touches(GALLERY, RULES)
            person = _person(change.session, uid)
            before = self._resource(change.session, person, base)
            require_version(before, if_match)
            self._write(change, person, before, wanted(before))
            return self._resource(change.session, _person(change.session, uid), base)

    def _write(self, change: Change, person: Person, before: Resource, after: Resource) -> None:
        """Write those fields that are another than before, and no other."""
        self._people.update(change, person.id, self._fields(after, before, person))
        if (active := after.get("active")) is not None:
            self._people.set_active(change, person.id, active)
        name, known = _name(after), _name(before)
        if name != known:
            require_own(change.session, person)
            directory_store.put_name(change.session, person.id, name)
            of_name = fields(DirectoryName)
            changed = [f.name for f in of_name if getattr(name, f.name) != getattr(known, f.name)]
            change.record_person("person_changed", person, changed)

    # --- between a person and a user ---

    def _fields(
        self, resource: Resource, before: Resource | None = None, person: Person | None = None
    ) -> dict[str, Any]:
        """Return a person's fields. before: the user as it was, and whose it is."""
        first, last = _names(resource, person)
        code = self._code(resource, before, person)
        more: Mapping[str, Any] = resource.get(ENTERPRISE) or {}
        found = {
            "first_name": first,
            "last_name": last,
            "personnel_code": code,
            "department": more.get("department") or None,
            "position": resource.get("title") or None,
            "email": _kept(resource.get("emails")),
            "phone": (_kept(resource.get("phoneNumbers")) or "").removeprefix("tel:") or None,
        }
        # what stands here already may be older than the checks of today
        asked = {k: v for k, v in found.items() if person is None or getattr(person, k) != v}
        try:
            checked = DirectoryPerson.model_validate(asked)
        except ValidationError as error:
            raise ScimRefused("invalidValue", self._wrong(error)) from None
        return checked.model_dump(exclude_unset=True)

    def _wrong(self, error: ValidationError) -> str:
        """Name the places and the rules, never the values."""
        names = {**_SENT_AS, "personnel_code": self._settings.personnel_code}
        return "; ".join(
            f"{names.get(at := str(e['loc'][0]), at)}: "
            f"{in_plain_words(e['type'], e['msg'], e.get('ctx') or {})}"
            for e in error.errors(include_input=False)
        )

    def _code(self, resource: Resource, before: Resource | None, person: Person | None) -> str:
        """Return the personnel code; it changes when the directory changes what it is made of."""
        given = self._source(resource)
        if person is not None and (not given or given == self._source(before or {})):
            return person.personnel_code
        if given:
            return given
        for other in (resource.get("externalId"), resource.get("userName")):
            if other and "@" not in other:
                return str(other)
        raise ScimRefused(
            "invalidValue",
            f"nothing here can be a personnel code: send {self._settings.personnel_code} "
            "(scim.personnel_code), without @ and spaces",
        )

    def _source(self, resource: Resource) -> str | None:
        name = self._settings.personnel_code
        holder: Mapping[str, Any] = resource
        if self._is_numbered():
            holder = resource.get(ENTERPRISE) or {}
        return holder.get(name)

    def _is_numbered(self) -> bool:
        return self._settings.personnel_code == "employeeNumber"

    def _resource(self, session: Session, person: Person, base: str) -> Resource:
        return self._resources(session, [person], base)[0]

    def _resources(
        self, session: Session, found: Sequence[Person], base: str, *, groups: bool = True
    ) -> list[Resource]:
        ids = [person.id for person in found]
        names = directory_store.names(session, ids)
        theirs: dict[int, list[GroupMembership]] = {}
        for one in directory_store.memberships(session, person_ids=ids) if groups else ():
            theirs.setdefault(one.person_id, []).append(one)
        return [self._user(p, names.get(p.id), theirs.get(p.id, ()), base) for p in found]

    def _user(
        self,
        person: Person,
        name: DirectoryName | None,
        groups: Sequence[GroupMembership],
        base: str,
    ) -> Resource:
        names = {"familyName": person.last_name, "givenName": person.first_name}
        code = person.personnel_code if self._is_numbered() else None
        more = {
            "employeeNumber": name.employee_number if name else code,
            "department": person.department,
        }
        user = {
            "id": person.uid,
            "externalId": name and name.external_id,
            "userName": name.user_name if name else person.email or person.personnel_code,
            "name": {part: value for part, value in names.items() if value},
            "displayName": person.name,
            "title": person.position,
            "active": person.is_active,
            "emails": [{"value": person.email, "type": "work"}] if person.email else [],
            "phoneNumbers": [{"value": person.phone, "type": "work"}] if person.phone else [],
            "groups": [
                {
                    "value": one.group_uid,
                    "$ref": f"{base}/Groups/{one.group_uid}",
                    "display": one.group_name,
                }
                for one in groups
            ],
            ENTERPRISE: {part: value for part, value in more.items() if value},
        }
        return finished(USERS, user, base, person.created_at, person.updated_at)

    # --- filters ---

    def _condition(self, asked: Comparison) -> sa.ColumnElement[bool]:
        match asked.attribute, asked.value:
            case "active", bool(on):
                return directory_store.switched(on)
            case "id", str(value):
                return directory_store.with_uid(value)
            case "username", str(value):
                return directory_store.named(value)
            case "externalid", str(value):
                return directory_store.called(value)
            case (("emails" | "emails.value"), str(value)):
                return directory_store.with_address(value)
            case "emails.type", str(value):
                return sa.true() if value.lower() == "work" else sa.false()
            case name, str(value) if name == _NUMBER:
                return directory_store.numbered(value, or_coded=self._is_numbered())
        raise ScimRefused(
            "invalidFilter",
            "users are found by userName, externalId, id, emails.value, active and "
            "employeeNumber (eq, and)",
        )


def _person(session: Session, uid: str) -> Person:
    """The person whom a directory calls so. Raises: NotFound."""
    found = person_store.ids_by_uid(session, [uid[:100]]).get(uid)
    if found is None:
        raise NotFound("there is no such user")
    return person_store.get(session, found)


def _name(resource: Resource) -> DirectoryName:
    """The names of a directory. Raises: ScimRefused without a userName."""
    user_name, external_id = resource.get("userName"), resource.get("externalId")
    if not user_name or not user_name.strip():
        raise ScimRefused("invalidValue", "userName is required")
    number = (resource.get(ENTERPRISE) or {}).get("employeeNumber")
    return DirectoryName(user_name.strip(), external_id or None, number or None)


def _names(resource: Resource, person: Person | None) -> tuple[str, str]:
    """Given and family name; without both those of before, or what is shown of somebody."""
    name: Mapping[str, Any] = resource.get("name") or {}
    first, last = name.get("givenName") or "", name.get("familyName") or ""
    if first.strip() or last.strip():
        return first, last
    if person is not None:
        return person.first_name, person.last_name
    return "", name.get("formatted") or resource.get("displayName") or resource["userName"]


def _kept(values: Any) -> str | None:
    """The one of several values that is kept: the primary one, else that for work."""
    typed = [(str(v.get("type") or "work").lower(), v) for v in values or () if v.get("value")]
    primary = [v for _, v in typed if v.get("primary")]
    chosen = primary or [v for kind, v in typed if kind == "work"]
    return str(chosen[0]["value"]).strip() if chosen else None
