"""Opens what commands work on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from gated.config import Settings
from gated.enrollment.enrollment_context import EnrollmentContext, enrollment_context
from gated.enrollment.models import VisionKit
from gated.workspace import Workspace


@contextmanager
def open_enrollment_context(settings: Settings) -> Iterator[EnrollmentContext]:
    """Models first, so that a missing one leaves no half-made state directory."""
    kit = VisionKit(settings)
    with Workspace(settings) as workspace:
        yield enrollment_context(workspace, kit, workspace.clock)
