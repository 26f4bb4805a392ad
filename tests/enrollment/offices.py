"""Offices over a state directory, with the real models and the demo portraits."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import PIL.Image

from gated.config import LivenessSettings, Settings, StorageSettings, VisionSettings
from gated.database.records import Enrollment
from gated.devices.clock import ManualClock
from gated.enrollment import enrollment_store
from gated.enrollment.enrollment_context import EnrollmentContext, enrollment_context
from gated.enrollment.models import INSTALLED, VisionKit
from gated.vision.photo import SMALL_PHOTO
from gated.workspace import Workspace
from tests.assets import require_assets
from tests.workspaces import open_workspace

Engine = Literal["sface", "dlib"]


@functools.cache
def portrait(name: str) -> bytes:
    """A demo portrait, small enough to be examined quickly; skips the test without it."""
    with PIL.Image.open(io.BytesIO(require_assets("demo").read(f"{name}.jpg"))) as picture:
        # in a larger one faces are looked for once more, as tests/vision do with whole photos
        picture.thumbnail((2 * SMALL_PHOTO, 2 * SMALL_PHOTO))
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def settings_in(state: Path, engine: Engine = "sface") -> Settings:
    return Settings(
        liveness=LivenessSettings(level="off"),  # photos stand for people here
        vision=VisionSettings(engine=engine, assets_dir=INSTALLED),
        storage=StorageSettings(state_dir=state),
    )


@functools.cache
def kit_of(engine: Engine) -> VisionKit:
    """The models of an engine, loaded once; skips the test when they are missing."""
    require_assets(*(("default", "dlib") if engine == "dlib" else ("default",)))
    return VisionKit(settings_in(INSTALLED, engine))


@contextmanager
def office_in(state: Path, engine: Engine = "sface") -> Iterator[EnrollmentContext]:
    kit = kit_of(engine)
    with open_workspace(settings_in(state, engine)) as workspace:
        yield enrollment_context(workspace, kit, ManualClock())


def stored(workspace: Workspace) -> list[Path]:
    """Photos and encodings on disk."""
    folder = workspace.settings.storage.uploads
    return sorted(p for p in folder.rglob("*") if p.is_file())


def rows(workspace: Workspace) -> list[Enrollment]:
    with workspace.database.read() as session:
        return enrollment_store.list_(session)


def kinds(workspace: Workspace) -> list[str]:
    """What the journal tells, in order."""
    with workspace.database.read() as session:
        found = session.connection().exec_driver_sql("SELECT kind FROM journal ORDER BY seq")
        return [str(row[0]) for row in found]
