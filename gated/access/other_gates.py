"""Reads the stored passages at the other gates of this gate's site."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.orm import Session

from gated.core.messages import PresenceHeard, RemotePassage, RemotePresence
from gated.core.values import Direction
from gated.database import stored_settings as settings_store
from gated.journal import site_presence_store
from gated.journal.site_presence_store import FROM_HUB, LastPassage
from gated.workspace import Workspace

KEY = "presence_cursor"
UNHEARD = "presence_unheard"
"""Key of the settings: true while this gate gets no news of the others."""


def known_presence(workspace: Workspace) -> tuple[RemotePresence, PresenceHeard]:
    """Return the state of the other gates as a gate that starts now knows it."""
    own = workspace.journal.gate_uid()
    with workspace.database.read() as session:
        last = site_presence_store.since(session, FROM_HUB, 0)
        last += site_presence_store.since(session, workspace.settings.gate.site, 0)
        others = settings_store.get(session, KEY, {}).get("others")
        remote = remote_presence_of(session, last, own, others, True)
        return remote, PresenceHeard(not is_unheard(session))


def is_unheard(session: Session) -> bool:
    """Return whether this gate got no news of the others when that was last noted."""
    return bool(settings_store.get(session, UNHEARD, False))


def remote_presence_of(
    session: Session,
    last: Iterable[LastPassage],
    own: str | None,
    others: int | None,
    complete: bool,
) -> RemotePresence:
    """Make the event from stored passages, of people who are known here.

    own: the uid of the journal whose passages are this gate's own.
    """
    last = list(last)
    ids = site_presence_store.ids_of(session, [passage.uid for passage in last])
    forgiven: dict[int | None, float] = {}
    passages = {}
    for passage in last:
        everybody = passage.uid == site_presence_store.EVERYBODY
        if not everybody and passage.uid not in ids:
            continue
        if passage.forgiven_utc is not None:
            forgiven[None if everybody else ids[passage.uid]] = passage.forgiven_utc
        if not everybody:
            passages[ids[passage.uid]] = _remote(passage, own)
    return RemotePresence(passages, forgiven, others, complete)


def _remote(passage: LastPassage, own: str | None) -> RemotePassage:
    here = own is not None and passage.device == own
    if passage.direction is None or passage.utc is None or here:
        return RemotePassage(passage.seq)
    direction = Direction(passage.direction)
    return RemotePassage(passage.seq, direction, passage.utc, passage.gate or "")
