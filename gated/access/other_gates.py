"""Keeps what a gate knows of passages at the other gates of its site."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from gated.core.messages import PresenceHeard, PresenceTold, RemotePassage
from gated.core.values import Direction
from gated.database import stored_settings as settings_store
from gated.journal import site_presence_store
from gated.journal.site_presence_store import FROM_HUB, LastPassage
from gated.workspace import Workspace

KEY = "presence_cursor"
UNHEARD = "presence_unheard"
"""Key of the settings: whether this gate does not hear of the others at the moment."""


def known(workspace: Workspace) -> tuple[PresenceTold, PresenceHeard]:
    """Return what a gate that starts now knows of the others."""
    own = workspace.journal.gate_uid()
    with workspace.database.read() as session:
        stands = site_presence_store.since(session, FROM_HUB, 0)
        stands += site_presence_store.since(session, workspace.settings.gate.site, 0)
        others = settings_store.get(session, KEY, {}).get("others")
        told = _event(session, stands, own, others, True)
        return told, PresenceHeard(not is_unheard(session))


def is_unheard(session: Session) -> bool:
    """Return whether this gate did not hear of the others when that was noted last."""
    return bool(settings_store.get(session, UNHEARD, False))


def _event(
    session: Session,
    stands: Iterable[LastPassage],
    own: str | None,
    others: int | None,
    complete: bool,
) -> PresenceTold:
    """Of those who are known here. own: the uid of the journal whose passages are our own."""
    stands = list(stands)
    ids = site_presence_store.ids_of(session, [stand.uid for stand in stands])
    forgiven: dict[int | None, float] = {}
    passages = {}
    for stand in stands:
        everybody = stand.uid == site_presence_store.EVERYBODY
        if not everybody and stand.uid not in ids:
            continue
        if stand.forgiven_utc is not None:
            forgiven[None if everybody else ids[stand.uid]] = stand.forgiven_utc
        if not everybody:
            passages[ids[stand.uid]] = _passage(stand, own)
    return PresenceTold(passages, forgiven, others, complete)


def _passage(stand: LastPassage, own: str | None) -> RemotePassage:
    here = own is not None and stand.device == own
    if stand.direction is None or stand.utc is None or here:
        return RemotePassage(stand.seq)
    return RemotePassage(stand.seq, Direction(stand.direction), stand.utc, stand.gate or "")
