"""Sets up gates to measure: configuration, people and camera, in a temporary folder."""

from __future__ import annotations

import json
import secrets
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from gated.accounts.accounts import Accounts
from gated.config import load
from gated.core.gallery import GalleryPerson, unit
from gated.core.values import Image, PersonRef
from gated.database import stored_settings
from gated.database.tables import attendance_logs, enrollments, persons
from gated.devices.clock import SystemClock
from gated.devices.demo_scene import WalkPace, walk_ups
from gated.enrollment import gallery_cache
from gated.enrollment.enrollment_context import enrollment_context
from gated.enrollment.gallery_cache import Packed
from gated.enrollment.models import DEMO_WALKERS, VisionKit, asset_store
from gated.vision.assets import AssetStore
from gated.workspace import Workspace

Progress = Callable[[str], None]
"""Receives a line on what is measured next."""

FPS = 15
SIZE = (640, 480)
BRISK = WalkPace(walk_s=1.5, stand_s=0.8, pause_s=0.7)
"""Makes many decisions a minute; a visit still ends before the same person comes again."""

USERNAME = "bench"
AT_A_TIME = 10_000
FIRST_PASSAGE = datetime(2024, 1, 1, tzinfo=UTC)


class Site:
    """A state directory with its configuration.

    password: of the measuring account. accounts: passwords of all accounts by name.
    """

    def __init__(self, folder: Path, assets: AssetStore, camera: dict[str, Any], threads: int = 2):
        folder.mkdir()
        self.config = folder / "gate.yaml"
        content = {
            "gate": {"name": "bench"},
            "camera": {"driver": "replay", **camera},
            "door": {"driver": "simulated", "unlock_s": 1},
            "liveness": {"level": "normal" if has_liveness(assets) else "off"},
            "vision": {"assets_dir": str(assets.places[0]), "threads": threads},
            "storage": {"state_dir": str(folder / "state")},
            "api": {"port": _free_port()},
        }
        self.config.write_text(json.dumps(content))  # JSON is YAML
        self.settings = load(self.config, {})
        self.password = secrets.token_urlsafe(16)
        self.accounts = {USERNAME: self.password, "other": secrets.token_urlsafe(16)}
        with Workspace(self.settings) as workspace:
            for name, password in self.accounts.items():
                Accounts.of(workspace).create(name, "admin", password, actor="bench")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.settings.api.port}"

    def enroll_walkers(self, kit: VisionKit) -> None:
        """Enroll both people of the demo."""
        store = asset_store(self.settings)
        with Workspace(self.settings) as workspace:
            enrollment = enrollment_context(workspace, kit, SystemClock()).enrollment
            for number, name in enumerate(DEMO_WALKERS):
                names = {"first_name": "Walker", "last_name": str(number)}
                enrollment.enroll_as(f"WALKER-{number}", names, store.read(name), "bench")

    def add_people(self, count: int) -> None:
        """Add persons without photos."""
        with Workspace(self.settings) as workspace, workspace.database.write() as session:
            session.execute(sa.insert(persons), [person_values(n) for n in range(count)])

    def add_passages(self, count: int) -> None:
        """Add rows of the attendance log, a minute apart, of the persons with the lowest ids."""
        with Workspace(self.settings) as workspace, workspace.database.write() as session:
            people = session.execute(sa.select(sa.func.count()).select_from(persons)).scalar_one()
            for start in range(0, count, AT_A_TIME):
                rows = range(start, min(count, start + AT_A_TIME))
                made = [_passage(number, number % people + 1) for number in rows]
                session.execute(sa.insert(attendance_logs), made)

    def add_templates(self, kit: VisionKit, count: int) -> None:
        """Add persons with one random template each."""
        self.add_vectors(kit, np.random.default_rng(1).normal(size=(count, 128)).astype(np.float32))

    def add_vectors(self, kit: VisionKit, found: npt.NDArray[np.float32]) -> None:
        """Add persons with these templates, in the packed gallery as after a start."""
        vectors, count = unit(found), len(found)
        with Workspace(self.settings) as workspace:
            with workspace.database.write() as session:
                session.execute(sa.insert(persons), [person_values(n) for n in range(count)])
                query = sa.select(persons.c.id, persons.c.uid).order_by(persons.c.id)
                known = session.execute(query).all()
                rows = [_enrollment(row.id, kit.model) for row in known]
                session.execute(sa.insert(enrollments), rows)
                stored_settings.touch_gallery(session)
                stamp = stored_settings.gallery_stamp(session)
            packed = Packed(
                kit.model,
                kit.metric,
                stamp,
                tuple(
                    GalleryPerson(PersonRef(row.id, row.uid, f"B{row.id}", "B")) for row in known
                ),
                np.arange(count, dtype=np.int32),
                vectors,
                tuple(row["face_encoding_path"] for row in rows),
            )
            path = self.settings.storage.state_dir / "cache" / "gallery.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            sealed = workspace.keys.sealer.seal(packed.to_bytes(), gallery_cache.CONTEXT)
            path.write_bytes(sealed)


def has_liveness(assets: AssetStore) -> bool:
    """Return whether the liveness models are installed."""
    return all(s.verified for s in assets.status() if s.set == "pad")


def person_values(number: int) -> dict[str, Any]:
    """Return the columns of a person."""
    code = f"B{number}"
    return {"first_name": "B", "last_name": code, "personnel_code": code, "search": code.lower()}


def _passage(number: int, person_id: int) -> dict[str, Any]:
    at = FIRST_PASSAGE + timedelta(minutes=number)
    return {
        "uid": f"bench-{number}",
        "person_id": person_id,
        "gate_name": "bench",
        "direction": "exit" if number % 2 else "entry",
        "confidence_score": 0.9,
        "camera_name": "camera",
        "status": "granted",
        "created_at": at,
        "recorded_at": at,
        "reason": "granted",
        "method": "face",
        "frames": 3,
        "flags": [],
        "site": "",
        "chain": "bench/1",
        "seq": number + 1,
    }


def _enrollment(person_id: int, model: str) -> dict[str, Any]:
    path = f"encodings/{person_id}.bin"
    return {
        "person_id": person_id,
        "face_encoding_path": path,
        "confidence_score": 0.9,
        "model": model,
    }


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


def film(frames: Iterator[Image], file: Path, fps: int = FPS) -> Path:
    """Write a video that any build of OpenCV can read, and return its path."""
    writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"MJPG"), fps, SIZE)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return file


def brisk_walk_ups(kit: VisionKit) -> Iterator[Image]:
    """Yield frames of both people of the demo, one after the other."""
    return walk_ups(kit.demo_portraits(phone=False), SIZE, FPS, pace=BRISK)


def nobody(kit: VisionKit) -> Iterator[Image]:
    """Yield three seconds of an empty scene, with sensor noise."""
    pace = WalkPace(walk_s=0.0, stand_s=0.0, pause_s=3.0)
    return walk_ups(kit.demo_portraits(phone=False)[:1], SIZE, FPS, pace=pace)
