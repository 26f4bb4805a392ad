"""What enrolls people outside the running gate: the workspace, models of its own, the services."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from gated.config import Settings
from gated.devices.clock import SystemClock
from gated.errors import StateLocked
from gated.ports import Clock
from gated.services.enrollment import EnrollmentService, Progress
from gated.services.models import VisionKit
from gated.services.people import People
from gated.services.workspace import Workspace
from gated.storage.lock import StateLock


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


def ensure_templates(office: Office, progress: Progress) -> list[str]:
    """Make the templates that another model made anew, from the stored photos.

    For whoever holds the state lock. Returns a sentence for each that could not be made; the
    person is not recognised by it. Cheap when there is nothing to do.
    """
    return office.enrollment.reencode(progress)


def ensure_templates_when_idle(office: Office, progress: Progress) -> list[str]:
    """`ensure_templates` unless a gate runs here: it would lose those that it matches with."""
    if not office.workspace.stale_enrollments(office.kit.model):
        return []
    try:
        with StateLock(office.workspace.settings.storage.state_dir):
            return ensure_templates(office, progress)
    except StateLocked:
        return [stale_warning(office.workspace, office.kit.model)]


def stale_warning(workspace: Workspace, model: str) -> str:
    """What to tell about templates of another model; empty when there are none."""
    stale = len(workspace.stale_enrollments(model))
    return (
        f"{stale} templates were made by another model and are left out: the next start of the "
        "gate makes them anew"
        if stale
        else ""
    )
