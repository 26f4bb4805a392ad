"""Enroll people outside the running gate, with the workspace, own models and the services."""

from __future__ import annotations

from dataclasses import dataclass

from gated.database.state_lock import StateLock
from gated.enrollment.enrollment import EnrollmentService, Progress
from gated.enrollment.gallery_cache import stale_enrollments
from gated.enrollment.models import VisionKit
from gated.errors import StateLocked
from gated.people.people import People
from gated.ports import Clock
from gated.vision.photo import PhotoExaminer
from gated.workspace import Workspace


@dataclass(frozen=True, slots=True)
class EnrollmentContext:
    """Services that share one workspace."""

    workspace: Workspace
    kit: VisionKit
    people: People
    enrollment: EnrollmentService


def enrollment_context(workspace: Workspace, kit: VisionKit, clock: Clock) -> EnrollmentContext:
    """Build the services over an open workspace."""
    examiner = PhotoExaminer(kit.models, kit.settings.vision)
    enrollment = EnrollmentService(
        workspace, examiner, kit.calibration, clock, kit.model, kit.metric
    )
    return EnrollmentContext(workspace, kit, People(workspace, clock), enrollment)


def ensure_templates(context: EnrollmentContext, progress: Progress) -> list[str]:
    """Make the templates that another model made anew, from the stored photos.

    For whoever holds the state lock. Returns a sentence for each that could not be made; the
    person is not recognised by it. Cheap when there is nothing to do.
    """
    return context.enrollment.reencode(progress)


def ensure_templates_when_idle(context: EnrollmentContext, progress: Progress) -> list[str]:
    """Do `ensure_templates` unless a gate runs here, which would lose templates that it needs."""
    if not stale_enrollments(context.workspace, context.kit.model):
        return []
    try:
        with StateLock(context.workspace.settings.storage.state_dir):
            return ensure_templates(context, progress)
    except StateLocked:
        return [stale_warning(context.workspace, context.kit.model)]


def stale_warning(workspace: Workspace, model: str) -> str:
    """Return a warning of templates of another model; empty when there are none."""
    stale = len(stale_enrollments(workspace, model))
    return (
        f"{stale} templates were made by another model and are left out: the next start of the "
        "gate makes them anew"
        if stale
        else ""
    )
