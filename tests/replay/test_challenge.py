"""Challenges put to recordings: who does what was asked by chance passes, a replay never.

Seed 0 asks for left, then right, as the man turns; seed 6 for right first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gated.config import Settings
from gated.core.gallery import Gallery, GalleryPerson, Template
from gated.core.gate import Gate
from gated.core.messages import Attention
from gated.core.values import PersonRef, Reason
from gated.devices.cameras import open_camera
from gated.devices.clock import SystemClock
from gated.enrollment.models import VisionKit, policy_of
from gated.evaluation.replay import replay
from gated.ports import Camera
from tests.assets import require_assets, require_data

pytestmark = pytest.mark.long

PERSON = PersonRef(1, "uid", "P1", "Somebody")


def camera(settings: Settings, clip: Path) -> Camera:
    recorded = {"driver": "replay", "source": clip, "loop": False, "realtime": False}
    return open_camera(settings.camera.model_copy(update=recorded), SystemClock())


def enrolled(kit: VisionKit, clip: Path) -> Gallery:
    """Somebody's first usable frame."""
    source = camera(kit.settings, clip)
    analyse = kit.analyzer(still_gate=False).analyse
    source.open()
    while True:
        for face in analyse(source.read(), Attention()).faces:
            if face.embedding is not None:
                template = Template(1, 1, face.embedding, kit.model)
                return Gallery.build(kit.model, kit.metric, [GalleryPerson(PERSON)], [template])


@pytest.mark.parametrize(
    ("kind", "seed", "expected"),
    [
        ("real", b"0", [Reason.GRANTED]),
        ("real", b"6", [Reason.CHALLENGE_FAILED]),
        ("replay", b"0", [Reason.SPOOF]),
    ],
)
def test_a_recorded_man_answers_by_chance_and_his_replay_not_at_all(
    kind: str, seed: bytes, expected: list[Reason]
) -> None:
    require_assets("default", "pad", "mesh")
    clips = require_data("video", "spoof_pairs")
    settings = Settings.model_validate({"liveness": {"level": "challenge"}})
    kit = VisionKit(settings, pad=True)
    gallery = enrolled(kit, clips / "apfol_real.webm")
    gate = Gate(policy_of(settings, kit.calibration), gallery, kit.calibration, seed)
    source = camera(settings, clips / f"apfol_{kind}.webm")
    analyse = kit.analyzer(still_gate=False).analyse
    reasons = [decision.reason for _, decision in replay(source, analyse, gate)]
    assert reasons[:1] == expected
