"""Lists who is inside, as a gate that starts now would know it, and forgives people."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from gated.access.access_plan import NOBODY, load_plan
from gated.access.explain import admission_of
from gated.access.passage_cache import PassageCache
from gated.core.messages import Forgive
from gated.core.values import PersonRef
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Present:
    """A person who entered at `since` and has not left, by the log.

    gate: the other gate of the site at which they entered; None for this one.
    """

    person: PersonRef
    since: datetime
    gate: str | None = None


@dataclass(frozen=True, slots=True)
class Inside:
    """The people inside, in the order of entering.

    limit: how many may be inside, None for any number. others: how many more are inside whom this
    gate does not know. heard: the gate gets news of the other gates of its site at the moment.
    """

    people: list[Present]
    limit: int | None
    others: int = 0
    heard: bool = True


def inside(
    workspace: Workspace, clock: Clock | None = None, kept: PassageCache | None = None
) -> Inside:
    """List who is inside now, by the log, the rules and who was forgiven.

    kept: cache of passages, shared between questions.
    """
    kept = kept or PassageCache()
    # presence follows from the log: the passes of all people need not be read
    plan = load_plan(workspace, NOBODY)
    access = admission_of(workspace, plan, (clock or workspace.clock).now(), None, kept).access
    presence = access.presence
    with workspace.database.read() as session:
        known = kept.people(session, presence.inside)
    people = [
        Present(
            known[id_],
            datetime.fromtimestamp(since, UTC),
            (presence.entered_at(id_) or None) if presence.elsewhere else None,
        )
        for id_, since in presence.inside.items()
        if id_ in known
    ]
    return Inside(people, plan.rules.occupancy, presence.others, access.site_heard)


def forgiving(workspace: Workspace, person_id: int | None, actor: str, cause: str) -> Forgive:
    """Make the event that lets a person (None: everybody) count as outside. Raises: NotFound."""
    if person_id is None:
        return Forgive(None, actor, cause)
    with workspace.database.read() as session:
        return Forgive(person_store.get(session, person_id).ref, actor, cause)
