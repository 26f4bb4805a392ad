"""The documentation names settings and pages that are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gated.config import SECTIONS, Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

NO_KEYS = frozenset(
    {"yaml", "service", "lock", "sock", "key", "uid", "db", "bin", "head", "py", "wiring"}
)
"""What stands behind a dot in names of files and records."""
COUNTERS = frozenset({"camera.frames", "camera.dropped", "gate.stale_frames"})
"""Of the gate's state; they are spelt as settings are."""


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_setting_that_is_named_is_there(page: Path) -> None:
    named = set(re.findall(r"`([a-z]+)\.([a-z][a-z0-9_]*)(?:: [^`]*)?`", page.read_text()))
    missing = {
        f"{section}.{key}"
        for section, key in named
        if section in SECTIONS
        and key not in NO_KEYS
        and key not in Settings.model_fields[section].annotation.model_fields  # type: ignore[union-attr]
    }
    assert missing - COUNTERS == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_every_page_that_is_linked_is_there(page: Path) -> None:
    def anchors(file: Path) -> set[str]:
        heads = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
        return {re.sub(r"[^a-z0-9_ -]", "", head.lower()).replace(" ", "-") for head in heads}

    broken = []
    for target in re.findall(r"\]\(([^)#][^)]*|#[^)]+)\)", page.read_text()):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []
