"""Delivers events to the targets of the configuration: a signed POST for each.

An answer of 2xx is delivered; what speaks of the event itself refuses it; everything else may be
over by tomorrow. How a target's position, pauses and log are kept is in `delivery`.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Collection, Sequence
from typing import Any

from gated.config import EventType, Settings, WebhookTarget
from gated.core.values import moment
from gated.delivery.deliveries import LONGEST_PAUSE_S, Deliveries, Delivery, Event
from gated.delivery.events import People
from gated.delivery.secret_files import read_secret
from gated.errors import ConfigError, NotFound
from gated.link.status_board import StatusBoard
from gated.ports import Clock
from gated.webhooks.bodies import fields_of, filled
from gated.webhooks.sending import (
    SIGNATURE,
    Destination,
    HookFailed,
    post,
    signature,
)
from gated.workspace import Service, Workspace

FAILING = "webhook_failing"
"""Problem that `/health` names."""

REFUSED = frozenset({400, 406, 409, 410, 413, 415, 417, 422})
"""Answers that speak of the event and not of the target; all others may be over by tomorrow."""


class _Target:
    """A target as a subscriber of the stream: one event a request."""

    at_once = 1
    longest_pause_s = LONGEST_PAUSE_S

    def __init__(self, target: WebhookTarget, clock: Clock) -> None:
        self._target = target
        self._clock = clock
        self.key = f"webhook_{target.name}"
        self.label = target.name
        self.events: Collection[EventType] = target.events
        self.person: People = target.person

    def send(self, events: Sequence[Event]) -> Delivery:
        """Send one event, once."""
        (event,) = events
        try:
            body = _spelled(self._target, event)
            at = int(self._clock.now().utc)
            headers = {
                "Gated-Event": str(event["type"]),
                "Gated-Delivery": str(event["id"]),
                SIGNATURE: signature(read_secret(self._target.secret_file), body, at),
            }
            status = post(_destination(self._target), body, headers)
        except (HookFailed, ConfigError) as error:
            return Delivery("failed", says=str(error))
        if 200 <= status < 300:
            return Delivery("delivered", status)
        return Delivery("refused" if status in REFUSED else "failed", status, f"answered {status}")


class Webhooks(Service):
    """The targets of one configuration. A target is served by one thread at a time."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        super().__init__(workspace, clock)
        self._settings: Settings = workspace.settings
        self._deliveries = Deliveries(workspace, clock, self._settings.webhooks.keep_days)
        self._targets = {t.name: _Target(t, clock) for t in self._settings.webhooks.targets}

    @property
    def names(self) -> list[str]:
        """Names of the targets."""
        return list(self._targets)

    def begin(self) -> None:
        """Let targets that are new begin here: what happens from now on is sent. StorageError."""
        self._deliveries.begin(self._targets.values())

    def deliver(self, name: str, should_continue: Callable[[], bool] = lambda: True) -> int:
        """Deliver what a target does not have yet; return how many events it took.

        Raises: StorageError, NotFound.
        """
        return self._deliveries.deliver(self._target(name), should_continue)

    def test(self, name: str, *, actor: str) -> Delivery:
        """Send a target an event that says that it is a test; recorded. Raises: NotFound."""
        target = self._target(name)
        event = {
            "id": str(uuid.uuid4()),
            "type": "test",
            "kind": "test",
            "time": moment(self._clock.now()).isoformat(timespec="milliseconds"),
            "clock_ok": self._clock.now().sure,
            "gate": self._settings.gate.name,
            "site": self._settings.gate.site,
            "person": None,
            "data": {},
        }
        outcome = target.send([event])
        with self.change(actor) as change:
            body = {"target": name, "result": outcome.result, "status": outcome.status}
            change.record("webhook_tested", body)
        return outcome

    def list_(self) -> list[dict[str, Any]]:
        """List the targets with how each stands and its last tries; nothing secret."""
        return [
            {
                "name": target.name,
                "url": target.shown,
                "events": list(target.events),
                "person": target.person,
                **self._deliveries.view(self._targets[target.name].key),
            }
            for target in self._settings.webhooks.targets
        ]

    def publish(self, board: StatusBoard) -> None:
        """Let `/health` name the targets that have been failing for some minutes."""
        failing = self._deliveries.failing()
        board.trouble(FAILING, f"not delivered: {', '.join(failing)}" if failing else None)

    def _target(self, name: str) -> _Target:
        found = self._targets.get(name)
        if found is None:
            raise NotFound(f"there is no webhook target {name!r}: see webhooks.targets")
        return found


def _destination(target: WebhookTarget) -> Destination:
    headers = {}
    if target.authorization_file is not None:
        headers["Authorization"] = read_secret(target.authorization_file).decode("latin-1")
    return Destination(target.url, target.private_network, target.ca_file, headers)


def _spelled(target: WebhookTarget, event: Event) -> bytes:
    body = event if target.body is None else filled(target.body, fields_of(event))
    return json.dumps(body, ensure_ascii=False).encode()
