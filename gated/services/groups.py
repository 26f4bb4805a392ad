"""Groups of persons: made, changed, filled and emptied, each change with its journal entry."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from gated.services.people import person_entry
from gated.services.workspace import Service
from gated.storage import changes as feed
from gated.storage import groups, mirror, persons
from gated.storage.journal import Entry
from gated.storage.records import Group
from gated.storage.settings import lock_rules


class Groups(Service):
    """The groups of a workspace; `actor` is who makes a change.

    On a gate, those of its hub are not to be changed, nor is who of its people is in which:
    BelongsToHub.
    """

    def list_(self) -> list[Group]:
        """All groups by name."""
        with self._workspace.database.read() as session:
            return groups.list_(session)

    def get(self, id_: int) -> Group:
        """The group with this id; NotFound."""
        with self._workspace.database.read() as session:
            return groups.get(session, id_)

    def add(self, name: str, description: str | None, *, actor: str) -> Group:
        """Add a group; Conflict when the name is taken."""
        with self._workspace.database.write() as session:
            lock_rules(session)
            group = groups.add(session, name, description)
            self._record(session, "group_created", group, actor)
        return group

    def update(self, id_: int, changes: Mapping[str, Any], *, actor: str) -> Group:
        """Change fields; NotFound, Conflict."""
        with self._workspace.database.write() as session:
            lock_rules(session)
            _require_own(session, groups.get(session, id_))
            group = groups.update(session, id_, **changes)
            self._record(session, "group_changed", group, actor)
        return group

    def delete(self, id_: int, *, actor: str) -> None:
        """Remove a group; its members stay. NotFound."""
        with self._workspace.database.write() as session:
            lock_rules(session)
            group = groups.get(session, id_)
            _require_own(session, group)
            groups.delete(session, id_)
            self._record(session, "group_deleted", group, actor)

    def join(self, id_: int, person_id: int, *, actor: str) -> None:
        """Make a person a member; NotFound."""
        self._member("group_joined", id_, person_id, actor)

    def leave(self, id_: int, person_id: int, *, actor: str) -> None:
        """End a membership, if there is one; NotFound."""
        self._member("group_left", id_, person_id, actor)

    def _member(self, kind: str, id_: int, person_id: int, actor: str) -> None:
        change = groups.join if kind == "group_joined" else groups.leave
        with self._workspace.database.write() as session:
            lock_rules(session)
            group, person = groups.get(session, id_), persons.get(session, person_id)
            _require_own(session, group)
            mirror.require_own(session, feed.PERSON, person.uid, f"person {person_id}")
            if not change(session, id_, person_id):
                return
            entry = person_entry(self._clock.now(), kind, person, actor, [f"group {group.uid}"])
            self._workspace.journal.append([entry], session)

    def _record(self, session: Session, kind: str, group: Group, actor: str) -> None:
        private = {"actor": {"name": actor}}
        entry = Entry(self._clock.now(), kind, {"group": group.uid, "name": group.name}, private)
        self._workspace.journal.append([entry], session)


def _require_own(session: Session, group: Group) -> None:
    mirror.require_own(session, feed.GROUP, group.uid, f"group {group.name}")
