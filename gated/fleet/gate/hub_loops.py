"""The loops between a gate and its hub, off the door's path: send news, report health.

A loop of these ends the program by nothing that a hub, a network or a full disk can do: it waits,
longer each time and never as long as its neighbours, and tries again.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gated.access.revocation import Revocation
from gated.core.messages import Event
from gated.errors import HubError, SealError, StorageError
from gated.fleet.gate.client import REVOKED, TIMEOUT_S, TRANSFER_S, HubClient
from gated.fleet.gate.downlink import Downlink
from gated.fleet.gate.membership import Membership
from gated.fleet.gate.offline_edits import EditSender
from gated.fleet.gate.pictures import PictureSender
from gated.fleet.gate.remote_presence import AtHub, Elsewhere, FromHub, heard, in_parts
from gated.fleet.gate.uplink import Uplink, status_of
from gated.link.loop import Loop, OnCrash
from gated.link.status_board import StatusBoard
from gated.live.hub_contact import HubContact
from gated.live.hub_failures import reason_of
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

LOOK_S = 0.5
"""The interval of looking for a new row of the journal."""

HEARTBEAT_S = 10.0
WAIT_S = 50.0
"""The time that the hub may delay an empty answer; proxies give up after a minute."""

REST = 8.0
"""Of many pages each is followed by a rest so many times as long as it took the processor: whoever
stands before the camera meanwhile must not wait longer than usual."""

GATHER_S = 0.2, 1.0
"""An up-to-date gate waits at random so long before it asks again: of many changes in a row
several come in one page, and the gates do not ask at the same moment."""

RULES_LOOK_S = 2.0
"""The interval of checking whether a gate's rules depend on who is inside."""

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0


class Backoff:
    """Pauses that double, each drawn at random up to its bound: gates must not come all at once."""

    def __init__(self, longest_s: float = LONGEST_PAUSE_S) -> None:
        self._longest = longest_s
        self._bound = FIRST_PAUSE_S

    @property
    def first(self) -> bool:
        """Return whether nothing has failed since the last reset."""
        return self._bound == FIRST_PAUSE_S

    def next(self, at_least: float | None = None) -> float:
        """Seconds to wait after one more failure.

        at_least: what the hub asks for, or a stranger in its place: never more than the bound.
        """
        bound, self._bound = self._bound, min(2 * self._bound, self._longest)
        # not for secrets: it only keeps gates apart
        return min(at_least or 0.0, self._longest) + random.uniform(bound / 2, bound)  # noqa: S311

    def reset(self) -> None:
        self._bound = FIRST_PAUSE_S


class HubLoop(Loop):
    """Turns again and again; each reason why the hub fails is logged once, until it is right."""

    beat_limit_s = 3 * TIMEOUT_S + TRANSFER_S + WAIT_S + LONGEST_PAUSE_S

    def __init__(self, name: str, client: HubClient | None, on_crash: OnCrash) -> None:
        super().__init__(name, on_crash)
        self.connected = False
        self.contact: HubContact | None = None
        """Where it is noted how this gate stands with its hub."""
        self.on_revoked: Callable[[], object] = lambda: None
        """The hub says, and proves, that it has revoked this gate."""
        self._client = client
        self._backoff = Backoff()
        self._logged: set[str] = set()
        """Reasons of failures since it last worked."""

    def work(self) -> None:
        try:
            while not self.stopping.is_set():
                self.beat()
                self._rest(self._pause())
        finally:
            if self._client is not None:
                self._client.close()

    def stop(self) -> None:
        super().stop()
        if self._client is not None:
            self._client.cut()

    def _rest(self, seconds: float) -> None:
        self.stopping.wait(seconds)

    def turn(self) -> float:
        """Do what is due; returns the seconds to wait. HubError, StorageError."""
        raise NotImplementedError

    def _pause(self) -> float:
        try:
            pause = self.turn()
        except (HubError, StorageError, SealError) as error:
            if self.stopping.is_set():
                return 0.0
            self._note(error)
            self.connected = False
            return self._backoff.next(getattr(error, "retry_after", None))
        if not self.connected:
            log.info("%s: connected", self.name)
        self.connected = True
        self._logged.clear()
        if self.contact is not None:
            self.contact.works(self.name)
        self._backoff.reset()
        return pause

    def _note(self, error: Exception) -> None:
        reason = reason_of(error)
        if reason not in self._logged:
            log.warning("%s: %s", self.name, error)
            self._logged.add(reason)
        if self.contact is not None:
            self.contact.fails(self.name, error)
        if reason == REVOKED:
            with contextlib.suppress(StorageError):  # the next try hears it, too
                self.on_revoked()


