"""Packs everything that is stored of one person into an archive."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sqlalchemy.orm import Session

from gated.access import access_store, credential_store
from gated.attendance import attendance_store, correction_request_store
from gated.attendance.attendance import placed
from gated.change import Change
from gated.database import account_store, passkey_store
from gated.database.records import Account, Enrollment, Person
from gated.enrollment import enrollment_store
from gated.errors import StorageError
from gated.journal import audit_store, quarantine
from gated.people import consent_store, directory_store, group_store, person_store
from gated.workspace import Workspace

README = """What this gate knows of one person.

person.json       the person, groups, rules of access and consent
credentials.json  cards, badges and PINs (without what they hold)
accounts.json     accounts to sign in with (without password), and their passkeys
enrollments.json  reference photos, the templates made from them, and which are damaged
photos/           these photos
attendance.json   every entry, exit and refusal on record that names the person
correction_requests.json  what the person asked to be corrected, and the answers
set_apart.json    rows that came from a gate and fit into no log
journal.json      what was done to the person, and what the person did to others
"""


def record_export(change: Change, person_id: int) -> Person:
    """Put on record that a person is exported; comes before `archive_of`. Raises: NotFound."""
    person = person_store.get(change.session, person_id)
    change.record_person("person_exported", person)
    return person


def archive_of(workspace: Workspace, person: Person) -> bytes:
    """Return a ZIP archive of all that is stored of a person. Raises: StorageError.

    A photo or template that cannot be read keeps nothing else back: the archive names it.
    """
    with workspace.database.read() as session:
        parts = _parts(workspace, session, person)
        enrolled = enrollment_store.list_(session, person_id=person.id)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("README.txt", README)
        parts["enrollments.json"] = [_enrollment(workspace, e, file) for e in enrolled]
        for name, content in parts.items():
            text = json.dumps(content, indent=1, default=_plain, ensure_ascii=False)
            file.writestr(name, text)
    return archive.getvalue()


def _parts(workspace: Workspace, session: Session, person: Person) -> dict[str, Any]:
    consent = consent_store.find(session, person.id)
    directory = directory_store.names(session, [person.id]).get(person.id)
    own = account_store.list_(session, person_id=person.id)
    log = placed(workspace, session, attendance_store.list_(session, person_id=person.id, raw=True))
    asked = correction_request_store.list_(session, person_id=person.id)
    return {
        "person.json": {
            **asdict(person),
            "groups": [g.name for g in group_store.list_(session, person_id=person.id)],
            "access": asdict(access_store.of_person(session, person.id)),
            "consent": None if consent is None else asdict(consent),
            "directory": None if directory is None else asdict(directory),
        },
        "credentials.json": [asdict(c) for c in credential_store.list_(session, person.id)],
        "accounts.json": [_account(session, account) for account in own],
        "attendance.json": [{**asdict(row), "local_time": row.local_time} for row in log],
        "correction_requests.json": [asdict(r) for r in asked],
        "journal.json": [
            _without(asdict(row), ["place"]) for row in audit_store.about(session, person.uid)
        ],
        "set_apart.json": [asdict(row) for row in quarantine.about(session, person.uid)],
    }


def _account(session: Session, account: Account) -> dict[str, Any]:
    secret = ("password_hash", "token_digest")
    keys = [asdict(passkey) for passkey in passkey_store.list_(session, account.id)]
    return {**_without(asdict(account), secret), "passkeys": keys}


def _enrollment(
    workspace: Workspace, enrollment: Enrollment, archive: zipfile.ZipFile
) -> dict[str, Any]:
    """Write a photo into the archive; return what else is stored of the enrollment."""
    template, unreadable = None, []
    try:
        if enrollment.face_encoding_path is not None:
            vector, _ = workspace.files.load_encoding(enrollment.face_encoding_path)
            template = [float(x) for x in vector]
    except StorageError as error:
        unreadable.append(f"template: {error}")
    try:
        if enrollment.face_image_path is not None:
            photo = workspace.files.load_image(enrollment.face_image_path)
            archive.writestr(f"photos/{enrollment.id}.jpg", photo)
    except StorageError as error:
        unreadable.append(f"photo: {error}")
    stored = _without(asdict(enrollment), ("face_image_path", "face_encoding_path"))
    return {**stored, "template": template, "unreadable": unreadable}


def _without(values: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {k: v for k, v in values.items() if k not in names}


def _plain(value: Any) -> Any:
    return value.isoformat() if hasattr(value, "isoformat") else dict(value)
