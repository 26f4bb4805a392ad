"""Reads the last passages of everybody, which a gate needs when it starts."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime, timedelta

from gated.access.access_plan import rules_here, site_rules_of
from gated.access.passage_cache import PassageCache
from gated.attendance import attendance_store
from gated.attendance.attendance import counted_since, latest_counted
from gated.core.attendance import in_order
from gated.core.messages import LastPunches
from gated.core.values import Instant
from gated.journal import forgiven_store
from gated.workspace import Workspace


def last_punches(
    workspace: Workspace,
    now: Instant,
    whom: Collection[int] | None = None,
    kept: PassageCache | None = None,
) -> LastPunches:
    """Return the last passages of everybody, and who was forgiven, for a gate that starts.

    A gate counts its own passages only, a hub those of all its gates. whom: of these people only.
    kept: cache of the passages of everybody.
    """
    own = workspace.settings.gate.role == "gate"
    with workspace.database.read() as session:
        rules = site_rules_of(rules_here(workspace, session).values)
        since = counted_since(workspace.settings, now)
        if rules.count_people:
            longest = timedelta(seconds=rules.forgive_after_s)
            since = min(since, datetime.fromtimestamp(now.utc, UTC) - longest)
        until = workspace.journal.sealed_ends(session) if own else None
        if whom is None and kept is not None:
            known = kept.last(session, since, own=own, until=until, now=latest_counted(now))
        else:
            known = attendance_store.last_punches(
                session, since, whom, own=own, until=until, now=latest_counted(now)
            )
        if not own:
            last = {id_: (p.direction, p.utc) for id_, p in known.items()}
            return LastPunches(last, forgiven=forgiven_store.forgiven(session, since))
        rows = forgiven_store.forgiven_rows(session, since, workspace.journal.proves)
        ordered, forgiven = in_order(known, rows, latest_counted(now))
        return LastPunches(ordered, forgiven=forgiven)
