"""Changes of people and templates, by whatever process -> a new gallery for the gate."""

from __future__ import annotations

import logging
from collections.abc import Callable

from gated.core.gallery import Gallery
from gated.core.model import GalleryReplaced
from gated.errors import StorageError
from gated.ports import Inbox
from gated.runtime.loop import Loop, OnCrash

log = logging.getLogger(__name__)

INTERVAL_S = 0.2


class GalleryWatcher(Loop):
    """Looks for commits a few times a second and rebuilds the gallery when people changed.

    changed: cheap, True when something was committed since the last call. stamp: names the state of
    people and templates. load: builds the gallery. The old gallery stays in use until the new one
    is complete.
    """

    beat_limit_s = 60.0  # a rebuild of a large gallery on a slow card

    def __init__(
        self,
        changed: Callable[[], bool],
        stamp: Callable[[], object],
        load: Callable[[], Gallery],
        on_gallery: Callable[[Gallery], None],
        inbox: Inbox,
        on_crash: OnCrash,
    ) -> None:
        super().__init__("gallery", on_crash)
        self._changed = changed
        self._stamp = stamp
        self._load = load
        self._on_gallery = on_gallery
        self._inbox = inbox
        self._seen = stamp()

    def work(self) -> None:
        while not self.stopping.wait(INTERVAL_S):
            self.beat()
            try:
                self._look()
            except StorageError as error:
                log.error("people cannot be read, the gallery stays as it is: %s", error)
                self.stopping.wait(5.0)

    def _look(self) -> None:
        if not self._changed():
            return
        stamp = self._stamp()
        if stamp != self._seen:
            gallery = self._load()
            self._seen = stamp
            self._inbox.post(GalleryReplaced(gallery))
            self._on_gallery(gallery)
