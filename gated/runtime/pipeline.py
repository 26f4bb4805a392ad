"""The loops between camera and relay, started and stopped together."""

from __future__ import annotations

from dataclasses import replace

from gated.core.gate import Gate
from gated.core.messages import Attention
from gated.link.loop import Loop, OnCrash, end
from gated.live.strain import Load
from gated.runtime.capture import Capture
from gated.runtime.controller import Controller, GateDevices, GateListeners
from gated.runtime.inbox import BoundedInbox
from gated.runtime.inference import Analyse, Inference
from gated.runtime.journal_writer import JournalWriter
from gated.runtime.slot import FrameSlot


class Pipeline:
    """camera -> slot -> inference -> inbox -> controller -> door and journal.

    Stopped in reverse: the camera first, so that nothing new comes; the controller locks the door;
    the journal last, so that all decisions are written.
    """

    def __init__(
        self,
        gate: Gate,
        devices: GateDevices,
        analyse: Analyse,
        journal: JournalWriter,
        inbox: BoundedInbox,
        listeners: GateListeners,
        on_crash: OnCrash,
    ) -> None:
        self._gate = gate
        self._camera = devices.camera
        self._inbox = inbox
        self._slot = FrameSlot()
        self.journal = journal
        self.inference = Inference(self._slot, analyse, inbox, on_crash)
        self.controller = Controller(
            gate,
            inbox,
            devices.door,
            journal,
            devices.clock,
            replace(listeners, on_attention=self._attend),
            on_crash,
        )
        self.capture = Capture(devices.camera, self._slot, on_crash)
        devices.camera.heartbeat = self.capture.beat
        self.loops: tuple[Loop, ...] = (
            self.journal,
            self.controller,
            self.inference,
            self.capture,
        )

    def start(self) -> None:
        """Start the loops, receivers before senders."""
        for loop in self.loops:
            loop.start()

    def stop(self) -> None:
        """Stop the loops, senders before receivers; the door is locked afterwards."""
        self._camera.stop()
        for loop in reversed(self.loops):
            end(loop)

    def load(self) -> Load:
        """Return the load: frames read and analysed, the longest wait, the longest analysis."""
        return Load(
            self.capture.frames,
            self.inference.frames,
            self._inbox.longest_wait_s(),
            self.inference.longest_analysis_s(),
        )

    def counters(self) -> dict[str, int]:
        """Return the counters of all loops since the start."""
        first = self.inference.first_frame_s
        return {
            **({} if first is None else {"start.first_frame_ms": round(first * 1000)}),
            "camera.frames": self.capture.frames,
            "camera.dropped": self._slot.dropped,
            "inbox.stripped": self._inbox.stripped,
            "inbox.dropped": self._inbox.dropped,
            "gate.stale_frames": self._gate.stale_frames,
            "journal.written": self.journal.written,
            "journal.backlog": self.journal.backlog,
            "journal.refused": self.journal.refused,
        }

    def _attend(self, attention: Attention) -> None:
        self.inference.attention = attention
