"""What the rules take of a decision, with 100,000 persons: `python -m tests.bench.access_rules`.

Everybody is in two groups with a schedule each, a tenth has dates; half of them are inside, with
hard anti-passback, an occupancy limit and a second factor at night. The others were inside too long
and are forgiven, as somebody is every second. Milliseconds of processor time: what other programs
on the machine take does not count.
"""

from __future__ import annotations

import statistics
import time
from zoneinfo import ZoneInfo

from gated.core.access import AccessRules, Request
from gated.core.plan import AccessGroup, AccessPlan, AntiPassback, Pass, SiteRules
from gated.core.schedule import Hours, Schedule
from gated.core.values import Direction, Instant, Method, PersonRef

UTC = 1_800_000_000.0
GROUPS, DECISIONS = 200, 20_000


def crowd(people: int) -> AccessRules:
    """The rules of a site with so many people, half of them inside."""
    week = ((Hours(6 * 60, 14 * 60), Hours(22 * 60, 4 * 60)),) * 7
    schedules = {n: Schedule(n, f"shift {n}", week) for n in range(1, GROUPS + 1)}
    plan = AccessPlan(
        ZoneInfo("Europe/Berlin"),
        schedules,
        groups={n: AccessGroup(n, f"group {n}", (n,)) for n in schedules},
        people={n: _pass(n) for n in range(people)},
        rules=SiteRules(AntiPassback.HARD, occupancy=people, two_factors=1),
    )
    access = AccessRules(plan=plan)
    day = plan.rules.forgive_after_s
    since = {n: UTC - 2 * day * (1 - n / people) for n in range(people)}
    access.presence.learn({n: (Direction.ENTRY, utc) for n, utc in since.items()})
    access.forgive_by_time(Instant(0.0, UTC))
    return access


def _pass(number: int) -> Pass:
    person = PersonRef(number, f"uid-{number}", f"P{number}", f"Person {number}")
    groups = (number % GROUPS + 1, number * 7 % GROUPS + 1)
    return Pass(person, groups=groups, valid_until=UTC + 1e6 if number % 10 == 0 else None)


def measure(access: AccessRules, decisions: int) -> list[float]:
    """Processor seconds that the rules took of each of so many decisions, about people anywhere."""
    people, spent = list(access.plan.people.values()), []
    factors = frozenset({Method.FACE, Method.CARD})
    for n in range(decisions):
        request = Request(people[n * 7919 % len(people)].person, factors=factors)
        now = Instant(float(n), UTC + n)
        begin = time.thread_time()
        access.forgive_by_time(now)
        if access.check(request, now).granted:
            access.granted(request, now)
        spent.append(time.thread_time() - begin)
    return spent


def main() -> None:
    """Measure and print."""
    for people in (1_000, 100_000):
        spent = sorted(1e3 * s for s in measure(crowd(people), DECISIONS))
        p99, worst = spent[int(0.99 * len(spent))], spent[-1]
        print(
            f"{people:7,} persons: median {statistics.median(spent):.4f} ms, "
            f"p99 {p99:.4f} ms, longest {worst:.3f} ms"
        )


if __name__ == "__main__":
    main()
