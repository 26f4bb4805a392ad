"""Names the topics of one gate."""

from __future__ import annotations

from dataclasses import dataclass

from gated.config import MqttSettings


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics under `<topic>/<uid of the gate>`."""

    base: str
    discovery: str | None
    """The discovery topic of Home Assistant for this device; None: not published."""
    birth: str | None
    """The topic on which Home Assistant publishes that it has started."""

    @classmethod
    def of(cls, settings: MqttSettings, uid: str) -> Topics:
        """Return the topics of a gate. uid: of its journal."""
        prefix = settings.discovery
        return cls(
            f"{settings.topic}/{uid}",
            prefix and f"{prefix}/device/gated_{uid}/config",
            prefix and f"{prefix}/status",
        )

    @property
    def service(self) -> str:
        """`online` while this program is connected; `offline` is its last will."""
        return f"{self.base}/availability"

    @property
    def gate(self) -> str:
        """`online` while the process that holds the door is there."""
        return f"{self.base}/gate"

    @property
    def state(self) -> str:
        """The present state of the gate, as one JSON object, retained."""
        return f"{self.base}/state"

    @property
    def event(self) -> str:
        """Events of the last minute, for automations."""
        return f"{self.base}/event"

    @property
    def journal(self) -> str:
        """All events in order, also old ones, for programs that store them."""
        return f"{self.base}/journal"

    @property
    def picture(self) -> str:
        """The camera's picture at a decision: JPEG."""
        return f"{self.base}/picture"

    @property
    def command(self) -> str:
        """The only topic from which commands are taken."""
        return f"{self.base}/command"

    @property
    def result(self) -> str:
        """The outcome of a command."""
        return f"{self.base}/result"
