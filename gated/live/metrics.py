"""Metrics for Prometheus: decisions, times of the stages, the machine, in the text format.

Decisions and events are counted as they happen; everything else is read on request. No name and no
code of a person is included.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from gated import __version__
from gated.accounts import certificates
from gated.config import Settings
from gated.errors import StorageError
from gated.link.status_board import DecisionView, EventView, GateStatus, StatusBoard
from gated.live import machine

CONTENT_TYPE = CONTENT_TYPE_LATEST

WALK_UP_S = (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
FRAME_S = (0.025, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5)

LEVELS = frozenset({"journal.backlog", "loop.lag_max_ms", "process.resident_mb"})
"""Counters of the board that also decrease."""
OWN_WORDS = frozenset({"decisions", "events"})
"""Counters of the board that are left out, as they are counted here with more labels."""


class Metrics:
    """The metrics of one program. Counting takes microseconds; a request, a millisecond or two."""

    def __init__(self, settings: Settings, board: StatusBoard) -> None:
        self._registry = CollectorRegistry(auto_describe=False)
        self._decisions = Counter(
            "gated_decisions",
            "Decisions by outcome, reason and method.",
            ("outcome", "reason", "method"),
            registry=self._registry,
        )
        self._events = Counter(
            "gated_events",
            "Events of door, camera and machine.",
            ("kind", "severity"),
            registry=self._registry,
        )
        self._times = {
            name: Histogram(f"gated_{name}_seconds", text, buckets=b, registry=self._registry)
            for name, text, b in (
                ("sight_to_decision", "From the first sight of a face to the decision.", WALK_UP_S),
                ("sight_to_relay", "From the first sight of a face to the relay.", WALK_UP_S),
                ("frame_to_decision", "From the frame that decided to the decision.", FRAME_S),
            )
        }
        self._registry.register(_Board(settings, board))
        ProcessCollector(registry=self._registry)
        self.stop: Callable[[], None] = board.listen(self._receive)

    def text(self) -> bytes:
        """Write all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def _receive(self, item: object) -> None:
        if isinstance(item, EventView):
            self._events.labels(item.kind, item.severity).inc()
        elif isinstance(item, DecisionView):
            self._count(item)

    def _count(self, decision: DecisionView) -> None:
        self._decisions.labels(decision.outcome, decision.reason, decision.method).inc()
        for name, took_ms in (
            ("sight_to_decision", decision.decided_after_ms),
            ("sight_to_relay", decision.relay_after_ms),
            ("frame_to_decision", decision.frame_to_decision_ms),
        ):
            if took_ms is not None:
                self._times[name].observe(took_ms / 1000)


class _Board(Collector):
    """Reads the status board and the machine on request."""

    def __init__(self, settings: Settings, board: StatusBoard) -> None:
        self._settings = settings
        self._board = board

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of this moment."""
        status = self._board.snapshot()
        yield from self._gate(status)
        yield from self._counted(status)
        yield from self._machine()

    def _gate(self, status: GateStatus) -> Iterator[Metric]:
        gate = self._settings.gate
        info = InfoMetricFamily("gated", "Program, gate and models.")
        program = {"version": __version__, "role": gate.role, "gate": gate.name, "site": gate.site}
        models = {"model": status.model or "", "pad_model": status.pad_model or ""}
        info.add_metric((), {**program, **models, "liveness": status.liveness or ""})
        yield info
        yield _gauge("start_time_seconds", "When this run began.", status.started_at.timestamp())
        yield _gauge("people", "People that the gate knows.", status.people)
        yield _gauge("templates", "Templates that faces are held against.", status.templates)
        yield _gauge("healthy", "1: nothing keeps the gate from its work.", not status.problems)
        yield _states("problem", "Problems, named as in /health.", "name", status.problems)
        alarms = GaugeMetricFamily(
            "gated_alarm", "Alarms that nobody has acknowledged.", labels=("kind", "severity")
        )
        for kind, severity in sorted(status.alarms.items()):
            alarms.add_metric((kind, severity), 1)
        yield alarms
        for name, state in (
            ("camera_state", status.camera),
            ("door_state", status.door_state),
            ("door_mode", status.door_mode),
            ("clock_state", status.clock),
        ):
            if state is not None:
                yield _states(
                    name, f"1 for the present {name.replace('_', ' ')}.", "state", [state]
                )
        if status.door_mode_until is not None:
            ends = datetime.fromisoformat(status.door_mode_until).timestamp()
            yield _gauge("door_mode_ends_seconds", "When the mode ends by itself.", ends)
        if status.hub is not None and status.hub.get("backlog") is not None:
            yield _gauge("hub_backlog_rows", "Rows that the hub lacks.", status.hub["backlog"])

    def _counted(self, status: GateStatus) -> Iterator[Metric]:
        for name, value in sorted(status.counters.items()):
            if name.partition(".")[0] in OWN_WORDS:
                continue
            spelt = "gated_" + re.sub(r"[^a-z0-9_]", "_", name.lower())
            kind = GaugeMetricFamily if name in LEVELS or "_ms" in name else CounterMetricFamily
            yield kind(spelt, f"The counter {name} of the state.", value=value)

    def _machine(self) -> Iterator[Metric]:
        state_dir = self._settings.storage.state_dir
        with suppress(OSError):
            yield _gauge("disk_free_bytes", "Left for data.", shutil.disk_usage(state_dir).free)
        if (certificate := self._settings.api.tls_certificate) is not None:
            with suppress(StorageError):
                ends = certificates.ends(certificate).timestamp()
                yield _gauge("certificate_ends_seconds", "End of the API's certificate.", ends)
        heat = GaugeMetricFamily("gated_temperature_celsius", "Thermal zones.", labels=("zone",))
        for zone, degrees in machine.temperatures():
            heat.add_metric((zone,), degrees)
        yield heat
        power = GaugeMetricFamily(
            "gated_power", "1: the Raspberry Pi complains.", labels=("complaint", "when")
        )
        for labels, holds in machine.power().items():
            power.add_metric(labels, holds)
        yield power
        wear = GaugeMetricFamily("gated_card_wear_ratio", "Used life of cards.", labels=("device",))
        for device, share in machine.card_wear():
            wear.add_metric((device,), share)
        yield wear


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"gated_{name}", text, value=float(value))


def _states(name: str, text: str, label: str, values: Iterable[str]) -> Metric:
    family = GaugeMetricFamily(f"gated_{name}", text, labels=(label,))
    for value in values:
        family.add_metric((value,), 1)
    return family
