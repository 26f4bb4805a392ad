"""Who is inside, as a gate that starts now would know it, and who is forgiven."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gated.core.model import Forgive, PersonRef
from gated.devices.clock import SystemClock
from gated.ports import Clock
from gated.services.access_plan import load_plan
from gated.services.explain import admission_of
from gated.services.workspace import Workspace
from gated.storage import persons


@dataclass(frozen=True, slots=True)
class Present:
    """Somebody who entered at `since` and has not left, as far as the log knows.

    gate: the other gate of the site by which they did; None for this one.
    """

    person: PersonRef
    since: datetime
    gate: str | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """Who is inside, in the order of entering.

    limit: how many may be, None for any number. others: how many more are, whom this gate does not
    know. heard: whether the gate hears at the moment of the others of its site.
    """

    people: list[Present]
    limit: int | None
    others: int = 0
    heard: bool = True


def inside(workspace: Workspace, clock: Clock | None = None) -> Inside:
    """Who is inside now, by the log, the rules and what was forgiven."""
    plan = load_plan(workspace)
    access = admission_of(workspace, plan, (clock or SystemClock()).now()).access
    presence = access.presence
    with workspace.database.read() as session:
        known = persons.refs(session, presence.inside)
    people = [
        Present(known[id_], datetime.fromtimestamp(since, UTC), presence.entered_at(id_) or None)
        for id_, since in presence.inside.items()
        if id_ in known
    ]
    return Inside(people, plan.rules.occupancy, presence.others, access.site_heard)


def forgiving(workspace: Workspace, person_id: int | None, actor: str, cause: str) -> Forgive:
    """What tells the gate that a person (None: everybody) counts as outside; NotFound."""
    if person_id is None:
        return Forgive(None, actor, cause)
    with workspace.database.read() as session:
        return Forgive(persons.get(session, person_id).ref, actor, cause)
