"""Whether someone who was recognised may pass now."""

from __future__ import annotations

from dataclasses import dataclass, field

from gated.core.gallery import Member
from gated.core.model import Instant, Reason


@dataclass(slots=True)
class AccessRules:
    """Policy and the little memory it needs. A denial here is never outvoted by a good match."""

    cooldown_s: float = 3.0
    journal_available: bool = True
    last_grant: dict[int, float] = field(default_factory=dict)

    def check(self, member: Member, now: Instant) -> Reason:
        """GRANTED, or the rule that forbids it; changes nothing."""
        if not member.active:
            return Reason.INACTIVE
        if not self.journal_available:
            return Reason.LOG_UNAVAILABLE
        last = self.last_grant.get(member.person.id)
        if last is not None and now.mono - last < self.cooldown_s:
            return Reason.COOLDOWN
        return Reason.GRANTED

    def granted(self, member: Member, now: Instant) -> None:
        """Remember a grant; forgets those that no cooldown reaches any more."""
        if len(self.last_grant) > 1024:
            self.last_grant = {
                p: t for p, t in self.last_grant.items() if now.mono - t < self.cooldown_s
            }
        self.last_grant[member.person.id] = now.mono
