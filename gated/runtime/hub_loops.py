"""What a gate does with its hub, off the door's path: send what is new, and tell how it is.

A loop of these ends the program by nothing that a hub, a network or a full disk can do: it waits,
longer each time and never as long as its neighbours, and tries again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Mapping
from typing import Any

from gated.errors import HubError, SealError, StorageError
from gated.ports import Clock
from gated.runtime.loop import Loop, OnCrash
from gated.services.gate import GateStatus
from gated.services.sync.client import TIMEOUT_S, HubClient
from gated.services.sync.downlink import Downlink
from gated.services.sync.membership import Membership
from gated.services.sync.uplink import Uplink, status_of
from gated.services.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""How soon a new row of the journal is seen."""

HEARTBEAT_S = 10.0
WAIT_S = 50.0
"""How long the hub may hold back an answer that tells nothing; proxies give up after a minute."""

GATHER_S = 0.2, 1.0
"""A gate that was told all waits at random so long before it asks again: of many changes in a row
several come in one page, and the gates do not ask at the same moment."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


class Backoff:
    """Pauses that double, each drawn at random up to its bound: gates must not come all at once."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._longest = longest_s
        self._bound = FIRST_PAUSE_S

    @property
    def first(self) -> bool:
        """Whether nothing has failed since the last reset."""
        return self._bound == FIRST_PAUSE_S

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure."""
        bound, self._bound = self._bound, min(2 * self._bound, self._longest)
        # not for secrets: it only keeps gates apart
        return (at_least or 0.0) + random.uniform(bound / 2, bound)  # noqa: S311

    def reset(self) -> None:
        self._bound = FIRST_PAUSE_S


class HubLoop(Loop):
    """Turns again and again; what goes wrong with the hub is logged once, until it is right."""

    beat_limit_s = 3 * TIMEOUT_S + WAIT_S + LONGEST_PAUSE_S

    def __init__(self, name: str, client: HubClient, on_crash: OnCrash) -> None:
        super().__init__(name, on_crash)
        self.connected = False
        self._client = client
        self._backoff = Backoff()

    def work(self) -> None:
        while not self.stopping.is_set():
            self.beat()
            self.stopping.wait(self._pause())
        self._client.close()

    def stop(self) -> None:
        super().stop()
        self._client.close()

    def turn(self) -> float:
        """Do what is due; returns the seconds to wait. HubError, StorageError."""
        raise NotImplementedError

    def _pause(self) -> float:
        try:
            pause = self.turn()
        except (HubError, StorageError, SealError) as error:
            if self.stopping.is_set():
                return 0.0
            if self.connected or self._backoff.first:
                log.warning("%s: %s", self.name, error)
            self.connected = False
            return self._backoff.next(getattr(error, "retry_after", None))
        if not self.connected:
            log.info("%s: connected", self.name)
        self.connected = True
        self._backoff.reset()
        return pause


class UplinkLoop(HubLoop):
    """Sends the journal, and every `HEARTBEAT_S` seconds how the gate is.

    status: (rows that the hub does not have yet) -> what the hub is told. renew: renews the keys of
    the gate when they are old.
    """

    def __init__(
        self,
        uplink: Uplink,
        client: HubClient,
        status: Callable[[int], tuple[Mapping[str, Any], str | None]],
        renew: Callable[[HubClient], None],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("hub-up", client, on_crash)
        self._uplink = uplink
        self._status = status
        self._renew = renew
        self._greeted: float | None = None

    def turn(self) -> float:
        now = time.monotonic()
        if not self.connected or self._greeted is None or now - self._greeted >= HEARTBEAT_S:
            status, model = self._status(self._uplink.backlog())
            self._uplink.greet(status, model)
            self._renew(self._client)
            self._greeted = now
        return 0.0 if self._uplink.send() else LOOK_S


class DownlinkLoop(HubLoop):
    """Applies what the hub tells, as soon as it does."""

    def __init__(self, downlink: Downlink, client: HubClient, on_crash: OnCrash) -> None:
        super().__init__("hub-down", client, on_crash)
        self._downlink = downlink

    def turn(self) -> float:
        more = self._downlink.pull(wait=WAIT_S if self.connected else 0)
        return 0.0 if more else random.uniform(*GATHER_S)  # noqa: S311


def loops_of(
    workspace: Workspace, board: Callable[[], GateStatus], clock: Clock, on_crash: OnCrash
) -> list[Loop]:
    """What a gate runs for its hub; nothing for one on its own. SealError."""
    membership = Membership(workspace, clock)
    member = membership.find()
    if member is None:
        return []

    up, down = membership.client(member), membership.client(member)

    def status(backlog: int) -> tuple[Mapping[str, Any], str | None]:
        return status_of(workspace, board, clock, backlog), board().model

    def renew(client: HubClient) -> None:
        present = membership.find()
        if present is not None and membership.due(present):
            membership.renew(client, present)
            down.credentials = client.credentials

    loops: list[Loop] = [UplinkLoop(Uplink(workspace, up, clock), up, status, renew, on_crash)]
    if (model := board().model) is not None:
        loops.append(DownlinkLoop(Downlink(workspace, down, clock, model), down, on_crash))
    return loops
