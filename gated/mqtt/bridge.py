"""Keeps a connection to the broker: publishes state and events of the gate, takes commands.

One thread, in the service process. The broker may be slow, dead or hostile: only this thread waits,
and events that were not delivered are in the journal. After each connection everything is published
again, so that a broker that has lost its retained messages is right within seconds.
"""

from __future__ import annotations

import json
import logging
import random
import threading
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import Any

from gated.access.passage_cache import PassageCache
from gated.access.presence import inside
from gated.accounts.accounts import Accounts
from gated.config import EventType
from gated.delivery.deliveries import FAILING_AFTER_S, Deliveries, Delivery, Event
from gated.delivery.events import People
from gated.door.remote_door import RemoteDoor
from gated.errors import GatedError, NotFound, StorageError
from gated.link.running_gate import RunningGate
from gated.link.status_board import DecisionView, GateStatus, StatusBoard
from gated.live.machine import temperatures
from gated.live.preview import snapshot
from gated.mqtt.commands import CommandExecutor
from gated.mqtt.connection import ANSWER_S, Connection, Incoming, LastWill, MqttFailed
from gated.mqtt.discovery import discovery_of
from gated.mqtt.states import SiteFacts, state_of
from gated.mqtt.topics import Topics
from gated.people import person_store
from gated.ports import Clock
from gated.workspace import Workspace

log = logging.getLogger(__name__)

FAILING = "mqtt_failing"
"""Problem that `/health` names."""
ONLINE, OFFLINE = b"online", b"offline"

