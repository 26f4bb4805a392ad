"""Who is inside, as far as the gate can know: for anti-passback and the occupancy limit."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import takewhile

from gated.core.model import Direction, LastPassages
from gated.core.plan import AccessPlan


@dataclass(slots=True)
class Presence:
    """Person id -> UTC seconds of the entry, in the order of entering.

    Being forgiven is being outside: whoever was missed on the way out starts anew.
    """

    # a dict that has lost many of its first entries is slow to begin with
    inside: OrderedDict[int, float] = field(default_factory=OrderedDict)
    forgiven: dict[int | None, float] = field(default_factory=dict)
    """Person id (None: everybody) -> UTC seconds until which entries do not count any more."""

    def __len__(self) -> int:
        return len(self.inside)

    def since(self, person_id: int) -> float | None:
        """When this person entered; None for who is outside."""
        return self.inside.get(person_id)

    def passed(self, person_id: int, direction: Direction, utc: float) -> float | None:
        """Take note of a passage; returns since when the person had been inside before it."""
        before = self.inside.pop(person_id, None)
        if direction is Direction.ENTRY:
            self.inside[person_id] = utc
        return before

    def put_back(self, person_id: int, since: float | None) -> None:
        """The passage was not made after all: as `passed` has said it was before."""
        self.inside.pop(person_id, None)
        if since is not None and self._counts(person_id, since):
            self.inside[person_id] = since
            self._in_order()

    def learn(self, punches: LastPassages, complete_to: float | None = None) -> None:
        """Take over last passages from the log, those at other gates of the site as well.

        An entry until `complete_to`, as far as that is known, of which the log does not tell as
        the last passage of that person, was corrected.
        """
        for person_id, punch in punches.items():
            since = self.inside.get(person_id)
            if since is not None and complete_to is not None and since <= complete_to:
                del self.inside[person_id]
                since = None
            newer = punch is not None and (since is None or punch[1] >= since)
            if punch is not None and newer and self._counts(person_id, punch[1]):
                self.passed(person_id, *punch)
        self._in_order()

    def forgive(self, person_id: int | None, utc: float) -> int:
        """This person, or everybody (None), counts as outside; returns how many were inside."""
        self.forgiven[person_id] = utc
        if person_id is not None:
            return int(self.inside.pop(person_id, None) is not None)
        count = len(self.inside)
        self.inside.clear()
        return count

    def forgive_before(self, utc: float) -> int:
        """Who entered before that time counts as outside; returns how many did."""
        early = list(takewhile(lambda entry: entry[1] < utc, self.inside.items()))
        for person_id, _ in early:
            del self.inside[person_id]
        return len(early)

    def was_forgiven(self, until: Mapping[int | None, float]) -> None:
        """Take over from the log who was forgiven when."""
        for person_id, utc in until.items():
            self.forgiven[person_id] = max(utc, self.forgiven.get(person_id, utc))
        self.inside = OrderedDict(e for e in self.inside.items() if self._counts(*e))

    def _counts(self, person_id: int, since: float) -> bool:
        everybody, own = self.forgiven.get(None, since), self.forgiven.get(person_id, since)
        return since >= max(everybody, own)

    def _in_order(self) -> None:
        self.inside = OrderedDict(sorted(self.inside.items(), key=lambda entry: entry[1]))


def forgiven_before(plan: AccessPlan, utc: float) -> float:
    """Entries before this time (UTC seconds) are forgiven by the rules of the site."""
    rules = plan.rules
    cutoff = utc - rules.forgive_after_s
    if rules.forgive_at is None:
        return cutoff
    wall = plan.wall(utc)
    at = wall.replace(hour=rules.forgive_at // 60, minute=rules.forgive_at % 60, second=0)
    at = at.replace(microsecond=0, fold=0)
    return max(cutoff, (at if at <= wall else at - timedelta(days=1)).timestamp())
