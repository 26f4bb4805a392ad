"""Checks PINs at the gate, and slows down guessing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

from gated.access import credential_store
from gated.access.credentials import Credentials
from gated.accounts.passwords import PasswordHasher
from gated.accounts.throttle import PaceLimit, Throttle
from gated.core.messages import Event, Noticed
from gated.core.text import code_key
from gated.database.records import Credential, Person
from gated.errors import Throttled
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Workspace

FREE_TRIES = 3
"""Wrong PINs of one person without a delay."""
GATE_TRIES, GATE_EVERY_S = 10, 3.0
"""Wrong tries at one gate without a delay, for any person; then one try in GATE_EVERY_S."""
NOBODIES = 1000
"""Number of codes without a PIN whose tries are counted."""
LONGEST_DELAY_S = 3600.0
ALARM_EVERY = 5
"""An alarm is raised at each multiple of this number of wrong PINs of one person."""


class PinCheck:
    """Checks PINs at the gate: each person and the gate have a few free tries, then each has a
    delay.

    The delay of the gate is seconds only, and codes without a PIN do not count towards it: nobody
    can block the keypad for others. Such a code has delays like one with a PIN, so that delays do
    not reveal who has a PIN.

    Wrong tries are counted in the database, so that a power cut does not reset them; the delay
    begins anew at the start, so that no clock has to be right. post: hands the gate an event, here
    an alarm about repeated wrong PINs.
    """

    def __init__(self, workspace: Workspace, clock: Clock, post: Callable[[Event], None]) -> None:
        self._post = post
        self._workspace = workspace
        self._clock = clock
        self._credentials = Credentials(workspace, clock)
        self._passwords = PasswordHasher.of(workspace.settings.auth)
        self._gate = PaceLimit(lambda: clock.now().mono, GATE_TRIES, GATE_EVERY_S)
        self._nobody = Throttle(lambda: clock.now().mono, size=NOBODIES)
        self._one_at_a_time = threading.Lock()
        self._began = clock.now().mono
        self._last: dict[int, float] = {}

    @classmethod
    def of(cls, workspace: Workspace, post: Callable[[Event], None]) -> Self:
        """Check the PINs of a workspace, on its own clock."""
        return cls(workspace, workspace.clock, post)

    def present(self, personnel_code: str, pin: str) -> int | None:
        """Return the id of the person if the PIN is right, else None. Raises: Throttled."""
        with self._one_at_a_time:
            now = self._clock.now()
            with self._workspace.database.read() as session:
                person = person_store.by_code(session, personnel_code)
                known = None if person is None else credential_store.of_pin(session, person.id)
                counts = known is not None and self._credentials.counts(session, known[0], now)
            if known is not None and (wait := self._wait(known[0], now.mono)) > 0:
                raise Throttled(wait)
            if person is None or known is None:
                self._nobody.attempt({code_key(personnel_code[:200]): FREE_TRIES})
                # as slow as for an existing PIN: timing must not reveal who has one
                self._passwords.verify(pin, self._passwords.nobodys)
                return None
            self._gate.act("")
            right = self._try(person, *known, pin)
        return person.id if right and counts else None

    def _try(self, person: Person, stored: Credential, hashed: str, pin: str) -> bool:
        right = self._credentials.pin_is(stored, pin, hashed)
        self._last[stored.id] = self._clock.now().mono
        if right:
            self._gate.give_back("")
        if not right or stored.failures:
            self._count(person, stored, 0 if right else stored.failures + 1)
        return right

    def _wait(self, stored: Credential, now: float) -> float:
        beyond = stored.failures - FREE_TRIES
        if beyond < 0:
            return 0.0
        delay = min(2.0 ** min(beyond, 30), LONGEST_DELAY_S)
        return self._last.get(stored.id, self._began) + delay - now

    def _count(self, person: Person, stored: Credential, failures: int) -> None:
        with self._workspace.database.write() as session:
            credential_store.count_failure(session, stored.id, failures)
        if failures and failures % ALARM_EVERY == 0:
            body = {"failures": failures, "person": person.uid}
            self._post(Noticed("pin_attempts", "alarm", body))
