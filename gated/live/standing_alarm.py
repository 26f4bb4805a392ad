"""Raises alarms that must stand once only, however often their cause is found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gated.journal import alarm_store
from gated.journal.journal import Entry
from gated.ports import Clock
from gated.workspace import Workspace


def raise_once(workspace: Workspace, clock: Clock, kind: str, body: Mapping[str, Any]) -> bool:
    """Journal an alarm unless one of its kind stands; return whether it is new.

    body: with `severity`; the name of the gate is added. Raises: StorageError.
    """
    with workspace.database.write() as session:
        if alarm_store.standing(session, kind) is not None:
            return False
        full = {**body, "gate": workspace.settings.gate.name}
        workspace.journal.append([Entry(clock.now(), kind, full)], session)
    return True
