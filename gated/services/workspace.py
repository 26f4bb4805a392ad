"""Everything that outlives a restart, opened together from the settings."""

from __future__ import annotations

import re
from pathlib import Path
from types import TracebackType
from typing import Self

from gated.config import Settings
from gated.devices.clock import SystemClock
from gated.errors import StorageError
from gated.ports import Clock
from gated.storage import enrollments, gallery_cache, snapshots
from gated.storage import settings as settings_store
from gated.storage.engine import Database
from gated.storage.files import FileStore
from gated.storage.gallery_cache import GalleryCache
from gated.storage.journal import Journal
from gated.storage.records import Enrollment
from gated.storage.sealing import load_keys


class Workspace:
    """Database (migrated), sealed files, journal and gallery of one state directory.

    create: make what is missing; without it a state directory that holds no database is a
    StorageError, for commands that only look.
    """

    def __init__(self, settings: Settings, *, create: bool = True) -> None:
        state = settings.storage.state_dir
        self.settings = settings
        if not create and not has_database(settings):
            raise StorageError(f"there is no database in {state}: has the gate run here?")
        make_private(state)
        self.keys = load_keys(state, settings.storage.key_file)
        self.files = FileStore(settings.storage.uploads, self.keys.sealer)
        self.database = Database.open(settings.storage.url)
        try:
            self.database.upgrade()
            self.journal = Journal(
                self.database,
                self.keys.signer,
                state / "journal.head",
                settings.gate.name,
                settings.gate.site,
                shared=settings.gate.role == "hub",
            )
            self._version = self.database.data_version()
        except BaseException:
            self.database.close()
            raise

    def gallery(self, model: str, metric: str) -> GalleryCache:
        """The gallery of one model; `load` gives the present one. One thread may use it."""
        path = self._gallery_file
        return GalleryCache(self.database, self.files, self.keys.sealer, path, model, metric)

    def forget_gallery(self) -> None:
        """Remove the packed gallery, which holds templates of those who are gone. StorageError."""
        gallery_cache.forget(self._gallery_file)

    @property
    def _gallery_file(self) -> Path:
        return self.settings.storage.state_dir / "cache" / "gallery.bin"

    def gallery_stamp(self) -> str | None:
        """Names the state of people and templates; changes with every change of them."""
        with self.database.read() as session:
            return settings_store.gallery_stamp(session)

    def rules_stamp(self) -> str:
        """Names the state of rules, credentials and persons; changes with every change of them."""
        with self.database.read() as session:
            return settings_store.rules_stamp(session)

    def changed(self) -> bool:
        """Whether anything was committed since the last call; cheap. One thread may ask."""
        version = self.database.data_version()
        changed, self._version = version != self._version, version
        return changed

    def stale_enrollments(self, model: str) -> list[Enrollment]:
        """Those whose template is of another model than this one, and so not in its gallery."""
        with self.database.read() as session:
            return [e for e in enrollments.list_(session) if e.model != model]

    def sweep(self, grace_s: float = 60.0) -> int:
        """Remove files that no row names, written more than `grace_s` seconds ago; how many."""
        with self.database.read() as session:
            known = enrollments.known_files(session) | snapshots.known_files(session)
        return self.files.sweep(known, grace_s)

    def close(self) -> None:
        self.database.close()

    def __enter__(self) -> Workspace:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class Service:
    """What is done with a workspace; `clock` says when."""

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._workspace = workspace
        self._clock = clock

    @classmethod
    def of(cls, workspace: Workspace) -> Self:
        """The same on the real clock."""
        return cls(workspace, SystemClock())


def make_private(directory: Path) -> None:
    """Create the state directory with mode 0700; StorageError when that is impossible."""
    try:
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
    except OSError as error:
        raise StorageError(f"the state directory {directory} cannot be made: {error}") from None


def has_database(settings: Settings) -> bool:
    """Whether a database can be there at all; only an SQLite file can be seen to be missing."""
    found = re.match(r"sqlite(?:\+\w+)?:///([^?]+)", settings.storage.url)
    return found is None or Path(found[1]).is_file()
