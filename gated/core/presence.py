"""Tracks who is inside, for anti-passback and the occupancy limit.

A gate sees its own passages, and a hub may report those at the other gates of its site. Both are
kept separately for each person, and the later one counts: reports that are repeated, late or out of
order change nothing. A passage here counts as later than all reports before it, whatever the clocks
say.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import takewhile

from gated.core.messages import LastPassages, RemotePassage, RemotePresence
from gated.core.plan import AccessPlan
from gated.core.values import Direction

Passed = tuple[Direction, float]
"""Direction and UTC seconds of a passage."""

NEVER = float("-inf")
MOST_PARTS = 200
"""Of one report; a longer one is not applied, and the one before holds."""


@dataclass(slots=True)
class Presence:
    """The people inside: UTC seconds of the entry by person id, in order of entry.

    A forgiven person counts as outside.
    """

    # iteration over a dict is slow after many of its first entries were deleted
    inside: OrderedDict[int, float] = field(default_factory=OrderedDict)
    forgiven: dict[int | None, float] = field(default_factory=dict)
    """By person id (None: everybody), the UTC seconds until which entries do not count."""
    here: dict[int, Passed] = field(default_factory=dict)
    """The last passage at this gate, by person id."""
    elsewhere: dict[int, RemotePassage] = field(default_factory=dict)
    """The last passage reported by the hub, by person id."""
    others: int = 0
    """Number of people inside whom this gate does not know, as reported by the hub."""
    others_at: float = 0.0
    """UTC seconds of that report."""
    forgiven_here: set[int | None] = field(default_factory=set)
    """Ids of people forgiven since the start."""
    parts: list[RemotePresence] = field(default_factory=list)
    """Of a report of the hub that is not whole yet."""
    made: set[int] = field(default_factory=set)
    """Ids of people whose last passage here was made since the start."""

    def __len__(self) -> int:
        return len(self.inside) + self.others

    def since(self, person_id: int) -> float | None:
        """Return when this person entered; None if outside."""
        return self.inside.get(person_id)

    def entered_at(self, person_id: int) -> str:
        """Return the name of the other gate of this person's entry; empty when it was this one."""
        remote = self.elsewhere.get(person_id)
        entered_there = remote is not None and self._last(person_id) == _passed(remote)
        return remote.gate if remote is not None and entered_there else ""

    @property
    def elsewhere_inside(self) -> int:
        """The number of people inside who entered by another gate."""
        return self.others + sum(bool(self.entered_at(id_)) for id_ in self.inside)

    def follows(self, person_id: int, utc: float) -> float:
        """Return the time of a passage made now at `utc`: not before a reported one."""
        remote = self.elsewhere.get(person_id)
        return utc if remote is None or remote.direction is None else max(utc, remote.utc)

    def passed(self, person_id: int, direction: Direction, utc: float) -> Passed | None:
        """Apply a passage here, and return the previous one."""
        before = self.here.get(person_id)
        self.here[person_id] = (direction, utc)
        self.made.add(person_id)
        self._settle([person_id])
        return before

    def clock_set(self, by_s: float) -> None:
        """Move times noted since the start by the step (seconds) by which the clock was set."""
        for person_id in self.made:
            direction, utc = self.here[person_id]
            self.here[person_id] = direction, utc + by_s
        for whom in self.forgiven_here:
            self.forgiven[whom] += by_s
        self.others_at += by_s
        self._settle(self.made)

    def put_back(self, person_id: int, before: Passed | None, made: bool = True) -> None:
        """Undo a passage that was not made. before: as returned by `passed`.

        made: that one was made since the start, too.
        """
        self._set_here(person_id, before)
        if not made:
            self.made.discard(person_id)
        self._settle([person_id])

    def learn(self, punches: LastPassages, complete_to: float | None = None) -> None:
        """Apply last passages at this gate from its log.

        Where `complete_to` is known, a passage before it that is not the person's last one in the
        log was corrected.
        """
        if not self.here and not self.elsewhere:
            self._begin(punches)
            return
        for person_id, punch in punches.items():
            known = self.here.get(person_id)
            if known is not None and complete_to is not None and known[1] <= complete_to:
                known = None
            newer = punch is not None and (known is None or punch[1] >= known[1])
            self._set_here(person_id, punch if newer else known)
            if newer or known is None:
                self.made.discard(person_id)
        self._settle(punches)

    def apply_remote(self, remote: RemotePresence, utc: float, sure: bool = True) -> None:
        """Apply a report of the hub about the other gates, received at `utc`.

        Parts of a report are kept until the last one is there: until then the report before holds,
        and nobody counts as outside because a part is on its way. Of a report of which a part is
        missing nothing is applied. sure: the time is known to be right; passages in the future then
        count as now.
        """
        if remote.part == 0:
            self.parts = []
        if remote.part != len(self.parts) or remote.part >= MOST_PARTS:
            self.parts = []
            return
        self.parts.append(remote)
        if remote.more:
            return
        whole, self.parts = self.parts, []
        if len(whole) > 1:
            passages = {id_: passage for part in whole for id_, passage in part.passages.items()}
            forgiven = {id_: until for part in whole for id_, until in part.forgiven.items()}
            remote = replace(remote, passages=passages, forgiven=forgiven)
        self._apply_whole(remote, utc, sure)

    def _apply_whole(self, remote: RemotePresence, utc: float, sure: bool) -> None:
        latest = utc if sure else float("inf")
        changed = {
            person_id: replace(passage, utc=min(passage.utc, latest))
            for person_id, passage in remote.passages.items()
            if remote.complete or self._is_news(person_id, passage)
        }
        unnamed = [p for p in self.elsewhere if p not in changed] if remote.complete else []
        for person_id in unnamed:
            del self.elsewhere[person_id]
        self.elsewhere.update(changed)
        self._settle([*unnamed, *changed])
        self.was_forgiven(remote.forgiven)
        if remote.others is not None:
            self.others, self.others_at = remote.others, utc

    def forgive(self, person_id: int | None, utc: float) -> int:
        """Let a person, or everybody (None), count as outside; return how many were inside."""
        self.forgiven[person_id] = utc
        self.forgiven_here.add(person_id)
        self._none_to_come(person_id, utc)
        if person_id is not None:
            return int(self.inside.pop(person_id, None) is not None)
        count = len(self)
        self.inside.clear()
        self.others = 0
        return count

    def forgive_before(self, utc: float) -> int:
        """Let people who entered before this time count as outside; return how many are known."""
        early = list(takewhile(lambda entry: entry[1] < utc, self.inside.items()))
        for person_id, _ in early:
            del self.inside[person_id]
            self.here.pop(person_id, None)
            self.made.discard(person_id)
            self.elsewhere.pop(person_id, None)
        if self.others_at < utc:
            self.others = 0
        return len(early)

    def was_forgiven(self, until: Mapping[int | None, float]) -> None:
        """Apply times until which entries are forgiven, by person id (None: everybody)."""
        for person_id, utc in until.items():
            self.forgiven[person_id] = max(utc, self.forgiven.get(person_id, utc))
        if until:
            self.inside = OrderedDict(e for e in self.inside.items() if self._counts(*e))

    def _none_to_come(self, person_id: int | None, utc: float) -> None:
        """Move passages in the future to `utc`: a clock that was ahead has dated them."""
        here, elsewhere = self.here, self.elsewhere
        for id_ in [*here] if person_id is None else [person_id]:
            if (passed := here.get(id_)) is not None and passed[1] > utc:
                here[id_] = passed[0], utc
        for id_ in [*elsewhere] if person_id is None else [person_id]:
            if (remote := elsewhere.get(id_)) is not None and remote.utc > utc:
                elsewhere[id_] = replace(remote, utc=utc)

    # --- inside -------------------------------------------------------------------------------

    def _begin(self, punches: LastPassages) -> None:
        """Do the same faster for the first call: there may be very many."""
        self.here = {id_: punch for id_, punch in punches.items() if punch is not None}
        entered = {
            id_: utc
            for id_, (direction, utc) in self.here.items()
            if direction is not Direction.EXIT and self._counts(id_, utc)
        }
        # no list of pairs: thousands of new tuples let the garbage collector look at everything
        order = sorted(entered, key=entered.__getitem__)
        self.inside = OrderedDict((id_, entered[id_]) for id_ in order)

    def _set_here(self, person_id: int, passage: Passed | None) -> None:
        if passage is None:
            self.here.pop(person_id, None)
            self.made.discard(person_id)
        else:
            self.here[person_id] = passage

    def _is_news(self, person_id: int, passage: RemotePassage) -> bool:
        known = self.elsewhere.get(person_id)
        return known is None or passage.seq > known.seq

    def _last(self, person_id: int) -> Passed | None:
        """Return the later of the passages here and elsewhere; the one here on a tie."""
        here, remote = self.here.get(person_id), _passed(self.elsewhere.get(person_id))
        if here is None or remote is None:
            return here or remote
        return remote if remote[1] > here[1] else here

    def _settle(self, person_ids: Iterable[int]) -> None:
        """Update whether these people are inside, from their last passages."""
        latest = next(reversed(self.inside.values()), NEVER)
        disordered = False
        for person_id in person_ids:
            last = self._last(person_id)
            if last is None or last[0] is Direction.EXIT or not self._counts(person_id, last[1]):
                self.inside.pop(person_id, None)
            elif self.inside.get(person_id) != last[1]:
                self.inside.pop(person_id, None)
                self.inside[person_id] = last[1]
                disordered |= last[1] < latest
                latest = max(latest, last[1])
        if disordered:
            self.inside = OrderedDict(sorted(self.inside.items(), key=lambda entry: entry[1]))

    def _counts(self, person_id: int, since: float) -> bool:
        forgiven = self.forgiven
        return not forgiven or (
            since > forgiven.get(None, NEVER) and since > forgiven.get(person_id, NEVER)
        )


def _passed(remote: RemotePassage | None) -> Passed | None:
    return None if remote is None or remote.direction is None else (remote.direction, remote.utc)


def forgiven_before(plan: AccessPlan, utc: float) -> float:
    """Return the UTC seconds before which the rules of the site forgive entries."""
    rules = plan.rules
    cutoff = utc - rules.forgive_after_s
    if rules.forgive_at is None:
        return cutoff
    wall = plan.wall(utc)
    at = wall.replace(hour=rules.forgive_at // 60, minute=rules.forgive_at % 60, second=0)
    at = at.replace(microsecond=0, fold=0)
    # compare in UTC: when clocks are put back, the same local time comes twice
    last = next(s for n in range(3) if (s := (at - timedelta(days=n)).timestamp()) <= utc)
    return max(cutoff, last)
