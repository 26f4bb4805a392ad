"""Last passages of everybody, as a gate that starts has to know them."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from gated.access.access_plan import rules_here, site_rules_of
from gated.access.kept_passages import KeptPassages
from gated.attendance import attendance_store
from gated.attendance.attendance import _latest, _reset
from gated.core.attendance import in_order
from gated.core.messages import LastPunches
from gated.core.values import Instant
from gated.journal import forgiven_store
from gated.workspace import Workspace


def last_punches(
    workspace: Workspace,
    now: Instant,
    whom: Collection[int] | None = None,
    kept: KeptPassages | None = None,
) -> LastPunches:
    """Return what a gate that starts has to know: last passages of everybody, and who was forgiven.

    Of this gate alone; a hub without a door is asked of all its gates. whom: of these only.
    kept: what earlier questions about everybody have read.
    """
    own = workspace.settings.gate.role == "gate"
    with workspace.database.read() as session:
        rules = site_rules_of(rules_here(workspace, session).values)
        since = _reset(workspace.settings, now)
        if rules.count_people:
            longest = timedelta(seconds=rules.forgive_after_s)
            since = min(since, datetime.fromtimestamp(now.utc, UTC) - longest)
        until = workspace.journal.sealed_ends(session) if own else None
        if whom is None and kept is not None:
            known = kept.last(session, since, own=own, until=until, now=_latest(now))
        else:
            known = attendance_store.last_punches(
                session, since, whom, own=own, until=until, now=_latest(now)
            )
        if not own:
            told = {id_: (p.direction, p.utc) for id_, p in known.items()}
            return LastPunches(told, forgiven=forgiven_store.forgiven(session, since))
        words = forgiven_store.forgiven_rows(session, since, workspace.journal.proves)
        ordered, forgiven = in_order(known, words, _latest(now))
        return LastPunches(ordered, forgiven=forgiven)
