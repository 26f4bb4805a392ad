"""Where tests find model files and data that are no part of the repository."""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path

import pytest

from gated.vision.assets import SETS, AssetStore

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@functools.cache
def _complete(store: AssetStore) -> frozenset[str]:
    status = store.status()
    missing = {s.set for s in status if not s.verified}
    return frozenset(set(SETS) - missing)


@functools.cache
def _store() -> AssetStore:
    given = os.environ.get("GATED_ASSETS")
    installed = Path(sys.prefix) / "share" / "gated" / "models"
    return AssetStore([*([Path(given)] if given else []), installed])


def require_assets(*sets: str) -> AssetStore:
    """The store with these sets complete; skips the test, naming what is missing."""
    missing = set(sets) - _complete(_store())
    if missing:
        pytest.skip(f"assets are missing: run `gated assets install {' '.join(sorted(missing))}`")
    return _store()


def require_data(*parts: str) -> Path:
    """A file or folder of the development data; skips the test when it is not there."""
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"development data is missing: {'/'.join(parts)}")
    return path
