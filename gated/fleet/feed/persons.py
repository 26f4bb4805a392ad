"""Persons with photos, groups, access and credentials, on their way down."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from gated.core.values import Vector
from gated.database import change_feed
from gated.errors import StorageError
from gated.fleet.gate import replica, replica_persons
from gated.fleet.hub import scope
from gated.fleet.wire import person_states
from gated.fleet.wire.kind import ApplyContext, FeedKind, Files, OutboundPage
from gated.fleet.wire.states import (
    SentEnrollment,
    SentPerson,
    StoredEnrollment,
    StoredPerson,
)


def _collect(page: OutboundPage, uids: Sequence[str] | None) -> Mapping[str, StoredPerson]:
    """Return persons without the contents of their files, which are read when they are sent."""
    return scope.of(page.session, page.gate, uids or ())


def _apply(page: ApplyContext, states: Mapping[str, StoredPerson]) -> None:
    people = list(states.values())
    page.unneeded += replica_persons.apply(page.session, people, page.snapshot)


def _drop(page: ApplyContext, uid: str) -> None:
    page.unneeded += replica.drop(page.session, uid)


def _unpack(files: Files, states: Mapping[str, SentPerson]) -> Mapping[str, StoredPerson]:
    """Write templates and photos into files, where those that are here are others."""
    with files.workspace.database.read() as session:
        there = person_states.enrollments_of(session, list(states))
    found = {uid: _stored(files, person, there) for uid, person in states.items()}
    if files.written:
        files.workspace.files.sync()
    return found


def _stored(
    files: Files, person: SentPerson, there: Mapping[str, StoredEnrollment]
) -> StoredPerson:
    enrolled = []
    for e in person.enrollments:
        old = there.get(e.uid)
        paths = {"encoding_path": _encoding(files, e, old), "image_path": _image(files, e, old)}
        enrolled.append(StoredEnrollment.of(**_without(e, "template", "photo"), **paths))
    return StoredPerson.of(**_without(person, "enrollments"), enrollments=tuple(enrolled))


def _without(state: SentPerson | SentEnrollment, *names: str) -> dict[str, object]:
    return {name: value for name, value in state.fields().items() if name not in names}


def _encoding(files: Files, sent: SentEnrollment, old: StoredEnrollment | None) -> str | None:
    """Return the file of a template: the present one while it holds the same."""
    if sent.template is None:
        return None
    vector = np.frombuffer(sent.template, "<f4").astype(np.float32)
    path = old.encoding_path if old else None
    if path is not None and _holds(files, path, vector):
        return path
    stored = files.workspace.files
    files.written.append(stored.save_encoding(vector, files.model, durable=False))
    return files.written[-1]


def _holds(files: Files, path: str, vector: Vector) -> bool:
    try:
        present, model = files.workspace.files.load_encoding(path)
    except StorageError:
        return False
    return model == files.model and np.array_equal(present, vector)


def _image(files: Files, sent: SentEnrollment, old: StoredEnrollment | None) -> str | None:
    if sent.photo is None:
        return None
    path = old.image_path if old else None
    try:
        if path is not None and files.workspace.files.load_image(path) == sent.photo:
            return path
    except StorageError:
        pass
    files.written.append(files.workspace.files.save_image(sent.photo, durable=False))
    return files.written[-1]


PERSON = FeedKind(change_feed.PERSON, SentPerson, _collect, _apply, _drop, _unpack)
