"""What enrolls people outside the running gate: the workspace, models of its own, the services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gated.config import Settings
from gated.devices.clock import SystemClock
from gated.ports import Clock
from gated.services.enrollment import EnrollmentService
from gated.services.models import VisionKit
from gated.services.people import People
from gated.services.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Office:
    """Services that share one workspace."""

    workspace: Workspace
    kit: VisionKit
    people: People
    enrollment: EnrollmentService


def office_of(workspace: Workspace, kit: VisionKit, clock: Clock) -> Office:
    """The services over a workspace that is open already."""
    enrollment = EnrollmentService(
        workspace, kit.examiner(), kit.calibration, clock, kit.model, kit.metric
    )
    return Office(workspace, kit, People(workspace, clock), enrollment)


@contextmanager
def open_office(settings: Settings) -> Iterator[Office]:
    """Models first, so that a missing one leaves no half-made state directory."""
    kit = VisionKit(settings)
    with Workspace(settings) as workspace:
        yield office_of(workspace, kit, SystemClock())
