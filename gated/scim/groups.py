"""Groups of a directory: the access groups of this machine, and who is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Session

from gated.change import RULES, Change
from gated.database import hub_ownership
from gated.database.change_feed import GROUP
from gated.database.records import Group
from gated.errors import NotFound
from gated.people import directory_store, group_store, person_store
from gated.people.bulk import MOST as MOST_AT_ONCE
from gated.people.groups import Groups
from gated.scim.attributes import GROUPS, read
from gated.scim.directed import Directed
from gated.scim.filters import Comparison, parse_filter
from gated.scim.refusals import ScimRefused
from gated.scim.resources import ListQuery, Resource, finished, require_version
from gated.workspace import Workspace

LONGEST_NAME = 200

MOST_MEMBERS = 20_000
"""Members in a page of groups: a page with more has fewer groups (RFC 7644, 3.4.2.4)."""


class DirectoryGroups(Directed):
    """The groups of a workspace. actor: the account of the directory.

    Memberships change a hundred at a time, so that rows of the door find their turn in between: a
    request that is cut off has done a part, and does the rest when it is sent again.
    """

    KIND = GROUPS

    def __init__(self, workspace: Workspace, groups: Groups) -> None:
        self._workspace = workspace
        self._groups = groups

    # --- reading ---

    def list_(self, query: ListQuery) -> Resource:
        """One page of groups. Raises: ScimRefused for a filter that is not answered."""
        asked = parse_filter(GROUPS, query.filter) if query.filter is not None else []
        conditions = [_condition(one) for one in asked]
        with self._workspace.database.read() as session:
            found, total = directory_store.find_groups(
                session, conditions, query.limit, query.offset
            )
            members = query.wants("members")
            if members:
                found = _within(found, directory_store.member_counts(session, found))
            shown = _resources(session, found, query.base, members=members)
        return query.listed(GROUPS, shown, total)

    def get(self, uid: str, base: str) -> Resource:
        """One group with its members. Raises: NotFound."""
        with self._workspace.database.read() as session:
            return _resource(session, _group(session, uid), base)

    # --- changing ---

    def create(self, actor: str, body: Mapping[str, Any], base: str) -> Resource:
        """Add a group. Raises: ScimRefused, Taken."""
        resource = read(GROUPS, body)
        with self._workspace.change(actor) as change:
            change.touches(RULES)
            wanted = _members(change.session, resource)
            group = self._groups.add(change, _name(resource), None)
            directory_store.put_external_id(
                change.session, group.id, resource.get("externalId") or None
            )
        self._set_members(actor, group.id, wanted)
        return self.get(group.uid, base)

    def delete(self, actor: str, uid: str, if_match: str | None, base: str) -> None:
        """Remove a group with its rules; its members stay. Raises: NotFound."""
        with self._workspace.change(actor) as change:
            change.touches(RULES)
            group = _group(change.session, uid)
            if if_match is not None:
                require_version(_resource(change.session, group, base), if_match)
            self._groups.delete(change, group.id)

    def _change(
        self,
        actor: str,
        uid: str,
        base: str,
        if_match: str | None,
        wanted: Callable[[Resource], Resource],
    ) -> Resource:
        with self._workspace.change(actor) as change:
            change.touches(RULES)
            group = _group(change.session, uid)
            before = _resource(change.session, group, base)
            require_version(before, if_match)
            after = wanted(before)
            members = _members(change.session, after)
            name, external_id = _name(after), after.get("externalId") or None
            if name != group.name:
                self._groups.update(change, group.id, {"name": name})
            if external_id != before.get("externalId"):
                hub_ownership.require_own(change.session, GROUP, group.uid, f"group {group.name}")
                directory_store.put_external_id(change.session, group.id, external_id)
        self._set_members(actor, group.id, members)
        return self.get(uid, base)

    def _set_members(self, actor: str, group_id: int, wanted: frozenset[int]) -> None:
        """Let people join and leave until these are the members; who was erased is left out."""
        with self._workspace.database.read() as session:
            now = {
                one.person_id for one in directory_store.memberships(session, group_ids=[group_id])
            }
        steps = [(self._groups.leave, id_) for id_ in sorted(now - wanted)]
        steps += [(self._groups.join, id_) for id_ in sorted(wanted - now)]
        for i in range(0, len(steps), MOST_AT_ONCE):
            with self._workspace.change(actor) as change:
                change.touches(RULES)
                self._step(change, group_id, steps[i : i + MOST_AT_ONCE])

    def _step(
        self,
        change: Change,
        group_id: int,
        steps: Sequence[tuple[Callable[[Change, int, int], None], int]],
    ) -> None:
        there = person_store.refs(change.session, [person_id for _, person_id in steps])
        for act, person_id in steps:
            if person_id in there:
                act(change, group_id, person_id)


def _within(found: Sequence[Group], counts: Mapping[int, int]) -> list[Group]:
    """Return the first groups that have `MOST_MEMBERS` members together, one at least."""
    kept: list[Group] = []
    total = 0
    for group in found:
        total += counts.get(group.id, 0)
        if kept and total > MOST_MEMBERS:
            break
        kept.append(group)
    return kept


def _group(session: Session, uid: str) -> Group:
    """The group of this uid. Raises: NotFound."""
    found = group_store.by_uids(session, [uid])
    if not found:
        raise NotFound("there is no such group")
    return found[0]


def _name(resource: Resource) -> str:
    name = (resource.get("displayName") or "").strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise ScimRefused("invalidValue", f"displayName has 1 to {LONGEST_NAME} characters")
    return name


def _members(session: Session, resource: Resource) -> frozenset[int]:
    """The ids of the members of a resource. Raises: ScimRefused for one who is not there."""
    uids = {str(one.get("value", "")) for one in resource.get("members") or ()}
    found = person_store.ids_by_uid(session, uids)
    if missing := uids - found.keys():
        raise ScimRefused("invalidValue", f"there is no user {min(missing)[:60]!a}")
    return frozenset(found.values())


def _resource(session: Session, group: Group, base: str) -> Resource:
    return _resources(session, [group], base)[0]


def _resources(
    session: Session, found: Sequence[Group], base: str, *, members: bool = True
) -> list[Resource]:
    ids = [group.id for group in found]
    external = directory_store.external_ids(session, ids)
    theirs: dict[str, list[Resource]] = {}
    for one in directory_store.memberships(session, group_ids=ids) if members else ():
        address = f"{base}/Users/{one.person_uid}"
        member = {"value": one.person_uid, "$ref": address, "type": "User"}
        theirs.setdefault(one.group_uid, []).append(member)
    return [
        finished(
            GROUPS,
            {
                "id": group.uid,
                "externalId": external.get(group.id),
                "displayName": group.name,
                "members": theirs.get(group.uid, []),
            },
            base,
            group.created_at,
            group.updated_at,
        )
        for group in found
    ]


def _condition(asked: Comparison) -> sa.ColumnElement[bool]:
    match asked.attribute, asked.value:
        case "id", str(value):
            return directory_store.group_with_uid(value)
        case "displayname", str(value):
            return directory_store.group_named(value)
        case "externalid", str(value):
            return directory_store.group_called(value)
        case (("members" | "members.value"), str(value)):
            return directory_store.group_of(value)
    raise ScimRefused(
        "invalidFilter", "groups are found by displayName, externalId, id and members (eq, and)"
    )
