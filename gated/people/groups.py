"""Groups of persons: made, changed, filled and emptied, each change with its journal entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from gated.change import RULES, Change
from gated.database import change_feed as feed
from gated.database import hub_ownership, limits
from gated.database.records import Group, Person
from gated.people import group_store, person_store
from gated.workspace import Service


class Groups(Service):
    """The groups of a workspace.

    On a gate, those of its hub are not to be changed, nor is who of its people is in which:
    BelongsToHub.
    """

    def list_(self) -> list[Group]:
        """All groups by name."""
        with self._workspace.database.read() as session:
            return group_store.list_(session)

    def get(self, id_: int) -> Group:
        """The group with this id; NotFound."""
        with self._workspace.database.read() as session:
            return group_store.get(session, id_)

    def add(
        self,
        change: Change,
        name: str,
        description: str | None,
        planned_hours: float | None = None,
        late_after: str | None = None,
    ) -> Group:
        """Add a group; Conflict when the name is taken, LimitReached."""
        change.touches(RULES)
        limits.GROUPS.require_room(change.session)
        group = group_store.add(change.session, name, description, planned_hours, late_after)
        _record(change, "group_created", group)
        return group

    def update(self, change: Change, id_: int, changes: Mapping[str, Any]) -> Group:
        """Change fields; NotFound, Conflict."""
        change.touches(RULES)
        _require_own(change.session, group_store.get(change.session, id_))
        group = group_store.update(change.session, id_, **changes)
        _record(change, "group_changed", group)
        return group

    def delete(self, change: Change, id_: int) -> None:
        """Remove a group; its members stay. NotFound."""
        change.touches(RULES)
        group = group_store.get(change.session, id_)
        _require_own(change.session, group)
        group_store.delete(change.session, id_)
        _record(change, "group_deleted", group)

    def join(self, change: Change, id_: int, person_id: int) -> None:
        """Make a person a member; NotFound."""
        group, person = _own_both(change, id_, person_id)
        if group_store.join(change.session, id_, person_id):
            change.record_person("group_joined", person, [f"group {group.uid}"])

    def leave(self, change: Change, id_: int, person_id: int) -> None:
        """End a membership, if there is one; NotFound."""
        group, person = _own_both(change, id_, person_id)
        if group_store.leave(change.session, id_, person_id):
            change.record_person("group_left", person, [f"group {group.uid}"])


def _own_both(change: Change, id_: int, person_id: int) -> tuple[Group, Person]:
    change.touches(RULES)
    session = change.session
    group, person = group_store.get(session, id_), person_store.get(session, person_id)
    _require_own(session, group)
    hub_ownership.require_own(session, feed.PERSON, person.uid, f"person {person_id}")
    return group, person


def _record(change: Change, kind: str, group: Group) -> None:
    change.record(kind, {"group": group.uid, "name": group.name})


def _require_own(session: Session, group: Group) -> None:
    hub_ownership.require_own(session, feed.GROUP, group.uid, f"group {group.name}")
