"""Defines the names of files in a backup, and its manifest."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from gated.journal.chain_tip import HEAD_FILE
from gated.journal.erasure_ledger import NAME as LEDGER
from gated.journal.key_rotation import ROTATIONS
from gated.journal.marks import MARKS
from gated.live.hub_contact import NAME as CONTACT
from gated.vault.files import ENCODINGS, IMAGES

MANIFEST = "manifest.json"
LARGEST_MANIFEST = 1 << 20
CONFIG = "config/gate.yaml"
LARGEST_CONFIG = 1 << 20
SEAL_KEY = "state/keys/seal.key"
TABLES = "tables/"
FOLDERS = (IMAGES, ENCODINGS)

KEPT = (HEAD_FILE, ROTATIONS, MARKS, LEDGER, CONTACT)
"""Files of the state directory in a backup, beside keys and former heads."""

_OLD_HEAD = rf"{re.escape(HEAD_FILE)}\.before-\d+"
_NAME = re.compile(
    r"database\.sqlite|tables/[a-z_0-9]+\.copy|config/gate\.yaml"
    rf"|uploads/({IMAGES}|{ENCODINGS})/[A-Za-z0-9][A-Za-z0-9-]*\.sealed"
    r"|state/keys/[A-Za-z0-9][A-Za-z0-9._-]*"
    rf"|state/({'|'.join(map(re.escape, KEPT))}|{_OLD_HEAD})"
)


class DatabaseInBackup(BaseModel):
    """The database: its kind, schema revision and sequences."""

    model_config = ConfigDict(frozen=True)

    kind: Literal["sqlite", "postgresql"]
    revision: Annotated[str, Field(pattern=r"^[0-9a-z_]{1,40}$")]
    counters: Mapping[str, int]


class Manifest(BaseModel):
    """The first member of a backup: version and gate that made it, when, and its size in bytes."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1]
    gated: str
    created_at: str
    role: str
    gate: str
    site: str
    database: DatabaseInBackup
    bytes: Annotated[int, Field(ge=0)]


def is_known(name: str) -> bool:
    """Return whether a backup of this version may have a member of the name."""
    return _NAME.fullmatch(name) is not None


def state_files(state_dir: Path) -> Iterator[Path]:
    """Yield the files of a state directory to back up, without database, photos and sealing key."""
    for path in sorted([*state_dir.glob("*"), *state_dir.glob("keys/*")]):
        name = f"state/{path.relative_to(state_dir)}"
        if name != SEAL_KEY and is_known(name) and path.is_file() and not path.is_symlink():
            yield path


def upload_files(uploads: Path) -> Iterator[Path]:
    """Yield the sealed files of an upload directory."""
    for folder in FOLDERS:
        if (uploads / folder).is_dir():
            for path in sorted((uploads / folder).iterdir()):
                if is_known(f"uploads/{folder}/{path.name}") and path.is_file():
                    yield path