TURN_S = 0.2
"""Seconds within which a change of the gate is published."""
EVENTS_S = 1.0
FACTS_S = 2.0
TEMPERATURE_S = 30.0
PICTURE_S = 5.0
"""Seconds between two pictures, at least."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 4.0
"""Seconds between tries to connect: a broker that comes back is found within ten seconds."""
FRESH_S = 60.0
"""An event that is older is not published to automations, which would act on it now."""
AT_ONCE = 20
STOP_S = 5.0


class _Journal:
    """The broker as a subscriber of the event stream; delivered is what it has confirmed."""

    key = "mqtt"
    label = "mqtt"
    at_once = AT_ONCE
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(
        self, events: Collection[EventType], person: People,
        send: Callable[[Sequence[Event]], Delivery],
    ) -> None:  # fmt: skip
        self.events = events
        self.person = person
        self.send = send


class MqttBridge:
    """Connects a gate with its broker. board: its state is published. gate: commands go to it."""

    def __init__(
        self,
        workspace: Workspace,
        board: StatusBoard,
        gate: RunningGate,
        clock: Clock | None = None,
    ) -> None:
        settings = workspace.settings
        self._settings, self._mqtt = settings, settings.mqtt
        self._workspace, self._board, self._gate = workspace, board, gate
        self._clock = clock or workspace.clock
        self._deliveries = Deliveries(workspace, self._clock, self._mqtt.keep_days)
        self._journal = _Journal(self._mqtt.events, self._mqtt.person, self._send)
        accounts = Accounts(workspace, self._clock)
        door = RemoteDoor(settings, accounts, board, self._clock)
        self._commands = CommandExecutor(settings, accounts, door, gate, self._clock)
        self._uid = workspace.journal.gate_uid()
        self._topics = Topics.of(self._mqtt, self._uid)
        self._kept = PassageCache()
        self._connection: Connection | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._failing_since: float | None = None
        self._says = ""
        self._published: dict[str, bytes] = {}
        """Topic -> retained payload that was published last in this connection."""
        self._facts = SiteFacts()
        self._due: dict[str, float] = {}
        self._seen: object = None
        self._decision: tuple[DecisionView, ...] = board.snapshot().decisions[:1]

    @property
    def topics(self) -> Topics:
        """The topics of this gate."""
        return self._topics

    def start(self) -> None:
        """Start the thread."""
        try:
            self._deliveries.begin([self._journal])
        except StorageError as error:  # then it starts with the first connection
            log.warning("mqtt: %s", error)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Publish that the gate is offline, and end; a thread that hangs is left behind."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def view(self) -> dict[str, Any]:
        """Return the state of the connection: connected or why not, and what was delivered."""
        says = self._says if self._failing_since is not None else ""
        return {**self._deliveries.view(self._journal.key), "connected": not says, "says": says}

    def publish(self) -> None:
        """Report a broker that has been failing for some minutes on `/health`."""
        since = self._failing_since
        lasting = since is not None and time.monotonic() - since >= FAILING_AFTER_S
        failing = [self._says] if lasting else self._deliveries.failing()
        self._board.trouble(FAILING, f"mqtt: {failing[0]}" if failing else None)

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                self._run_connection()
                return
            except (MqttFailed, StorageError) as error:
                says = str(error)
            except Exception as error:
                log.exception("mqtt: a mistake of this program; it goes on")
                says = f"a mistake of this program ({type(error).__name__}): see its log"
            if self._failing_since is None:
                log.warning("mqtt: %s", says)
                self._failing_since, pause = time.monotonic(), FIRST_PAUSE_S
            self._says = says
            self._stopping.wait(random.uniform(0.5, 1.0) * pause)  # noqa: S311 - no secret
            pause = min(2 * pause, LONGEST_PAUSE_S)

    def _run_connection(self) -> None:
        """Connect, and serve the connection until `stop`. Raises: MqttFailed, StorageError."""
        will = LastWill(self._topics.service, OFFLINE)
        connection = Connection(self._mqtt, f"gated-{self._uid}", will)
        self._connection = connection
        self._published, self._due = {}, {}
        try:
            self._begin(connection)
            while not self._stopping.is_set():
                self._turn(connection, TURN_S)
                self._publish_changes(connection)
            self._leave(connection)
        finally:
            self._connection = None
            connection.close()

    def _begin(self, connection: Connection) -> None:
        if self._mqtt.commands:
            connection.subscribe(self._topics.command)
        if self._topics.birth is not None:
            connection.subscribe(self._topics.birth)
        self._publish_discovery()
        self._retain(connection, self._topics.service, ONLINE)
        self._publish_state(connection)

    def _publish_discovery(self) -> None:
        """Publish the description of the device for Home Assistant again."""
        if self._topics.discovery is not None and self._connection is not None:
            name = self._settings.gate.name
            description = discovery_of(self._mqtt, self._topics, self._uid, name)
            self._published.pop(self._topics.discovery, None)
            self._retain(self._connection, self._topics.discovery, _json(description))

    def _leave(self, connection: Connection) -> None:
        self._retain(connection, self._topics.service, OFFLINE)
        end = time.monotonic() + ANSWER_S / 2
        while connection.unacknowledged and time.monotonic() < end:
            connection.turn(TURN_S)

    def _turn(self, connection: Connection, timeout: float) -> None:
        """Read, write, and handle the messages that arrived. Raises: MqttFailed."""
        connection.turn(timeout)
        if connection.stalled:
            raise MqttFailed(f"it has confirmed nothing for {ANSWER_S:.0f} s")
        for message in connection.taken():
            self._handle(connection, message)

    def _handle(self, connection: Connection, message: Incoming) -> None:
        if message.topic == self._topics.command and self._mqtt.commands:
            outcome = self._commands.take(message.payload, retained=message.retained)
            self._board.count(f"mqtt.commands_{'done' if outcome.code == 'done' else 'refused'}")
            connection.publish(self._topics.result, _json(outcome.as_dict()), expires_s=60)
        elif message.topic == self._topics.birth and message.payload == ONLINE:
            if self._is_due("birth", FACTS_S):
                self._publish_discovery()
                self._published.pop(self._topics.state, None)
        else:
            self._board.count("mqtt.unexpected")

    # --- publishing ---------------------------------------------------------------------------

    def _publish_changes(self, connection: Connection) -> None:
        """Publish what has changed. Raises: MqttFailed, StorageError."""
        self._publish_state(connection)
        if self._is_due("events", EVENTS_S):
            self._deliveries.deliver(self._journal, self._should_continue)
        if self._mqtt.pictures and self._is_due("picture", TURN_S):
            self._publish_picture(connection)
        # at once, so that `/health` need not wait for the next turn
        if self._failing_since is not None and not connection.unacknowledged:
            log.info("mqtt: connected to %s:%d", *self._mqtt.address)
            self._failing_since = None
        if connection.refused_topics:
            raise MqttFailed("it refuses the subscription to commands: see its access list")

    def _publish_state(self, connection: Connection) -> None:
        if connection.unacknowledged > AT_ONCE:
            return  # published when the broker has confirmed the earlier messages
        status = self._board.snapshot()
        away = "gate_unavailable" in status.troubles
        if self._is_due("facts", FACTS_S):
            self._refresh_facts(status)
        self._retain(connection, self._topics.gate, OFFLINE if away else ONLINE)
        self._retain(connection, self._topics.state, _json(state_of(status, self._facts)))

    def _retain(self, connection: Connection, topic: str, payload: bytes) -> None:
        """Publish a retained payload, unless it is the last one of this topic."""
        if self._published.get(topic) != payload:
            connection.publish(topic, payload, retain=True)
            self._published[topic] = payload

    def _refresh_facts(self, status: GateStatus) -> None:
        temperature = self._facts.temperature
        if temperature is None or self._is_due("temperature", TEMPERATURE_S):
            temperature = max((round(degrees) for _, degrees in temperatures()), default=None)
        version = self._workspace.database.data_version(), status.decisions[:1]
        if version == self._seen and self._facts.inside is not None:
            people, last = self._facts.inside, self._facts.last_person
        else:
            found = inside(self._workspace, self._clock, self._kept)
            people, last = len(found.people) + found.others, self._last_person(status)
            self._seen = version
        self._facts = SiteFacts(people, last, temperature)

    def _last_person(self, status: GateStatus) -> str | None:
        """Return name or code of the person who passed last, as `mqtt.person` allows; None if
        erased."""
        if self._mqtt.person == "none":
            return None
        granted = (d.person for d in status.decisions if d.outcome == "granted" and d.person)
        person = next(granted, None)
        if person is None:
            return None
        try:
            with self._workspace.database.read() as session:
                known = person_store.get(session, person.id)
        except NotFound:
            return None
        return known.ref.name if self._mqtt.person == "name" else known.personnel_code

    def _publish_picture(self, connection: Connection) -> None:
        newest = self._board.snapshot().decisions[:1]
        if newest == self._decision or not self._is_due("next picture", PICTURE_S):
            return
        self._decision = newest
        try:
            picture = snapshot(self._workspace, self._gate, actor="mqtt")
        except StorageError:
            raise
        except GatedError as error:
            log.info("mqtt: no picture: %s", error)
            return
        connection.publish(self._topics.picture, picture)

    # --- events -------------------------------------------------------------------------------

    def _send(self, events: Sequence[Event]) -> Delivery:
        """Publish events and wait until the broker has confirmed them."""
        connection = self._connection
        if connection is None:
            return Delivery("failed", says="not connected")
        now = self._clock.now()
        sent = set()
        for event in events:
            payload = _json({"event_type": event["type"], **event})
            sent.add(connection.publish(self._topics.journal, payload))
            age_s = now.utc - datetime.fromisoformat(event["time"]).timestamp()
            if abs(age_s) < FRESH_S:
                # expires at the broker as well, where it waits for a slow reader
                sent.add(connection.publish(self._topics.event, payload, expires_s=int(FRESH_S)))
        try:
            while connection.waits_for(sent):
                self._turn(connection, TURN_S)
        except MqttFailed as error:
            return Delivery("failed", says=str(error))
        return Delivery("delivered")

    def _should_continue(self) -> bool:
        return not self._stopping.is_set()

    def _is_due(self, what: str, every_s: float) -> bool:
        """Return whether something is due again; if so, its next time is set."""
        now = time.monotonic()
        if now < self._due.get(what, 0.0):
            return False
        self._due[what] = now + every_s
        return True


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
