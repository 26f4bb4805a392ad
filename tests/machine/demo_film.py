"""Writes the scene of the demo as a video: `python -m tests.machine.demo_film FILE`.

For a machine on which a frame takes seconds: the people of the demo have gone before it has looked
at them, but `gated replay` decides at the times of the recording.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gated.bench.site import brisk_walk_ups, film
from gated.config import Settings, VisionSettings
from gated.enrollment.models import INSTALLED, VisionKit


def main() -> None:
    kit = VisionKit(Settings(vision=VisionSettings(assets_dir=INSTALLED, threads=1)))
    film(brisk_walk_ups(kit), Path(sys.argv[1]))


if __name__ == "__main__":
    main()
