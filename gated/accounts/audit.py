"""Reads from the journal who did what, when, to whom and from where, newest first."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from gated.database.request_origin import RequestOrigin, current, request_from
from gated.errors import SourceError
from gated.journal import audit_store
from gated.journal.audit_store import AuditFilter, AuditRow, Place
from gated.people import person_store
from gated.workspace import Workspace

__all__ = ["Audit", "AuditPage", "RequestOrigin", "current", "request_from"]


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Rows newest first; `cursor` continues after them, None when there are no more."""

    rows: list[AuditRow]
    cursor: str | None = None


class Audit:
    """Reads the acts in the journal of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self._database = workspace.database

    def page(
        self,
        *,
        limit: int,
        cursor: str | None = None,
        person_id: int | None = None,
        **filters: Any,
    ) -> AuditPage:
        """Return a page of acts. filters: fields of AuditFilter.

        Raises: NotFound for the person, SourceError for a cursor that this list never gave.
        """
        after = _read_cursor(cursor) if cursor is not None else None
        with self._database.read() as session:
            uid = None if person_id is None else person_store.get(session, person_id).uid
            wanted = AuditFilter(subject_uid=uid, **filters)
            rows = audit_store.list_(session, wanted, after=after, limit=limit + 1)
        if len(rows) <= limit:
            return AuditPage(rows)
        return AuditPage(rows[:limit], _write_cursor(rows[limit - 1].place))


def _write_cursor(place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps(place).encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> Place:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, chain, seq = json.loads(base64.b64decode(padded, b"-_", validate=True))
        numbers = type(at) is int and type(seq) is int and max(abs(at), abs(seq)) < 2**63
        if numbers and isinstance(chain, str) and chain.isprintable():
            return at, chain, seq
    except (binascii.Error, ValueError, TypeError, RecursionError):
        pass
    raise SourceError("the cursor is not one that this list gave")
