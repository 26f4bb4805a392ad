"""The gate as control panel: one thread for each serial port, which all devices there share.

Only secure channels with a key of one's own are spoken; a device that answers without one counts as
away. The library waits for minutes before it tries again, so that the panel is made anew while some
device is away, with pauses that grow to LONGEST_PAUSE_S; the others are back within a second.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gated.devices.serial_port import SerialPort
from gated.errors import DeviceError
from gated.osdp.library import Channel, Line, device_info, import_library

log = logging.getLogger(__name__)

TURN_S = 0.01
FIRST_PAUSE_S, LONGEST_PAUSE_S = 3.0, 10.0
"""So long a device may be away before the panel is made anew."""
EVENTS = 32
"""Events of one device that wait for whoever reads them; older ones are dropped."""
AWAY_S = 2.0
"""A panel that is made anew takes half a second for it."""
SILENT_S = 2.0
"""A device that was not heard for so long is away: it is asked twenty times a second."""


@dataclass(eq=False)
class Station:
    """One device of a bus, as its driver sees it."""

    line: Line
    key: bytes
    events: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=EVENTS))
    done: deque[int] = field(default_factory=lambda: deque(maxlen=EVENTS))
    """Outcome of each command, in order: 0 is done."""
    secure: bool = False
    secure_at: float = field(default_factory=time.monotonic)
    """Monotonic seconds when there was a secure channel last."""
    tampered: bool = False
    why: str = "it was not asked yet"

    @property
    def away(self) -> bool:
        """Return whether it has been without a secure channel for more than a moment."""
        return not self.secure and time.monotonic() - self.secure_at > AWAY_S


class OsdpBus:
    """The devices at one port. Any thread may attach, ask and wait; one thread speaks."""

    def __init__(self, device: Path, baud: int) -> None:
        self._library = import_library()
        self._port = SerialPort(device, baud)
        self._baud = baud
        self.changed = threading.Condition()
        self._stations: list[Station] = []
        self._orders: deque[tuple[Station, dict[str, Any]]] = deque(maxlen=EVENTS)
        self._renew = True
        self._ending = False
        self._thread = threading.Thread(target=self._run, name="osdp", daemon=True)
        self._thread.start()

    def attach(self, line: Line, key: bytes) -> Station:
        """Speak with one more device. Raises: DeviceError."""
        station = Station(line, key)
        with self.changed:
            if line.baud != self._baud:
                raise DeviceError(f"{line.device} is used with {self._baud} bit/s already")
            if any(other.line.address == line.address for other in self._stations):
                raise DeviceError(f"address {line.address} at {line.device} has two drivers")
            self._stations.append(station)
            self._renew = True
            self.changed.notify_all()
        return station

    def detach(self, station: Station | None) -> bool:
        """Leave a device alone; whether none is left, and the port was let go of."""
        with self.changed:
            self._stations = [other for other in self._stations if other is not station]
            self._renew, self._ending = True, not self._stations
            self.changed.notify_all()
        if self._ending:
            self._thread.join(5.0)
        return self._ending

    def order(self, station: Station, command: dict[str, Any], timeout: float) -> None:
        """Have a command done by a device; DeviceError when it is not, in time."""
        until = time.monotonic() + timeout
        with self.changed:
            # a panel that is made anew for another device is back within a fraction of this
            if not self.changed.wait_for(lambda: station.secure, timeout):
                raise DeviceError(station.why)
            station.done.clear()
            self._orders.append((station, command))
            self.changed.notify_all()
            self.changed.wait_for(
                lambda: station.done or not station.secure, until - time.monotonic()
            )
            if station.done and station.done[-1] == 0:
                return
            # what was not done is not done later
            self._orders = deque(
                (order for order in self._orders if order[0] is not station), maxlen=EVENTS
            )
            self._renew = True
        raise DeviceError(station.why if not station.secure else "it does not execute commands")

    # --- the thread ---------------------------------------------------------------------------

    def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while not self._ending:
            with self.changed:
                stations, self._renew = list(self._stations), False
            try:
                well = self._speak(stations, pause) if stations else True
            except DeviceError as error:
                well = self._away(stations, str(error))
            except Exception as error:
                log.exception("osdp: a mistake of this program; it goes on")
                well = self._away(stations, f"failed: {type(error).__name__}: {error}")
            self._port.close()
            pause = FIRST_PAUSE_S if well else min(2 * pause, LONGEST_PAUSE_S)
            with self.changed:
                # a port that is not there is tried again after a while, a panel at once
                self.changed.wait_for(lambda: self._ending or self._renew, TURN_S if well else 0.5)

    def _away(self, stations: list[Station], why: str) -> bool:
        with self.changed:
            for station in stations:
                station.secure, station.why = False, why
            self.changed.notify_all()
        return False

    def _speak(self, stations: list[Station], patience: float) -> bool:
        """Speak until the panel has to be made anew; whether all were well. Raises: DeviceError."""
        panel = _Panel(self._library, self._port, stations, self.changed)
        try:
            return self._keep(panel, stations, patience)
        finally:
            panel.close()

    def _keep(self, panel: _Panel, stations: list[Station], patience: float) -> bool:
        since: float | None = time.monotonic()
        while True:
            panel.turn()
            with self.changed:
                if self._renew or self._ending:
                    return True
                while self._orders:
                    panel.submit(*self._orders.popleft())
                if all(station.secure for station in stations):
                    since = None
                elif since is None:
                    since = time.monotonic()
                self.changed.wait_for(lambda: self._ending or self._orders, TURN_S)
            if since is not None and time.monotonic() - since > patience:
                return False


class _Panel:
    """The library's control panel, from one making to the next."""

    def __init__(
        self, library: Any, port: SerialPort, stations: list[Station], changed: threading.Condition
    ) -> None:
        self._library, self._changed, self._stations = library, changed, stations
        port.open()
        self._channel = Channel(port)
        # enforced: neither plain text nor the default key is spoken
        flags = library.FLAG_ENFORCE_SECURE
        infos = [
            device_info(f"at {s.line.address}", s.line, s.key, self._channel, flags)
            for s in stations
        ]
        self._panel = library.ControlPanel(infos)
        self._panel.set_event_callback(self._event)
        self._panel.set_command_completion_callback(self._completed)
        self._heard, self._heard_at = 0, time.monotonic()
        self._began = self._heard_at

    def turn(self) -> None:
        """Let the library read and write, and note how each device stands. Raises: DeviceError."""
        self._panel.refresh()
        if self._channel.failed is not None:
            raise self._channel.failed
        now, secure = time.monotonic(), self._panel.sc_status()
        if self._channel.heard != self._heard:
            self._heard, self._heard_at = self._channel.heard, now
        silent = now - self._heard_at > SILENT_S
        with self._changed:
            for i, station in enumerate(self._stations):
                before = station.secure
                station.secure = bool(secure >> i & 1) and not silent
                if station.secure:
                    station.secure_at = now
                if not station.secure and (before or now - self._began > 1.0):
                    station.why = self._reason(silent)
                if before != station.secure:
                    self._changed.notify_all()

    def close(self) -> None:
        """Part with the library's panel, which holds on to who it calls."""
        self._panel.set_event_callback(_nobody)
        self._panel.set_command_completion_callback(_nobody)
        del self._panel

    def submit(self, station: Station, command: dict[str, Any]) -> None:
        """Hand over a command; one that is not taken has failed."""
        if not self._panel.submit_command(self._stations.index(station), command):
            station.done.append(1)
            self._changed.notify_all()

    def _reason(self, silent: bool) -> str:
        if silent or self._channel.heard == 0:
            return "it does not answer"
        return "no secure channel: it has another key, the default key, or none"

    def _event(self, number: int, event: dict[str, Any]) -> int:
        station, kind = self._stations[number], event.get("event")
        with self._changed:
            if kind == self._library.EVENT_STATUS:
                self._status(station, event)
            elif kind in {self._library.EVENT_CARDREAD, self._library.EVENT_KEYPRESS}:
                station.events.append(event)
            self._changed.notify_all()
        return 0

    def _status(self, station: Station, event: dict[str, Any]) -> None:
        report = bytes(event.get("report", b""))
        if event.get("type") == self._library.STATUS_REPORT_LOCAL:
            station.tampered = bool(report[:1].strip(b"\0"))

    def _completed(self, number: int, command: dict[str, Any], outcome: int) -> None:
        with self._changed:
            self._stations[number].done.append(outcome)
            self._changed.notify_all()


def _nobody(*arguments: object) -> int:
    """Nobody listens any more."""
    return 0


_buses: dict[Path, OsdpBus] = {}
_buses_lock = threading.Lock()


def join_bus(line: Line, key: bytes) -> tuple[OsdpBus, Station]:
    """Attach to the bus of a port, made for the first device. Raises: DeviceError."""
    with _buses_lock:
        bus = _buses.get(line.device) or OsdpBus(line.device, line.baud)
        _buses[line.device] = bus
        try:
            return bus, bus.attach(line, key)
        except Exception:
            _leave(bus, None, line.device)
            raise


def leave_bus(bus: OsdpBus, station: Station) -> None:
    """Detach; the last one lets go of the port."""
    with _buses_lock:
        _leave(bus, station, station.line.device)


def _leave(bus: OsdpBus, station: Station | None, device: Path) -> None:
    if bus.detach(station):
        _buses.pop(device, None)


def wait_secure(bus: OsdpBus, station: Station, timeout: float) -> None:
    """Wait for the secure channel; DeviceError with what stands in its way."""
    with bus.changed:
        if not bus.changed.wait_for(lambda: station.secure, timeout):
            raise DeviceError(station.why)
