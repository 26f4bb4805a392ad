"""Reads the folder of photos that a benchmark measures on, and keeps its embeddings if asked to."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Sequence
from pathlib import Path

from gated.config import Settings, VisionSettings
from gated.enrollment.models import INSTALLED, VisionKit
from gated.evaluation.recognition import PhotoFolder, embed_people


def embedded(
    description: str | None, arguments: Sequence[str] | None
) -> tuple[VisionKit, PhotoFolder]:
    """Return the shipped models, and the people of the folder that the command line names."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kept", type=Path, help="Keep the embeddings in this file meanwhile.")
    given = parser.parse_args(arguments)
    kit = VisionKit(Settings(vision=VisionSettings(assets_dir=INSTALLED, threads=1)))
    if given.kept and given.kept.exists():
        return kit, pickle.loads(given.kept.read_bytes())  # noqa: S301 - one's own
    people = embed_people([kit], given.folder, lambda what, done, total: None)
    if given.kept:
        given.kept.write_bytes(pickle.dumps(people))
    return kit, people