class UplinkLoop(HubLoop):
    """Sends the journal, and every `HEARTBEAT_S` seconds how the gate is.

    A new row is sent within `LOOK_S`, or at once while other gates wait to hear of it.

    status: (rows that the hub does not have yet) -> the heartbeat. renew: renews the keys of
    the gate when they are old, or completes a renewal that was cut off: until then the hub may
    know this gate by the new keys only.
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
        self._hub = client
        self._status = status
        self._renew = renew
        self._greeted: float | None = None
        self._grown = threading.Event()
        self.on_accepted: Callable[[], object] = lambda: None
        """The hub has answered this gate as one of its own."""

    def grown(self) -> None:
        """This process has added to the journal; any thread may say so."""
        if self._uplink.hurry:
            self._grown.set()

    def stop(self) -> None:
        super().stop()
        self._grown.set()

    def _rest(self, seconds: float) -> None:
        if self.connected:
            self._grown.wait(seconds)
        else:
            super()._rest(seconds)

    def turn(self) -> float:
        self._grown.clear()
        now = time.monotonic()
        if not self.connected or self._greeted is None or now - self._greeted >= HEARTBEAT_S:
            self._renew(self._hub)
            backlog = self._uplink.backlog()
            if self.contact is not None:
                self.contact.waiting(backlog)
            status, model = self._status(backlog)
            self._uplink.greet(status, model)
            if self.contact is not None:
                self.contact.answered()
                self.contact.certificate(self._hub.certificate_until)
            if not self.connected:
                self.on_accepted()
            self._greeted = now
        return 0.0 if self._uplink.send() else LOOK_S


class DownlinkLoop(HubLoop):
    """Applies what the hub tells, as soon as it does.

    open_: gives what pulls; None while it is not known which model this gate works with.
    many: set while page follows page.
    """

    def __init__(
        self,
        open_: Callable[[], Downlink | None],
        client: HubClient,
        many: threading.Event,
        on_crash: OnCrash,
    ) -> None:
        super().__init__("hub-down", client, on_crash)
        self._open = open_
        self._downlink: Downlink | None = None
        self._many = many

    def _pause(self) -> float:
        self._downlink = self._downlink or self._open()
        return RULES_LOOK_S if self._downlink is None else super()._pause()

    def turn(self) -> float:
        assert self._downlink is not None  # noqa: S101
        began = time.thread_time()
        more = False
        try:
            more = self._downlink.pull(wait=WAIT_S if self.connected else 0)
        finally:
            (self._many.set if more else self._many.clear)()
        if more:
            return REST * (time.thread_time() - began)
        return random.uniform(*GATHER_S)  # noqa: S311


class PresenceLoop(HubLoop):
    """Tells the gate who passes at the others of its site, and when it does not hear of them.

    elsewhere: who knows. post: hands an event to the gate. publish: shows the state on the board.
    """

    def __init__(
        self,
        elsewhere: Elsewhere,
        client: HubClient | None,
        workspace: Workspace,
        post: Callable[[Event], object],
        publish: Callable[..., None],
        on_crash: OnCrash,
    ) -> None:
        super().__init__("hub-presence", client, on_crash)
        self._elsewhere = elsewhere
        self._workspace = workspace
        self._post = post
        self._publish = publish
        self._stale_s = workspace.settings.sync.presence_stale_s
        self._backoff = Backoff(min(LONGEST_PAUSE_S, self._stale_s / 3))
        self._heard_at: float | None = None
        self._state: str | None = None

    def turn(self) -> float:
        presence = self._elsewhere.next(min(WAIT_S, self._stale_s / 2) if self.connected else 0)
        for part in in_parts(presence) if presence is not None else ():
            self._post(part)
        return self._elsewhere.pause_s

    def _pause(self) -> float:
        try:
            if not self._elsewhere.wanted():
                self.connected = False
                self._show(None)
                return RULES_LOOK_S
            pause = super()._pause()
            now = time.monotonic()
            if self.connected:
                self._heard_at = now
                self._show("heard")
                return pause
            left = 0.0 if self._heard_at is None else self._heard_at + self._stale_s - now
            if left <= 0:
                self._show("unheard")
                return pause
            return min(pause, left)
        except StorageError as error:
            log.warning("%s: %s", self.name, error)
            return self._backoff.next()

    def _show(self, state: str | None) -> None:
        if state != self._state:
            self._post(heard(self._workspace, state != "unheard"))
            self._publish(presence=state)
            self._state = state


class SendingLoop(HubLoop):
    """Sends one kind of thing; not with the journal, as neither may hold up the other.

    send: sends one of them; whether there was one.
    """

    def __init__(
        self, name: str, send: Callable[[], bool], client: HubClient, on_crash: OnCrash
    ) -> None:
        super().__init__(name, client, on_crash)
        self._send = send

    def turn(self) -> float:
        return 0.0 if self._send() else LOOK_S


def _renewal(membership: Membership, others: Sequence[HubClient]) -> Callable[[HubClient], None]:
    """Return the renewal of a client's credentials when they are due, for the others as well."""

    def renew(client: HubClient) -> None:
        present = membership.find()
        if present is not None and membership.due(present):
            membership.renew(client, present)
            for other in others:
                other.credentials = client.credentials

    return renew


