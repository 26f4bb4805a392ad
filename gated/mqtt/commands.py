"""Executes commands from the broker, whose publishers are not authenticated here.

A command is executed only if the configuration allows it, the configured account's role allows it,
it was given just now, it was not executed before, and the rate limit of the API is not exceeded.
The door process checks reason, mode and rate again, and records the act before the door moves.
"""

from __future__ import annotations

import json
import logging
import math
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, get_args

from gated.accounts.accounts import Accounts
from gated.config import MqttCommand, Settings
from gated.core.messages import Event, Silenced
from gated.core.roles import Role
from gated.core.values import DoorMode
from gated.door.remote_door import DoorCaller, RemoteDoor
from gated.errors import GatedError, NotAllowed
from gated.link.running_gate import RunningGate
from gated.ports import Clock

log = logging.getLogger(__name__)

LONGEST_PAYLOAD, LONGEST_TEXT = 1024, 200
KEYS = frozenset({"command", "at", "reason", "id"})
KNOWN: tuple[str, ...] = get_args(MqttCommand)
REMEMBERED = 1000
NOBODY = "mqtt"


class CommandRefused(Exception):
    """A command is not executed. code: why, in one word."""

    def __init__(self, code: str, says: str) -> None:
        super().__init__(says)
        self.code = code


@dataclass(frozen=True, slots=True)
class Command:
    """A command as published. at: unix seconds by the publisher's clock."""

    name: str
    at: float
    reason: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class CommandOutcome:
    """The outcome of a command. code: `done`, or why it was refused."""

    command: str
    id: str
    code: str
    says: str = ""

    def as_dict(self) -> dict[str, str]:
        """Return it as published on the result topic."""
        return {"command": self.command, "id": self.id, "result": self.code, "detail": self.says}


def parse_command(payload: bytes) -> Command:
    """Parse a command: JSON with `command`, `at`, and optionally `reason` and `id`.

    Raises: CommandRefused.
    """
    if len(payload) > LONGEST_PAYLOAD:
        raise CommandRefused("malformed", f"longer than {LONGEST_PAYLOAD} bytes")
    try:
        fields: Any = json.loads(payload)
    except (ValueError, RecursionError):
        fields = None
    if (
        not isinstance(fields, dict)
        or not fields.keys() <= KEYS
        or fields.get("command") not in KNOWN
    ):
        raise CommandRefused("malformed", 'send {"command": "open", "at": UNIX_SECONDS}')
    at = fields.get("at")
    if isinstance(at, bool) or not isinstance(at, int | float) or not math.isfinite(at):
        raise CommandRefused("undated", "say when it was given: at, in unix seconds")
    texts = [fields.get(key, "") for key in ("reason", "id")]
    if not all(isinstance(t, str) and len(t) <= LONGEST_TEXT and t.isprintable() for t in texts):
        raise CommandRefused("malformed", f"reason and id are texts of {LONGEST_TEXT} characters")
    return Command(fields["command"], float(at), *texts)


class CommandExecutor:
    """Executes commands, or refuses them. One thread at a time."""

    def __init__(
        self, settings: Settings, accounts: Accounts, door: RemoteDoor, gate: RunningGate,
        clock: Clock,
    ) -> None:  # fmt: skip
        self._settings = settings.mqtt
        self._accounts = accounts
        self._door = door
        self._gate = gate
        self._clock = clock
        self._executed: OrderedDict[bytes, None] = OrderedDict()

    def take(self, payload: bytes, *, retained: bool) -> CommandOutcome:
        """Execute a published command, or refuse it; raises nothing that a publisher can cause."""
        name, id_ = "", ""
        try:
            if retained:
                raise CommandRefused("retained", "a retained command is never executed")
            command = parse_command(payload)
            name, id_ = command.name, command.id
            self._require_timely(command)
            self._require_new(payload)
            self._execute(command)
        except CommandRefused as error:
            return self._refused(CommandOutcome(name, id_, error.code, str(error)))
        except GatedError as error:
            return self._refused(CommandOutcome(name, id_, error.code, str(error)))
        return CommandOutcome(name, id_, "done")

    def _refused(self, outcome: CommandOutcome) -> CommandOutcome:
        log.warning("mqtt: %s is refused: %s", outcome.command or "a command", outcome.says)
        return outcome

    def _require_timely(self, command: Command) -> None:
        now, within = self._clock.now(), self._settings.command_within_s
        if not now.sure:
            raise CommandRefused(
                "clock", "the gate's clock is not set: nobody can tell how old it is"
            )
        if command.at < now.utc - within:
            raise CommandRefused("late", f"given more than {within:.0f} s ago: {command.name}")
        if command.at > now.utc + within:
            raise CommandRefused("late", "given in the future: set the clocks")

    def _require_new(self, payload: bytes) -> None:
        """Raises: CommandRefused for a message that the broker has delivered before."""
        if payload in self._executed:
            raise CommandRefused("repeated", "the same command at the same time was taken already")
        self._executed[payload] = None
        while len(self._executed) > REMEMBERED:
            self._executed.popitem(last=False)

    def _execute(self, command: Command) -> None:
        """Raises: GatedError, as over HTTP."""
        if command.name not in self._settings.commands:
            raise NotAllowed(f"{command.name} is not among mqtt.commands")
        principal = self._accounts.principal(self._settings.account or NOBODY)
        if not principal.role.includes(Role.OPERATOR):
            raise NotAllowed(f"the account {principal.username!r} is no operator")
        self._gate.require()
        caller = DoorCaller(principal, None, "")
        reason = f"MQTT: {command.reason or 'no reason was given'}"
        match command.name:
            case "open":
                self._door.open(self._post, caller, reason, None)
            case "silence":
                self._post(Silenced(principal.username))
            case mode:
                self._door.set_mode(self._post, caller, DoorMode(mode), reason)

    def _post(self, event: Event) -> None:
        self._gate.post(event)
