"""People inside, as far as the gate can know: for anti-passback and the occupancy limit.

A gate sees its own passages, and may be told by a hub of those at the other gates of its site. Of
each person both are kept apart, and the later one holds: what is told again, late or in another
order changes nothing. A passage here follows what was told before it, whatever the clocks say.
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
"""Which way, and UTC seconds."""

NEVER = float("-inf")


@dataclass(slots=True)
class Presence:
    """inside: person id -> UTC seconds of the entry, in the order of entering.

    Being forgiven is being outside: whoever was missed on the way out starts anew.
    """

    # a dict that has lost many of its first entries is slow to begin with
    inside: OrderedDict[int, float] = field(default_factory=OrderedDict)
    forgiven: dict[int | None, float] = field(default_factory=dict)
    """Person id (None: everybody) -> UTC seconds until which entries do not count any more."""
    here: dict[int, Passed] = field(default_factory=dict)
    """Person id -> the last passage at this gate."""
    elsewhere: dict[int, RemotePassage] = field(default_factory=dict)
    """Person id -> the hub's last word."""
    others: int = 0
    """How many are inside by the hub's word whom this gate does not know."""
    others_at: float = 0.0
    """UTC seconds of that word."""
    forgiven_here: set[int | None] = field(default_factory=set)
    """Who was forgiven since the start."""
    made: set[int] = field(default_factory=set)
    """Whose last passage here was made since the start, by the clock as it is now."""

    def __len__(self) -> int:
        return len(self.inside) + self.others

    def since(self, person_id: int) -> float | None:
        """Return when this person entered; None for who is outside."""
        return self.inside.get(person_id)

    def entered_at(self, person_id: int) -> str:
        """The other gate by which this person entered; empty when it was this one."""
        told = self.elsewhere.get(person_id)
        return told.gate if told is not None and self._last(person_id) == _passed(told) else ""

    @property
    def elsewhere_inside(self) -> int:
        """Return how many of those inside have entered by another gate."""
        return self.others + sum(bool(self.entered_at(id_)) for id_ in self.inside)

    def follows(self, person_id: int, utc: float) -> float:
        """The time of a passage made now at `utc`: not before what was told of this person."""
        told = self.elsewhere.get(person_id)
        return utc if told is None or told.direction is None else max(utc, told.utc)

    def passed(self, person_id: int, direction: Direction, utc: float) -> Passed | None:
        """Take note of a passage here; returns the one before it."""
        before = self.here.get(person_id)
        self.here[person_id] = (direction, utc)
        self.made.add(person_id)
        self._settle([person_id])
        return before

    def clock_set(self, by_s: float) -> None:
        """The clock was set by so many seconds: what happened since the start is as long ago."""
        for person_id in self.made:
            direction, utc = self.here[person_id]
            self.here[person_id] = direction, utc + by_s
        for whom in self.forgiven_here:
            self.forgiven[whom] += by_s
        self.others_at += by_s
        self._settle(self.made)

    def put_back(self, person_id: int, before: Passed | None) -> None:
        """The passage was not made after all: as `passed` has said it was before."""
        self._set_here(person_id, before)
        self._settle([person_id])

    def learn(self, punches: LastPassages, complete_to: float | None = None) -> None:
        """Take over last passages at this gate from its log.

        A passage until `complete_to`, as far as that is known, of which the log does not tell as
        the last one of that person, was corrected.
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

    def told(self, told: RemotePresence, utc: float, sure: bool = True) -> None:
        """Take over what the hub says at `utc` of the other gates.

        sure: that time is known to be right: what is still to come then counts as now.
        """
        latest = utc if sure else float("inf")
        changed = {
            person_id: replace(word, utc=min(word.utc, latest))
            for person_id, word in told.passages.items()
            if told.complete or self._is_news(person_id, word)
        }
        unnamed = [p for p in self.elsewhere if p not in changed] if told.complete else []
        for person_id in unnamed:
            del self.elsewhere[person_id]
        self.elsewhere.update(changed)
        self._settle([*unnamed, *changed])
        self.was_forgiven(told.forgiven)
        if told.others is not None:
            self.others, self.others_at = told.others, utc

    def forgive(self, person_id: int | None, utc: float) -> int:
        """This person, or everybody (None), counts as outside; returns how many were inside."""
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
        """Count everybody who entered before that time as outside; return how many are known."""
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
        """Take over who was forgiven when."""
        for person_id, utc in until.items():
            self.forgiven[person_id] = max(utc, self.forgiven.get(person_id, utc))
        if until:
            self.inside = OrderedDict(e for e in self.inside.items() if self._counts(*e))

    def _none_to_come(self, person_id: int | None, utc: float) -> None:
        """Forgive what was before, whatever clock has dated it."""
        here, elsewhere = self.here, self.elsewhere
        for id_ in [*here] if person_id is None else [person_id]:
            if (passed := here.get(id_)) is not None and passed[1] > utc:
                here[id_] = passed[0], utc
        for id_ in [*elsewhere] if person_id is None else [person_id]:
            if (word := elsewhere.get(id_)) is not None and word.utc > utc:
                elsewhere[id_] = replace(word, utc=utc)

    # --- inside -------------------------------------------------------------------------------

    def _begin(self, punches: LastPassages) -> None:
        """The same where nothing is known yet: there may be very many."""
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

    def _is_news(self, person_id: int, word: RemotePassage) -> bool:
        known = self.elsewhere.get(person_id)
        return known is None or word.seq > known.seq

    def _last(self, person_id: int) -> Passed | None:
        """The later one of the passages here and elsewhere; here when they are at the same time."""
        here, word = self.here.get(person_id), self.elsewhere.get(person_id)
        told = _passed(word)
        if here is None or told is None:
            return here or told
        return told if told[1] > here[1] else here

    def _settle(self, person_ids: Iterable[int]) -> None:
        """Let these people be inside or not, as their last passages say."""
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


def _passed(word: RemotePassage | None) -> Passed | None:
    return None if word is None or word.direction is None else (word.direction, word.utc)


def forgiven_before(plan: AccessPlan, utc: float) -> float:
    """Entries before this time (UTC seconds) are forgiven by the rules of the site."""
    rules = plan.rules
    cutoff = utc - rules.forgive_after_s
    if rules.forgive_at is None:
        return cutoff
    wall = plan.wall(utc)
    at = wall.replace(hour=rules.forgive_at // 60, minute=rules.forgive_at % 60, second=0)
    at = at.replace(microsecond=0, fold=0)
    # by UTC: in the night when the clocks are put back their hands have been there before
    last = next(s for n in range(3) if (s := (at - timedelta(days=n)).timestamp()) <= utc)
    return max(cutoff, last)
