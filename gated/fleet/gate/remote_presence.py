"""Passages at the other gates of the site, on a gate: asked of its hub, or read where it is one.

It is stored, so that a gate that starts without its hub goes on from there, and other
processes can say what it knows.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Protocol
from urllib.parse import urlencode

from gated.access.access_plan import rules_here, site_rules_of
from gated.access.other_gates import KEY, UNHEARD, remote_presence_of
from gated.core.messages import PresenceHeard, RemotePresence
from gated.core.plan import AccessPlan, SiteRules
from gated.core.presence import forgiven_before
from gated.core.values import Direction
from gated.database import stored_settings as settings_store
from gated.errors import HubError, HubUnreachable, StorageError
from gated.fleet.gate.client import HubClient
from gated.fleet.hub import gate_store
from gated.fleet.hub.row_validation import number, text
from gated.fleet.hub.site_presence import SitePresence
from gated.journal import site_presence_store
from gated.journal.site_presence_store import LATEST, LastPassage
from gated.people.zones import zone_here
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

PATIENCE_S = 5.0
"""The tolerance beyond the agreed time of an answer."""

PART = 10_000
"""People in one report to the gate, which fit into a message of the link with the longest names."""

LOOK_S = 0.2
"""The interval at which a gate that is the hub itself looks for passages of other gates."""


class Elsewhere(Protocol):
    """Tells a gate of the others. pause_s: between two questions."""

    pause_s: float

    def wanted(self) -> bool:
        """Return whether the rules of this gate ask who is inside, and there are others to tell."""
        ...

    def next(self, wait: float) -> RemotePresence | None:
        """Return what is new, within `wait` seconds; None when nothing is. HubError,
        StorageError."""
        ...


def _rules(workspace: Workspace) -> SiteRules:
    with workspace.database.read() as session:
        return site_rules_of(rules_here(workspace, session).values)


def heard(workspace: Workspace, is_heard: bool) -> PresenceHeard:
    """The news that the others are heard of now, or not any more; kept for other processes."""
    try:
        with workspace.database.read() as session:
            changed = bool(settings_store.get(session, UNHEARD, False)) is is_heard
        if changed:
            with workspace.database.write() as session:
                settings_store.set_(session, UNHEARD, not is_heard)
    except StorageError as error:  # what the gate does matters more than what others read of it
        log.warning("%s", error)
    return PresenceHeard(is_heard)


def hear_first(workspace: Workspace, client: HubClient | None, clock: Clock, reached: bool) -> None:
    """Before a gate opens: hear of the others, where the hub was reached a moment ago.

    client: None for a gate that has no hub.
    """
    if client is None:
        _forget(workspace)
        heard(workspace, True)
        return
    hub = FromHub(workspace, client, clock)
    if not hub.wanted():
        heard(workspace, True)
        return
    if reached:
        try:
            hub.next(0)
        except (HubError, StorageError) as error:
            log.warning("who is inside by other gates is not known: %s", error)
            reached = False
    heard(workspace, reached)


def _forget(workspace: Workspace) -> None:
    """Forget the report of a hub that is no longer ours."""
    with workspace.database.read() as session:
        known = bool(settings_store.get(session, KEY))
    if known:
        with workspace.database.write() as session:
            site_presence_store.store_from_hub(session, (), complete=True)
            settings_store.set_(session, KEY, {})


def in_parts(report: RemotePresence, size: int = PART) -> Iterator[RemotePresence]:
    """Divide a report into parts of so many people; what fits stays one."""
    passages, forgiven = list(report.passages.items()), list(report.forgiven.items())
    longest = max(len(passages), len(forgiven), 1)
    for nth, start in enumerate(range(0, longest, size)):
        some = slice(start, start + size)
        yield replace(
            report,
            passages=dict(passages[some]),
            forgiven=dict(forgiven[some]),
            part=nth,
            more=start + size < longest,
        )


class FromHub:
    """Asks the hub; one thread at a time."""

    pause_s = 0.0

    def __init__(self, workspace: Workspace, client: HubClient, clock: Clock) -> None:
        self._workspace = workspace
        self._client = client
        self._clock = clock

    def wanted(self) -> bool:
        return _rules(self._workspace).count_people

    def next(self, wait: float) -> RemotePresence | None:
        with self._workspace.database.read() as session:
            kept: dict[str, Any] = settings_store.get(session, KEY, {})
            stamp = settings_store.gallery_stamp(session)
        # who has come to this gate since may be inside already: ask for everybody
        same_people = kept.get("people") == stamp
        query: dict[str, Any] = {"since": kept.get("cursor", "") if same_people else ""}
        if (counting_from := self._counting_from()) is not None:
            query["counting_from"] = counting_from
        path = f"/api/sync/presence?{urlencode({**query, 'wait': wait})}"
        received = self._client.get(path, wait + PATIENCE_S)
        try:
            cursor, complete, others = (
                text(received["cursor"]),
                bool(received["complete"]),
                None if received["others"] is None else number(received["others"]),
            )
            stands = [_stand(word) for word in received["words"]]
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise HubUnreachable("the hub's answer cannot be understood") from error
        news = complete or stands or others != kept.get("others")
        if not news and cursor == kept.get("cursor"):
            return None
        people = stamp if complete else kept.get("people")
        with self._workspace.database.write() as session:
            site_presence_store.store_from_hub(session, stands, complete=complete)
            kept = {"cursor": cursor, "people": people, "others": others}
            settings_store.set_(session, KEY, kept)
            return remote_presence_of(session, stands, None, others, complete)

    def _counting_from(self) -> float | None:
        """Before this entries do not count; None where no rule asks for the number of people."""
        rules = _rules(self._workspace)
        if rules.occupancy is None:
            return None
        with self._workspace.database.read() as session:
            zone = zone_here(self._workspace, session)
        return forgiven_before(AccessPlan(zone, rules=rules), self._clock.now().utc)


class AtHub:
    """Reads what other gates of the site have sent to this one, where any have joined it.

    One thread at a time.
    """

    pause_s = LOOK_S

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._site = workspace.settings.gate.site
        self._hub = SitePresence(workspace, clock)
        self._own = workspace.journal.gate_uid()
        self._feed, self._seq = "", 0

    def wanted(self) -> bool:
        if not _rules(self._workspace).count_people:
            return False
        with self._workspace.database.read() as session:
            return gate_store.any_(session, self._site)

    def next(self, wait: float) -> RemotePresence | None:
        self._hub.keep(self._site)
        with self._workspace.database.read() as session:
            head = site_presence_store.head(session, self._site)
            if head is None or (head.feed, head.seq) == (self._feed, self._seq):
                return None
            complete = head.feed != self._feed
            stands = site_presence_store.since(session, self._site, 0 if complete else self._seq)
            received = remote_presence_of(session, stands, self._own, None, complete)
        self._feed, self._seq = head.feed, head.seq
        return received


def _stand(word: Mapping[str, Any]) -> LastPassage:
    """ValueError, KeyError, TypeError for what is no word of the hub."""
    direction = None if word["direction"] is None else str(Direction(word["direction"]))
    if (direction is None) != (word["utc"] is None):
        raise ValueError("a passage has a direction and a time")
    return LastPassage(
        text(word["uid"] or site_presence_store.EVERYBODY),
        number(word["seq"]),
        direction,
        None if direction is None else _seconds(word["utc"]),
        None if direction is None else text(word["gate"]),
        None,
        None if word["forgiven_utc"] is None else _seconds(word["forgiven_utc"]),
    )


def _seconds(value: Any) -> float:
    """ValueError, TypeError for what is no time."""
    seconds = float(value)
    if not abs(seconds) < LATEST:  # neither is NaN
        raise ValueError("no time")
    return seconds