def loops_of(
    workspace: Workspace,
    board: StatusBoard,
    clock: Clock,
    post: Callable[[Event], object] | None,
    many: threading.Event,
    on_crash: OnCrash,
    contact: HubContact | None = None,
) -> list[Loop]:
    """Return what a gate runs for its hub, or for the other gates where it is the hub itself.

    post: hands an event to the gate; None where there is none. many: is set while the hub sends
    page after page. contact: where it is noted how the gate stands with its hub. SealError.
    """
    membership = Membership(workspace, clock)
    member = membership.find()
    if member is None:
        if post is None:
            return []
        own = AtHub(workspace, clock)
        return [PresenceLoop(own, None, workspace, post, board.publish, on_crash)]

    up, down, beside, edits, pictures = (membership.client(member) for _ in range(5))

    def status(backlog: int) -> tuple[Mapping[str, Any], str | None]:
        return status_of(workspace, board.snapshot, clock, backlog), board.snapshot().model

    renew = _renewal(membership, (down, beside, edits, pictures))
    uplink = UplinkLoop(Uplink(workspace, up, clock), up, status, renew, on_crash)
    workspace.journal.on_append = uplink.grown
    loops: list[HubLoop] = [uplink]

    def pulls() -> Downlink | None:
        model = board.snapshot().model
        return None if model is None else Downlink(workspace, down, clock, model)

    if post is not None or board.snapshot().model is not None:
        loops.append(DownlinkLoop(pulls, down, many, on_crash))
    if post is not None:
        asks = FromHub(workspace, beside, clock)
        loops.append(PresenceLoop(asks, beside, workspace, post, board.publish, on_crash))
    loops.append(SendingLoop("hub-edits", EditSender(workspace, edits).send, edits, on_crash))
    if workspace.settings.sync.snapshots:
        send = PictureSender(workspace, pictures, member.hub_seal).send
        loops.append(SendingLoop("hub-pictures", send, pictures, on_crash))
    for loop in loops:
        loop.contact = contact
    # the others may still speak with keys that this one has just renewed
    revocation = Revocation(workspace, clock)
    uplink.on_revoked, uplink.on_accepted = revocation.heard, revocation.over
    return list(loops)
